"""Real plugins that do what the model's plugins are said to do, and what can be seen of it."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
from chain_model import POST, RESULTS, Line, No, Plugin, Seen, Told, changed
from chain_model import own_result as result_of

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.health import Health
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway.executor.threads import Threads
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    Operation,
    Outcome,
    Payload,
    PromptResult,
    Respond,
    ServerUnavailableError,
    ToolResult,
    hookimpl,
)

Ask = Callable[[Any], Awaitable[Outcome[Any]]]


class StrangeError(BaseException):
    """No `Exception`."""


class Registered:
    """A plugin object; its hooks are set on it."""


def may_time_out(plugin: Plugin) -> bool:
    """Whether it can have a timeout of the chain's; all others raise one of their own."""
    only = set(plugin.does) == {"time out"}  # its timeout is over at once
    return only and (plugin.sends is None or not plugin.mode.observes)


class Stage:
    """One chain of real plugins, the server behind it, and a note of what each of them saw."""

    def __init__(
        self,
        plugins: Sequence[Plugin],
        hook: str,
        server: Sequence[str] = ("result",),
        pool: Threads | None = None,
        health: Callable[[], Health] = Health,
    ) -> None:
        self.plugins, self.hook, self.server = plugins, hook, server
        self.health = {plugin.name: health() for plugin in plugins}
        named = [(p.name, self.registered(p), self.policy(p)) for p in plugins]
        self.chain: Chain[Any] = compile_chains(named, pool, self.offer)[hook]
        self.begin()

    def begin(self) -> None:
        self.seen: list[Seen] = []
        self.asked: list[Any] = []
        self.background: list[tuple[str, Any]] = []
        self.repetitions = 0
        self.kept: list[Context] = []

    async def run(
        self, payload: Any, *, recorded: bool = True, shared: dict[str, Any] | None = None
    ) -> "Observed":
        """Run one operation, and keep references to what its plugins got."""
        self.begin()
        operation = Operation("1", "tools/call", "echo", record=[] if recorded else None)
        operation.shared = dict(shared or {})
        outcome: Outcome[Any] | None = None
        with suppress(ServerUnavailableError):
            outcome = await self.go(payload, operation, self.ask)
        for context in self.kept:  # whoever keeps its context changes nothing afterwards
            context.shared["late"] = True
        return Observed(self, operation, outcome)

    async def go(self, payload: Any, operation: Operation, ask: Ask) -> Outcome[Any]:
        """Do as the gateway does: who has no wrappers is asked before the server is."""
        if self.hook == POST:
            return await self.chain(payload, operation)
        if self.chain.wraps:
            return await self.chain(payload, operation, ask)
        outcome = await self.chain(payload, operation)
        return outcome if outcome.verdict is not None else await ask(outcome.payload)

    async def ask(self, payload: Any) -> Outcome[Any]:
        """Be the server."""
        answer = self.server[min(len(self.asked), len(self.server) - 1)]
        self.asked.append(payload)
        await anyio.lowlevel.checkpoint()
        if answer == "gone":
            raise ServerUnavailableError("away", server="s")
        if answer == "denied elsewhere":
            return Outcome(payload, Deny("elsewhere"), "elsewhere")
        return Outcome(payload, Respond(RESULTS[answer]))

    def offer(self, step: Any, payload: Payload, operation: Operation) -> bool:
        self.background.append((step.scope.plugin, payload))
        return True

    # plugins

    def policy(self, plugin: Plugin) -> Policy:
        says = plugin.matches
        return Policy(
            plugin.mode,
            plugin.on_error,
            plugin.priority,
            timeout=0.0 if may_time_out(plugin) else None,
            threaded=plugin.threaded,
            when=None if says is None else lambda _: says,
            skip_disabled=plugin.passed_while_disabled,
            health=self.health[plugin.name],
        )

    def registered(self, plugin: Plugin) -> Registered:
        registered = Registered()
        marked = hookimpl(
            tryfirst=plugin.place == "tryfirst",
            trylast=plugin.place == "trylast",
            wrapper=plugin.sends is not None,
        )
        setattr(registered, self.hook, marked(self.function(plugin)))
        return registered

    def function(self, plugin: Plugin) -> Callable[..., Any]:
        """Return what is called, which sees the context or does not."""

        def plain(payload: Any, context: Any) -> Any:
            self.enter(plugin, payload, context)
            return self.act(plugin, payload)

        def plain_blind(payload: Any) -> Any:
            return plain(payload, None)

        async def waits(payload: Any, context: Any) -> Any:
            self.enter(plugin, payload, context)
            for _ in range(0 if "time out" in plugin.does else plugin.awaits or 0):
                await anyio.lowlevel.checkpoint()
            return await self.act_async(plugin, payload)

        async def waits_blind(payload: Any) -> Any:
            return await waits(payload, None)

        async def wraps(payload: Any, context: Any, call_next: Any) -> Any:
            self.enter(plugin, payload, context)
            return await self.wrap(plugin, payload, context, call_next)

        async def wraps_blind(payload: Any, call_next: Any) -> Any:
            return await wraps(payload, None, call_next)

        if plugin.sends is not None:
            return wraps_blind if plugin.blind else wraps
        if plugin.awaits is None:
            return plain_blind if plugin.blind else plain
        return waits_blind if plugin.blind else waits

    def enter(self, plugin: Plugin, payload: Any, context: Context | None) -> None:
        if context is None:
            self.seen.append(Seen(plugin.name, payload))
            return
        shared = context.shared
        self.seen.append(Seen(plugin.name, payload, tuple(sorted(shared))))
        context.annotate("turn", plugin.name)
        for note in plugin.notes:
            if note.startswith("+"):
                shared[note[1:]] = plugin.name
            else:
                shared.pop(note[1:], None)
        self.kept.append(context)

    def deed(self, plugin: Plugin) -> str:
        return plugin.does[min(self.repetitions, len(plugin.does) - 1)]

    def act(self, plugin: Plugin, payload: Any) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "nothing": lambda: None,
            "same": lambda: payload,
            "equal": payload.replace,
            "change": lambda: changed(plugin.name, payload),
            "deny": lambda: Deny(plugin.name),
            "respond": lambda: Respond(result_of(plugin.name)),
        }
        deed = self.deed(plugin)
        return answers[deed]() if deed in answers else fail(deed)

    async def act_async(self, plugin: Plugin, payload: Any) -> Any:
        match self.deed(plugin):
            case "time out":
                if not may_time_out(plugin):
                    raise TimeoutError
                return await anyio.sleep_forever()
            case "await something cancelled":
                return await something_cancelled()
            case _:
                return self.act(plugin, payload)

    async def wrap(self, plugin: Plugin, payload: Any, context: Any, call_next: Any) -> Any:
        deed = self.deed(plugin)
        came: list[Any] = []
        for send in plugin.sends or ():
            self.repetitions += 1
            new = {"equal": payload.replace(), "change": changed(plugin.name, payload)}
            try:
                came.append(await call_next(new.get(send, payload)))
            except ServerUnavailableError:
                came.append(None)
                if not plugin.catches:
                    raise
        if came:
            shared = () if context is None else context.shared
            self.seen.append(Seen(plugin.name, "after", tuple(sorted(shared))))
        if deed == "await something cancelled":
            await something_cancelled()
        return ending(plugin, deed, came)


async def something_cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def ending(plugin: Plugin, deed: str, came: list[Any]) -> Any:
    last = came[-1] if came else None
    result = last if isinstance(last, ToolResult) else None
    endings: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "what came": lambda: last,
        "what came first": lambda: next((c for c in came if c is not None), None),
        "a copy of what came": lambda: result.replace() if result else last,
        "a change of what came": lambda: changed(plugin.name, result) if result else last,
        "own": lambda: result_of(plugin.name),
        "deny": lambda: Deny(plugin.name),
    }
    return endings[deed]() if deed in endings else fail(deed)


def fail(deed: str) -> Any:
    match deed:
        case "respond wrongly":
            return Respond(PromptResult())
        case "wrong type":
            return {"name": "x"}
        case "raise":
            return 1 / 0
        case "exit":
            return sys.exit(1)
        case "await something cancelled":
            raise asyncio.CancelledError
        case _:
            raise StrangeError


class Observed:
    """What can be seen of one operation, to be compared with what the model tells."""

    def __init__(self, stage: Stage, operation: Operation, outcome: Outcome[Any] | None) -> None:
        self.stage, self.outcome = stage, outcome
        self.seen, self.asked = stage.seen, stage.asked
        self.background, self.shared = stage.background, operation.shared
        self.recorded = operation.record is not None
        self.record = lines(operation)

    def check(self, told: Told) -> None:
        """Assert that it is what the model tells, or one of the things that timing allows."""
        self.check_end(told)
        assert self.asked == told.asked
        assert self.background == told.background
        assert self.shared == told.shared
        self.check_seen(told)
        if self.recorded:
            assert len(self.record) == len(told.record)
            for line, said in zip(self.record, told.record, strict=True):
                assert self.says(line) in allowed(said), (line, said)

    def check_end(self, told: Told) -> None:
        outcome, end = self.outcome, told.end
        assert (outcome is None) == (end is None)
        if outcome is None or end is None:
            return
        assert outcome.payload == end.payload
        assert outcome.plugin == end.by
        match end.verdict:
            case No(origin=origin, is_error=is_error):
                verdict = outcome.verdict
                assert isinstance(verdict, Deny)
                assert (verdict.code == PLUGIN_ERROR) == is_error
                assert verdict.reason == origin or (is_error and repr(origin) in verdict.reason)
            case None:
                assert outcome.verdict is None
            case result:
                assert outcome.verdict == Respond(result)

    def check_seen(self, told: Told) -> None:
        """Everybody saw what they should; among neighbouring validators in whatever order."""
        saw, sure, maybe = (Counter(map(repr, s)) for s in (self.seen, told.seen, told.maybe))
        assert not sure - saw
        assert not saw - sure - maybe
        one_by_one = {p.name for p in self.stage.plugins if p.mode is not Mode.VALIDATE or p.sends}
        assert [s for s in self.seen if s.plugin in one_by_one] == [
            s for s in told.seen if s.plugin in one_by_one
        ]

    def says(self, line: Any) -> tuple[Any, ...]:
        assert all(f.value == f.plugin == line.plugin for f in line.findings)
        return line.plugin, line.requested, line.applied, len(line.findings)


def allowed(line: Line) -> Iterator[tuple[Any, ...]]:
    """Give what a line may be in a real record."""
    if line.undecided:
        whats = ["skip", "error", "pass", "modify", "deny", "respond"]
        for findings in (0, 1):
            yield from ((line.plugin, r, a, findings) for r in whats for a in whats)
    yield (line.plugin, line.requested, line.applied, line.findings)
    if line.timing:
        for findings in (0, 1):
            yield (line.plugin, "cancelled", "cancelled", findings)
