"""Plugins that rest after an error, over any sequence of calls, ends of calls, and clock moves."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from bounds import at_most
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.health import Health
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Outcome,
    Respond,
    ServerUnavailableError,
    ToolCall,
    ToolResult,
    hookimpl,
)

CALL = ToolCall("echo")
RETRY_AFTER = 30


@dataclass
class Expected:
    """The law in short: healthy; or resting until a time; or resting with one trial under way."""

    until: float | None = None
    trial: "Call | None" = None

    def rests(self, now: float) -> bool:
        return self.until is not None and (self.trial is not None or now < self.until)

    def begin(self, call: "Call", now: float) -> bool:
        """Say whether the plugin is called; if its rest is over, this call is the trial."""
        if self.rests(now):
            return False
        if self.until is not None:
            self.trial = call
        return True

    def end(self, call: "Call", how: str, now: float) -> None:
        """A failure lets it rest from now on; nothing but the trial brings it back."""
        trial = self.trial is call
        if trial:
            self.trial = None
        if how == "fails":
            self.until = now + RETRY_AFTER
        elif how == "ends well" and trial:
            self.until = None


@dataclass(eq=False)
class Call:
    """One operation: it waits inside the plugin until it is told how to end."""

    operation: Operation
    gate: "asyncio.Future[str]"
    beside: "asyncio.Future[Deny | None]"
    """What a validator beside the plugin, with a say before it, comes to."""
    task: "asyncio.Task[Outcome[Any]]" = field(init=False)
    called: bool = False


class Waiting:
    """The plugin: how a call ends is decided when it is under way."""

    def __init__(self, calls: dict[str, Call]) -> None:
        self.calls = calls

    async def answer(self, context: Context) -> None:
        call = self.calls[context.request_id]
        call.called = True
        context.shared["by"] = "plugin"
        if await call.gate == "fails":
            raise ValueError


class Waits(Waiting):
    """An ordinary plugin."""

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> None:
        await self.answer(context)


class Wraps(Waiting):
    """The same round the rest; the server's error is none of its own."""

    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall, context: Context, call_next: Any) -> Any:
        await self.answer(context)
        return await call_next(payload)


class Beside:
    """A validator beside the plugin."""

    def __init__(self, calls: dict[str, Call]) -> None:
        self.calls = calls

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> Deny | None:
        return await self.calls[context.request_id].beside


class Resting(RuleBasedStateMachine):
    """Any number of calls under way at once, ended in any order and any way."""

    under_way = Bundle[Call]("under_way")

    @initialize(
        kind=st.sampled_from(["plain", "beside", "wraps"]),
        mode=st.sampled_from([Mode.ENFORCE, Mode.TRANSFORM, Mode.AUDIT]),
        passed=st.booleans(),
    )
    def compile(self, kind: str, mode: Mode, passed: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.expected = Expected()
        self.calls: dict[str, Call] = {}
        self.kind, self.mode = kind, Mode.VALIDATE if kind == "beside" else mode
        self.passed = passed
        self.health = Health(lambda: self.now)
        policy = Policy(
            self.mode,
            OnError.DISABLE,
            retry_after=RETRY_AFTER,
            skip_disabled=passed,
            health=self.health,
        )
        plugin = Wraps(self.calls) if kind == "wraps" else Waits(self.calls)
        plugins: list[tuple[str, object, Policy]] = [("p", plugin, policy)]
        if kind == "beside":
            plugins.insert(0, ("beside", Beside(self.calls), Policy(Mode.VALIDATE)))
        self.chain = compile_chains(plugins)["tool_pre_invoke"]

    async def server(self, payload: ToolCall) -> Outcome[Any]:
        if self.gone:
            raise ServerUnavailableError("away", server="s")
        return Outcome(payload, Respond(ToolResult()))

    gone = False

    def let_run(self) -> None:
        """Give everybody a few turns: whoever can go on does."""

        async def turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    @rule(target=under_way)
    def begin(self) -> Any:
        operation = Operation(str(len(self.calls)), "tools/call", "echo", record=[])
        call = Call(operation, self.loop.create_future(), self.loop.create_future())
        self.calls[operation.id] = call
        called = self.expected.begin(call, self.now)
        call.task = self.loop.create_task(self.chain(CALL, operation, self.server))
        self.let_run()
        assert call.called == called
        if called:
            return call
        call.beside.set_result(None)
        self.let_run()
        self.check_refused(call)
        return cast("Any", multiple())

    @rule(seconds=st.sampled_from([1, RETRY_AFTER - 1, RETRY_AFTER, RETRY_AFTER]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(call=consumes(under_way), how=st.sampled_from(["ends well", "fails"]))
    def end(self, call: Call, how: str) -> None:
        self.finish(call, how)

    def finish(self, call: Call, how: str) -> None:
        self.expected.end(call, how, self.now)
        call.gate.set_result(how)
        call.beside.set_result(None)
        self.let_run()
        closes = how == "fails" and self.mode is not Mode.AUDIT
        self.check(call, "error" if how == "fails" else "pass", denied=closes)
        assert call.operation.shared == ({} if how == "fails" else {"by": "plugin"})

    @rule(call=consumes(under_way))
    def server_is_away(self, call: Call) -> None:
        """A wrapper that lets the server's error pass has done its work."""
        if self.kind != "wraps":
            self.finish(call, "ends well")
            return
        self.expected.end(call, "ends well", self.now)
        self.gone = True
        call.gate.set_result("ends well")
        self.let_run()
        self.gone = False
        assert isinstance(call.task.exception(), ServerUnavailableError)

    @rule(call=consumes(under_way))
    def neighbour_denies(self, call: Call) -> None:
        """The call of a validator whose neighbour denies is given up: it decides nothing."""
        if self.kind != "beside":
            self.give_up(call)
            return
        self.expected.end(call, "is given up", self.now)
        call.beside.set_result(Deny("beside"))
        self.let_run()
        outcome = call.task.result()
        assert (outcome.verdict, outcome.plugin) == (Deny("beside"), "beside")
        self.check_given_up(call)

    @rule(call=consumes(under_way))
    def cancel(self, call: Call) -> None:
        self.give_up(call)

    def give_up(self, call: Call) -> None:
        self.expected.end(call, "is given up", self.now)
        call.task.cancel()
        self.let_run()
        assert call.task.cancelled()
        self.check_given_up(call)

    def check_given_up(self, call: Call) -> None:
        said = {line.plugin: (line.requested, line.applied) for line in lines(call.operation)}
        assert said["p"] == ("cancelled", "cancelled")
        assert call.operation.shared == {}

    def check_refused(self, call: Call) -> None:
        """Who rests is not called: that fails closed, unless the operator says otherwise."""
        self.check(call, "error", denied=not (self.passed or self.mode is Mode.AUDIT))
        assert lines(call.operation)[-1].detail == "is disabled after an error"

    def check(self, call: Call, requested: str, *, denied: bool) -> None:
        outcome = call.task.result()
        line = next(line for line in lines(call.operation) if line.plugin == "p")
        assert (line.requested, line.applied) == (requested, "deny" if denied else "pass")
        assert isinstance(outcome.verdict, Deny) == denied
        if isinstance(outcome.verdict, Deny):
            assert (outcome.verdict.code, outcome.plugin) == (PLUGIN_ERROR, "p")

    @invariant()
    def it_rests_when_it_should(self) -> None:
        if hasattr(self, "health"):
            assert self.health.rests == self.expected.rests(self.now)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for call in self.calls.values():
            call.task.cancel()
        self.let_run()
        self.now += 1_000
        assert self.health.admit() is not None  # no trial was left behind
        self.loop.close()


TestResting = Resting.TestCase
TestResting.settings = at_most(2_000)
