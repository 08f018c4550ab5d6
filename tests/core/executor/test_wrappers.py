import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

import anyio
import pytest

from plugway.errors import ChainError
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.health import Health
from plugway.executor.record import Wrapped, failures, lines
from plugway.executor.steps import Policy, Step
from plugway_hookspecs import (
    CallNext,
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Outcome,
    PluginError,
    Respond,
    ServerUnavailableError,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)

CALL = ToolCall("echo", {"n": 1})
RESULT = ToolResult([{"type": "text", "text": "hello"}])
Next = CallNext[ToolCall, ToolResult]
Round = Callable[[ToolCall, Next], Awaitable[Any]]


class Wraps:
    """Does with the rest what a function says."""

    def __init__(self, body: Round) -> None:
        self.body = body

    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall, call_next: Next) -> Any:
        return await self.body(payload, call_next)


class Says:
    """Answers one after the other, and says nothing when there are no more."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.seen: list[ToolCall] = []

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Any:
        self.seen.append(payload)
        return self.answers.pop(0) if self.answers else None


class Server:
    """What a pre chain stands before."""

    def __init__(self, *answers: ToolResult | BaseException) -> None:
        self.answers = list(answers)
        self.asked: list[ToolCall] = []

    async def __call__(self, payload: ToolCall) -> Outcome[Any]:
        self.asked.append(payload)
        answer = self.answers.pop(0) if self.answers else RESULT
        if isinstance(answer, BaseException):
            raise answer
        return Outcome(payload, Respond(answer))


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


async def run(
    *plugins: object,
    policy: Policy | None = None,
    server: Server | None = None,
    op: Operation | None = None,
) -> Outcome[ToolCall]:
    """Run the plugins, the first of them under `policy`."""
    policies = [policy or Policy(), *[Policy() for _ in plugins[1:]]]
    named = zip(plugins, policies, strict=True)
    chains = compile_chains([(f"p{i}", plugin, policy) for i, (plugin, policy) in enumerate(named)])
    with anyio.fail_after(5):
        return await chains["tool_pre_invoke"](CALL, op or operation(), server or Server())


def result(outcome: Outcome[Any]) -> Any:
    return outcome.verdict.result if isinstance(outcome.verdict, Respond) else outcome.verdict


def told(op: Operation) -> list[tuple[str, str, str]]:
    return [(line.plugin, line.requested, line.applied) for line in lines(op)]


async def passes(payload: ToolCall, call_next: Next) -> Any:
    return await call_next(payload)


# what a wrapper can do


async def test_what_comes_after_a_wrapper_runs_inside_it() -> None:
    events: list[str] = []

    async def round_it(payload: ToolCall, call_next: Next) -> Any:
        events.append("in")
        answer = await call_next(payload)
        events.append("out")
        return answer

    class Notes:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def tool_pre_invoke(self) -> None:
            events.append(self.name)

    outcome = await run(Wraps(round_it), Notes("after"))
    assert events == ["in", "after", "out"]
    assert result(outcome) is RESULT


async def test_what_comes_before_a_wrapper_runs_outside_it() -> None:
    server = Server()
    plugins = [("deny", Says(Deny("no")), Policy(priority=1)), ("w", Wraps(passes), Policy())]
    chain = compile_chains(plugins)["tool_pre_invoke"]
    op = operation()
    outcome = await chain(CALL, op, server)
    assert (outcome.verdict, outcome.plugin, server.asked) == (Deny("no"), "deny", [])
    assert told(op) == [("deny", "deny", "deny")]


async def test_a_wrapper_may_answer_without_asking_anybody() -> None:
    async def cached(_: ToolCall, __: Next) -> Any:
        return RESULT

    server, inner, op = Server(), Says(), operation()
    outcome = await run(Wraps(cached), inner, server=server, op=op)
    assert result(outcome) is RESULT
    assert outcome.plugin == "p0"
    assert (server.asked, inner.seen) == ([], [])
    assert told(op) == [("p0", "respond", "respond")]


async def test_a_wrapper_may_ask_again() -> None:
    async def retry(payload: ToolCall, call_next: Next) -> Any:
        answer = await call_next(payload)
        while isinstance(answer, ToolResult) and answer.is_error:
            answer = await call_next(payload)
        return answer

    server, inner = Server(ToolResult(is_error=True), ToolResult(is_error=True)), Says()
    outcome = await run(Wraps(retry), inner, server=server)
    assert result(outcome) is RESULT
    assert server.asked == inner.seen == [CALL] * 3


async def test_a_wrapper_may_change_what_goes_in_and_what_comes_out() -> None:
    async def both(payload: ToolCall, call_next: Next) -> Any:
        answer = await call_next(payload.replace(arguments={"n": 2}))
        assert isinstance(answer, ToolResult)
        return answer.replace(is_error=True)

    server, op = Server(), operation()
    outcome = await run(Wraps(both), server=server, op=op)
    assert [asked.arguments for asked in server.asked] == [{"n": 2}]
    assert result(outcome) == RESULT.replace(is_error=True)
    assert outcome.payload.arguments == {"n": 2}
    assert told(op) == [("p0", "modify", "modify")]


async def test_a_wrapper_may_deny_before_and_after() -> None:
    async def before(_: ToolCall, __: Next) -> Any:
        return Deny("before")

    async def after(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return Deny("after")

    server = Server()
    outcome = await run(Wraps(before), server=server)
    assert (outcome.verdict, outcome.plugin, server.asked) == (Deny("before"), "p0", [])
    op = operation()
    outcome = await run(Wraps(after), server=server, op=op)
    assert (outcome.verdict, outcome.plugin, server.asked) == (Deny("after"), "p0", [CALL])
    assert told(op) == [("p0", "deny", "deny")]


async def test_a_wrapper_that_says_nothing_changes_nothing() -> None:
    async def looks(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)

    op = operation()
    assert result(await run(Wraps(looks), op=op)) is RESULT
    assert told(op) == [("p0", "pass", "pass")]


async def test_a_copy_of_what_came_is_no_change() -> None:
    async def copies(payload: ToolCall, call_next: Next) -> Any:
        answer = await call_next(payload)
        assert isinstance(answer, ToolResult)
        return answer.replace()

    op = operation()
    assert result(await run(Wraps(copies), op=op)) == RESULT
    assert told(op) == [("p0", "pass", "pass")]


async def test_a_wrapper_that_forgets_the_rest_swallows_nothing() -> None:
    async def forgets(_: ToolCall, __: Next) -> Any:
        return None

    server, inner, op = Server(), Says(), operation()
    assert result(await run(Wraps(forgets), inner, server=server, op=op)) is RESULT
    assert server.asked == inner.seen == [CALL]
    assert told(op) == [("p0", "pass", "pass"), ("p1", "pass", "pass")]


async def test_a_wrapper_of_a_post_hook_wraps_the_rest_of_the_chain() -> None:
    class Outer:
        @hookimpl(wrapper=True)
        async def tool_post_list(
            self, payload: ToolList, call_next: CallNext[ToolList, ToolList]
        ) -> Any:
            answer = await call_next(payload.replace(meta={"in": 1}))
            assert isinstance(answer, ToolList)
            return answer.replace(meta={**answer.meta, "out": 1})

    class Inner:
        @hookimpl
        def tool_post_list(self, payload: ToolList) -> ToolList:
            return payload.replace(meta={**payload.meta, "between": 1})

    chain = compile_chains([("o", Outer(), Policy()), ("i", Inner(), Policy())])["tool_post_list"]
    outcome = await chain(ToolList(), Operation("1", "tools/list"))
    assert (outcome.verdict, dict(outcome.payload.meta)) == (
        None,
        {"in": 1, "between": 1, "out": 1},
    )


@pytest.mark.parametrize("order", ["payload", "call_next"])
async def test_a_wrapper_takes_what_it_asks_for_in_any_order(order: str) -> None:
    class Payload:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(self, call_next: Next, context: Context, payload: Any) -> Any:
            assert context.name == "echo"
            return await call_next(payload)

    class Alone:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(self, call_next: Next) -> Any:
            return await call_next(CALL)

    assert result(await run(Payload() if order == "payload" else Alone())) is RESULT


# order


class Traced:
    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events

    async def trace(self, payload: ToolCall, call_next: Next) -> Any:
        self.events.append(self.name)
        answer = await call_next(payload)
        self.events.append(f"/{self.name}")
        return answer


class Ordinary(Traced):
    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall, call_next: Next) -> Any:
        return await self.trace(payload, call_next)


class First(Traced):
    @hookimpl(wrapper=True, tryfirst=True)
    async def tool_pre_invoke(self, payload: ToolCall, call_next: Next) -> Any:
        return await self.trace(payload, call_next)


class Last(Traced):
    @hookimpl(wrapper=True, trylast=True)
    async def tool_pre_invoke(self, payload: ToolCall, call_next: Next) -> Any:
        return await self.trace(payload, call_next)


class Plain(Traced):
    @hookimpl(tryfirst=True)
    async def tool_pre_invoke(self) -> None:
        self.events.append(self.name)


async def test_wrappers_stand_before_the_others_of_their_priority_and_outermost_is_first() -> None:
    events: list[str] = []
    await run(
        Plain("plain", events),
        Last("last", events),
        Ordinary("a", events),
        Ordinary("b", events),
        First("first", events),
    )
    inwards = ["first", "a", "b", "last", "plain"]
    assert events == [*inwards, "/last", "/b", "/a", "/first"]


async def test_the_operators_priority_counts_before_everything_else() -> None:
    events: list[str] = []
    plugins = [
        ("first", First("first", events), Policy(priority=3)),
        ("plain", Plain("plain", events), Policy(priority=2)),
        ("outer", Ordinary("outer", events), Policy(priority=1)),
    ]
    await compile_chains(plugins)["tool_pre_invoke"](CALL, operation(), Server())
    assert events == ["outer", "plain", "first", "/first", "/outer"]


async def test_a_condition_decides_whether_a_wrapper_is_there() -> None:
    async def never(_: ToolCall, __: Next) -> Any:
        raise AssertionError

    server, op = Server(), operation()
    outcome = await run(Wraps(never), policy=Policy(when=lambda _: False), server=server, op=op)
    assert (result(outcome), server.asked) == (RESULT, [CALL])
    assert told(op) == [("p0", "skip", "skip")]


# modes


async def test_an_auditing_wrapper_sees_and_changes_nothing() -> None:
    async def meddles(payload: ToolCall, call_next: Next) -> Any:
        for n in (2, 3):
            answer = await call_next(payload.replace(arguments={"n": n}))
            assert answer is RESULT
        return ToolResult(is_error=True)

    server, op = Server(), operation()
    outcome = await run(Wraps(meddles), policy=Policy(Mode.AUDIT), server=server, op=op)
    assert (result(outcome), server.asked) == (RESULT, [CALL])
    assert told(op) == [("p0", "modify", "pass")]


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.TRANSFORM])
async def test_a_wrapper_that_may_not_deny_is_passed_over(mode: Mode) -> None:
    async def denies(_: ToolCall, __: Next) -> Any:
        return Deny("no")

    async def denies_late(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return Deny("no")

    for body in (denies, denies_late):
        server, op = Server(), operation()
        outcome = await run(Wraps(body), policy=Policy(mode), server=server, op=op)
        assert (result(outcome), server.asked) == (RESULT, [CALL])
        assert told(op) == [("p0", "deny", "pass")]


async def test_a_validating_wrapper_may_deny_and_change_nothing() -> None:
    async def judges(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload.replace(arguments={"n": 2}))
        return ToolResult(is_error=True)

    async def denies(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return Deny("no")

    server = Server()
    outcome = await run(Wraps(judges), policy=Policy(Mode.VALIDATE), server=server)
    assert (result(outcome), server.asked) == (RESULT, [CALL])
    assert (await run(Wraps(denies), policy=Policy(Mode.VALIDATE))).verdict == Deny("no")


def test_a_background_wrapper_is_refused() -> None:
    with pytest.raises(ChainError, match="no mode background"):
        compile_chains([("p", Wraps(passes), Policy(Mode.BACKGROUND))])


def test_a_timeout_of_a_wrapper_that_only_observes_is_refused() -> None:
    with pytest.raises(ChainError, match="ends the call that it wraps, which mode audit may not"):
        compile_chains([("p", Wraps(passes), Policy(Mode.AUDIT, timeout=1))])


async def test_background_plugins_get_what_was_sent_in_the_end() -> None:
    offered: list[Any] = []

    async def changes(payload: ToolCall, call_next: Next) -> Any:
        return await call_next(payload.replace(arguments={"n": 2}))

    def offer(step: Step, payload: object, _: Operation) -> bool:
        offered.append(payload)
        return True

    plugins = [("w", Wraps(changes), Policy()), ("b", Says(), Policy(Mode.BACKGROUND))]
    chains = compile_chains(plugins, offer=offer)
    await chains["tool_pre_invoke"](CALL, operation(), Server())
    assert [payload.arguments for payload in offered] == [{"n": 2}]


async def test_background_plugins_get_what_the_server_got_though_it_failed() -> None:
    offered: list[Any] = []

    async def changes(payload: ToolCall, call_next: Next) -> Any:
        return await call_next(payload.replace(arguments={"n": 2}))

    plugins = [("w", Wraps(changes), Policy()), ("b", Says(), Policy(Mode.BACKGROUND))]

    def offer(step: Step, payload: object, _: Operation) -> bool:
        offered.append(payload)
        return True

    chains = compile_chains(plugins, offer=offer)
    gone = ServerUnavailableError("away", server="s")
    with pytest.raises(ServerUnavailableError):
        await chains["tool_pre_invoke"](CALL, operation(), Server(gone))
    assert [payload.arguments for payload in offered] == [{"n": 2}]


async def test_validators_inside_a_wrapper_run_at_the_same_time() -> None:
    here = [anyio.Event(), anyio.Event()]

    class Meets:
        def __init__(self, own: int) -> None:
            self.own = own

        @hookimpl
        async def tool_pre_invoke(self) -> None:
            here[self.own].set()
            await here[1 - self.own].wait()

    plugins = [
        ("a", Meets(0), Policy(Mode.VALIDATE, priority=2)),
        ("b", Meets(1), Policy(Mode.VALIDATE, priority=2)),
        ("w", Wraps(passes), Policy(priority=1)),
    ]
    with anyio.fail_after(5):
        await compile_chains(plugins)["tool_pre_invoke"](CALL, operation(), Server())


# denies inside


async def test_what_is_denied_inside_stays_denied() -> None:
    async def hides(payload: ToolCall, call_next: Next) -> Any:
        assert await call_next(payload) == Deny("inner")
        return RESULT

    op = operation()
    outcome = await run(Wraps(hides), Says(Deny("inner")), op=op)
    assert (outcome.verdict, outcome.plugin) == (Deny("inner"), "p1")
    assert told(op) == [("p0", "modify", "pass"), ("p1", "deny", "deny")]


async def test_a_deny_that_a_wrapper_passes_on_is_still_the_inner_ones() -> None:
    denies, op = Says(Deny("inner", http_headers={"Retry-After": "1"})), operation()
    outcome = await run(Wraps(passes), denies, op=op)
    assert (outcome.plugin, outcome.verdict) == ("p1", Deny("inner"))
    assert told(op) == [("p0", "pass", "pass"), ("p1", "deny", "deny")]
    assert lines(op)[0].detail == ""


async def test_what_passes_when_it_is_tried_again_has_passed() -> None:
    async def insists(payload: ToolCall, call_next: Next) -> Any:
        assert isinstance(await call_next(payload), Deny)
        return await call_next(payload)

    assert result(await run(Wraps(insists), Says(Deny("not yet")))) is RESULT


async def test_what_is_given_up_when_it_is_tried_again_has_not_passed() -> None:
    async def impatient(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call_next(payload)
        return RESULT

    class Slow:
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            await anyio.lowlevel.checkpoint()
            return Deny("inner")

    outcome = await run(Wraps(impatient), Slow())
    assert (outcome.verdict, outcome.plugin) == (Deny("inner"), "p1")


async def test_an_answer_inside_is_what_the_rest_gives() -> None:
    mine = ToolResult(meta={"by": "inner"})

    async def looks(payload: ToolCall, call_next: Next) -> Any:
        assert await call_next(payload) is mine

    server = Server()
    assert result(await run(Wraps(looks), Says(Respond(mine)), server=server)) is mine
    assert server.asked == []


# failures


async def test_a_wrapper_that_fails_blocks() -> None:
    async def fails_late(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        raise ValueError

    op = operation()
    outcome = await run(Wraps(fails_late), op=op)
    assert isinstance(outcome.verdict, Deny)
    assert (outcome.verdict.code, outcome.plugin) == (PLUGIN_ERROR, "p0")
    assert told(op) == [("p0", "error", "deny")]


async def test_the_failure_of_a_wrapper_can_be_ignored_before_and_after_the_call() -> None:
    async def fails(_: ToolCall, __: Next) -> Any:
        raise ValueError

    async def fails_late(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        raise ValueError

    for body in (fails, fails_late):
        server, op = Server(), operation()
        policy = Policy(on_error=OnError.IGNORE)
        outcome = await run(Wraps(body), policy=policy, server=server, op=op)
        assert (result(outcome), server.asked) == (RESULT, [CALL])
        assert told(op) == [("p0", "error", "pass")]


async def test_what_the_server_raises_is_no_failure_of_the_wrapper() -> None:
    gone = ServerUnavailableError("away", server="s")
    op = operation()
    health = Health()
    policy = Policy(on_error=OnError.DISABLE, health=health)
    with pytest.raises(ServerUnavailableError) as raised:
        await run(Wraps(passes), policy=policy, server=Server(gone), op=op)
    assert raised.value is gone
    assert not health.rests
    assert told(op) == [("p0", "pass", "pass")]


async def test_what_the_server_raises_is_no_failure_of_a_wrapper_with_tasks_either() -> None:
    async def in_a_task(payload: ToolCall, call_next: Next) -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_next, payload)

    gone, health = ServerUnavailableError("away", server="s"), Health()
    policy = Policy(on_error=OnError.DISABLE, health=health)
    with pytest.raises(ServerUnavailableError) as raised:
        await run(Wraps(in_a_task), policy=policy, server=Server(gone))
    assert raised.value is gone
    assert not health.rests


async def test_what_a_wrapper_shares_is_there_though_the_server_is_away() -> None:
    class Shares:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, context: Context, call_next: Next
        ) -> Any:
            context.shared["attempts"] = context.shared.get("attempts", 0) + 1
            return await call_next(payload)

    async def again(payload: ToolCall, call_next: Next) -> Any:
        try:
            return await call_next(payload)
        except ServerUnavailableError:
            return await call_next(payload)

    op = operation()
    gone = ServerUnavailableError("away", server="s")
    assert result(await run(Wraps(again), Shares(), server=Server(gone), op=op)) is RESULT
    assert op.shared == {"attempts": 2}


async def test_a_wrapper_may_try_again_when_the_server_is_away_or_answer_itself() -> None:
    async def again(payload: ToolCall, call_next: Next) -> Any:
        try:
            return await call_next(payload)
        except ServerUnavailableError:
            return await call_next(payload)

    async def instead(payload: ToolCall, call_next: Next) -> Any:
        try:
            return await call_next(payload)
        except ServerUnavailableError:
            return ToolResult(meta={"stale": True})

    gone = ServerUnavailableError("away", server="s")
    assert result(await run(Wraps(again), server=Server(gone))) is RESULT
    stale = result(await run(Wraps(instead), server=Server(gone)))
    assert stale == ToolResult(meta={"stale": True})


async def test_a_wrapper_that_swallows_an_error_does_not_make_it_good() -> None:
    async def swallows(payload: ToolCall, call_next: Next) -> Any:
        try:
            await call_next(payload)
        except ServerUnavailableError:
            return None

    server = Server(ServerUnavailableError("away", server="s"))
    with pytest.raises(ServerUnavailableError):
        await run(Wraps(swallows), server=server)
    assert server.asked == [CALL]


async def test_a_wrappers_timeout_ends_what_it_wraps() -> None:
    ended = anyio.Event()

    class Hangs(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
            raise AssertionError

    for on_error in (OnError.FAIL, OnError.IGNORE):
        op = operation()
        policy = Policy(timeout=0.01, on_error=on_error)
        outcome = await run(Wraps(passes), policy=policy, server=Hangs(), op=op)
        assert isinstance(outcome.verdict, Deny)
        assert outcome.verdict.code == PLUGIN_ERROR
        assert ended.is_set()
        assert lines(op)[0].detail == "timed out"
        told = outcome.verdict.reason
        late = "the call took longer than 0.01 s, the timeout of plugin 'p0'"
        assert (told == late) is (on_error is OnError.IGNORE)


async def test_the_end_of_the_request_ends_a_wrapper_and_is_recorded() -> None:
    class Hangs(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            await anyio.sleep_forever()
            raise AssertionError

    op = operation()
    chain = compile_chains([("w", Wraps(passes), Policy())])["tool_pre_invoke"]
    with anyio.move_on_after(0.01) as scope:
        await chain(CALL, op, Hangs())
    assert scope.cancelled_caught
    assert told(op) == [("w", "cancelled", "cancelled")]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (CALL, "returned ToolCall; a wrapper here returns ToolResult"),
        (Respond(RESULT), "returned Respond; a wrapper here returns ToolResult"),
        ({"content": []}, "returned dict; a wrapper here returns ToolResult"),
    ],
)
async def test_what_a_wrapper_may_not_return_is_its_failure(answer: Any, detail: str) -> None:
    async def returns(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return answer

    op = operation()
    outcome = await run(Wraps(returns), op=op)
    assert isinstance(outcome.verdict, Deny)
    assert lines(op)[0].detail == detail


async def test_a_wrapper_that_forgets_to_await_is_told_so() -> None:
    async def forgets(payload: ToolCall, call_next: Next) -> Any:
        return call_next(payload)

    server, op = Server(), operation()
    assert isinstance((await run(Wraps(forgets), server=server, op=op)).verdict, Deny)
    assert server.asked == []
    assert lines(op)[0].detail.startswith("returned a coroutine: await it")


@pytest.mark.parametrize("on_error", [OnError.FAIL, OnError.IGNORE])
@pytest.mark.parametrize("error", [None, ValueError()])
async def test_a_wrapper_that_ends_before_the_rest_does_asks_nobody_twice(
    on_error: OnError, error: Exception | None
) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def leaves(payload: ToolCall, call_next: Next) -> Any:
        async def rest() -> Any:
            return await call_next(payload)

        tasks.append(asyncio.ensure_future(rest()))
        await anyio.wait_all_tasks_blocked()
        if error is not None:
            raise error
        return RESULT

    go = anyio.Event()

    class Waits(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            self.asked.append(payload)
            await go.wait()
            return Outcome(payload, Respond(RESULT))

    server = Waits()
    outcome = await run(Wraps(leaves), policy=Policy(on_error=on_error), server=server)
    assert isinstance(outcome.verdict, Deny)
    go.set()
    with anyio.fail_after(5):
        await asyncio.wait(tasks)
    assert server.asked == [CALL]


async def test_the_rest_takes_the_payload_of_the_hook() -> None:
    async def mistakes(_: ToolCall, call_next: Any) -> Any:
        return await call_next({"name": "echo"})

    server = Server()
    assert isinstance((await run(Wraps(mistakes), server=server)).verdict, Deny)
    assert server.asked == []


async def test_the_rest_cannot_be_called_after_the_turn_or_twice_at_once() -> None:
    kept: list[Any] = []

    async def keeps(payload: ToolCall, call_next: Next) -> Any:
        kept.append(call_next)
        return await call_next(payload)

    async def twice(payload: ToolCall, call_next: Next) -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_next, payload)
            tasks.start_soon(call_next, payload)

    class Slow(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            await anyio.lowlevel.checkpoint()
            return await super().__call__(payload)

    await run(Wraps(keeps))
    with pytest.raises(RuntimeError, match="after its turn was over"):
        await kept[0](CALL)
    outcome = await run(Wraps(twice), server=Slow())
    assert isinstance(outcome.verdict, Deny)


async def test_a_wrapper_that_rests_blocks_or_is_passed_over_as_the_operator_says() -> None:
    async def fails(_: ToolCall, __: Next) -> Any:
        raise ValueError

    for skip in (False, True):
        policy = Policy(on_error=OnError.DISABLE, skip_disabled=skip)
        chain = compile_chains([("w", Wraps(fails), policy)])["tool_pre_invoke"]
        assert isinstance((await chain(CALL, operation(), Server())).verdict, Deny)
        op = operation()
        assert (result(await chain(CALL, op, Server())) is RESULT) is skip
        assert told(op) == [("w", "error", "pass" if skip else "deny")]
        assert lines(op)[0].detail == "is disabled after an error"


async def test_a_wrapper_that_works_again_is_taken_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    fails = [True]

    async def sometimes(payload: ToolCall, call_next: Next) -> Any:
        if fails[0]:
            raise ValueError
        return await call_next(payload)

    health = Health(lambda: now[0])
    policy = Policy(on_error=OnError.DISABLE, health=health)
    chain = compile_chains([("w", Wraps(sometimes), policy)])["tool_pre_invoke"]
    await chain(CALL, operation(), Server())
    now[0], fails[0] = 31.0, False
    assert result(await chain(CALL, operation(), Server())) is RESULT
    assert not health.rests
    assert caplog.messages[-1] == "plugin 'w' works again"


async def test_a_chain_with_wrappers_needs_what_they_wrap() -> None:
    chain = compile_chains([("w", Wraps(passes), Policy())])["tool_pre_invoke"]
    with pytest.raises(TypeError, match="tool_pre_invoke has wrappers"):
        await chain(CALL, operation())


# notes and records


async def test_what_a_wrapper_shares_is_there_when_its_turn_has_ended_well() -> None:
    class Shares:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, context: Context, call_next: Next
        ) -> Any:
            context.shared["by"] = "wrapper"
            context.annotate("attempts", 1)
            return await call_next(payload)

    class Looks:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            assert "by" not in context.shared
            context.shared["inner"] = True

    op = operation()
    assert result(await run(Shares(), Looks(), op=op)) is RESULT
    assert op.shared == {"by": "wrapper", "inner": True}
    assert [f.key for f in lines(op)[0].findings] == ["attempts"]


async def test_a_wrappers_own_time_is_without_what_it_wraps() -> None:
    class Takes(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            await anyio.sleep(0.05)
            return await super().__call__(payload)

    op = operation()
    await run(Wraps(passes), server=Takes(), op=op)
    assert 0 < lines(op)[0].duration_ns < 50_000_000


async def test_without_its_wrappers_a_chain_is_what_is_left() -> None:
    says = Says()
    plugins = [("w", Wraps(passes), Policy()), ("p", says, Policy())]
    chain = compile_chains(plugins)["tool_pre_invoke"].without_wrappers()
    assert (await chain(CALL, operation())).verdict is None
    assert says.seen == [CALL]
    assert not chain.wraps


def did(op: Operation) -> Wrapped:
    """Return what is on record of the first plugin, which wraps the others."""
    assert op.record
    turn = op.record[0][4]
    assert isinstance(turn, Wrapped)
    return turn


def cause(op: Operation) -> tuple[str, str, str]:
    """Return what the gateway itself objected to, of whom and in which hook."""
    error = failures(op)[0].__cause__
    assert isinstance(error, PluginError)
    return error.message, error.plugin, error.hook


async def test_all_attempts_count_as_the_time_inside() -> None:
    class Takes(Server):
        took = 0

        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            began = perf_counter_ns()
            await anyio.sleep(0.01)
            outcome = await super().__call__(payload)
            self.took += perf_counter_ns() - began
            return outcome

    async def twice(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return await call_next(payload)

    server, op = Takes(), operation()
    await run(Wraps(twice), server=server, op=op)
    assert did(op).inside >= server.took


async def test_of_a_wrapper_that_asks_nobody_no_time_is_inside() -> None:
    async def cached(_: ToolCall, __: Next) -> Any:
        return RESULT

    op = operation()
    outcome = await run(Wraps(cached), op=op)
    assert did(op).inside == 0
    assert outcome.payload is CALL


async def test_while_a_wrapper_has_its_turn_it_is_on_record_before_those_that_it_wraps() -> None:
    op = operation()

    class Looks(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            assert told(op) == [("p0", "cancelled", "cancelled")]
            return await super().__call__(payload)

    assert result(await run(Wraps(passes), server=Looks(), op=op)) is RESULT


async def test_a_deny_that_is_passed_on_is_the_wrappers_answer_on_record() -> None:
    op = operation()
    await run(Wraps(passes), Says(Deny("inner")), op=op)
    assert did(op).answer == did(op).got == Deny("inner")


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.BACKGROUND, None])
async def test_a_condition_is_asked_about_the_operation(mode: Mode | None) -> None:
    def when(op: Operation) -> bool:
        asked.append(op)
        return False

    def offer(step: Step, payload: object, _: Operation) -> bool:
        raise AssertionError

    asked: list[Operation] = []
    plugin, policy = Says() if mode else Wraps(passes), Policy(mode or Mode.ENFORCE, when=when)
    op = operation()
    chain = compile_chains([("p", plugin, policy)], offer=offer)["tool_pre_invoke"]
    await chain(CALL, op, Server())
    assert [each is op for each in asked] == [True]


async def test_the_headers_of_a_wrappers_deny_need_the_capability() -> None:
    async def slows(_: ToolCall, __: Next) -> Any:
        return Deny("later", http_headers={"Retry-After": "3"})

    assert (await run(Wraps(slows))).verdict == Deny("later")


async def test_an_objection_to_a_wrapper_names_it_and_the_hook() -> None:
    async def returns(_: ToolCall, __: Next) -> Any:
        return CALL

    async def leaves(payload: ToolCall, call_next: Next) -> Any:
        async def rest() -> Any:
            return await call_next(payload)

        tasks.append(asyncio.ensure_future(rest()))
        await anyio.wait_all_tasks_blocked()

    class Waits(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            await go.wait()
            return await super().__call__(payload)

    tasks: list[asyncio.Future[Any]] = []
    go, op = anyio.Event(), operation()
    await run(Wraps(returns), op=op)
    wrong = "returned ToolCall; a wrapper here returns ToolResult"
    assert cause(op) == (wrong, "p0", "tool_pre_invoke")
    op = operation()
    await run(Wraps(leaves), server=Waits(), op=op)
    assert cause(op) == ("ended while call_next was under way", "p0", "tool_pre_invoke")
    go.set()
    with anyio.fail_after(5):
        await asyncio.wait(tasks)


async def test_the_rest_says_what_is_wrong_with_how_it_is_called() -> None:
    async def mistakes(payload: ToolCall, call_next: Any) -> Any:
        with pytest.raises(TypeError, match=r"^call_next takes ToolCall, not dict$"):
            await call_next({})
        kept.append(call_next)
        return await call_next(payload)

    class Again(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            message = r"^call_next was called while it was under way already$"
            with pytest.raises(RuntimeError, match=message):
                await kept[0](payload)
            return await super().__call__(payload)

    kept: list[Any] = []
    assert result(await run(Wraps(mistakes), server=Again())) is RESULT
    with pytest.raises(RuntimeError, match=r"^call_next was called after its turn was over$"):
        await kept[0](CALL)


async def test_another_attempt_knows_nothing_of_the_request_before() -> None:
    class Sends(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            assert op.request is None
            op.request = payload
            return await super().__call__(payload)

    async def twice(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        return await call_next(payload)

    op = operation()
    assert result(await run(Wraps(twice), server=Sends(), op=op)) is RESULT
    assert op.request is CALL


async def test_a_wrapper_of_a_post_hook_leaves_the_request_on_view() -> None:
    class Post:
        @hookimpl(wrapper=True)
        async def tool_post_invoke(self, payload: ToolResult, call_next: Any) -> Any:
            return await call_next(payload)

    op = operation()
    op.request = CALL
    await compile_chains([("p", Post(), Policy())])["tool_post_invoke"](RESULT, op)
    assert op.request is CALL


async def test_what_came_before_an_attempt_that_is_given_up_is_not_the_answer() -> None:
    async def impatient(payload: ToolCall, call_next: Next) -> Any:
        await call_next(payload)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call_next(payload)

    class Slow(Server):
        async def __call__(self, payload: ToolCall) -> Outcome[Any]:
            await anyio.lowlevel.checkpoint()
            return await super().__call__(payload)

    outcome = await run(Wraps(impatient), server=Slow())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR


async def test_a_failure_beside_the_servers_is_a_failure_of_the_wrapper() -> None:
    async def both(payload: ToolCall, call_next: Next) -> Any:
        try:
            await call_next(payload)
        except ServerUnavailableError as gone:
            raise ExceptionGroup("both", [gone, ValueError()]) from None

    gone = ServerUnavailableError("away", server="s")
    outcome = await run(Wraps(both), server=Server(gone))
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR


async def test_only_a_wrapper_that_is_to_be_disabled_rests() -> None:
    health = Health()
    health.fail(0, trial=False)
    policy = Policy(on_error=OnError.IGNORE, health=health)
    assert result(await run(Wraps(passes), policy=policy)) is RESULT
    assert health.admit() is True  # nobody's trial is over


@pytest.mark.parametrize("gone", [None, ServerUnavailableError("away", server="s")])
async def test_a_wrapper_whose_trial_goes_well_is_on_trial_no_more(
    gone: ServerUnavailableError | None,
) -> None:
    health = Health()
    health.fail(0, trial=False)
    policy = Policy(on_error=OnError.DISABLE, health=health)
    with suppress(ServerUnavailableError):
        await run(Wraps(passes), policy=policy, server=Server(gone or RESULT))
    assert health.admit() is False


async def test_a_wrapper_whose_trial_fails_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(_: ToolCall, __: Next) -> Any:
        raise ValueError

    health = Health()
    policy = Policy(on_error=OnError.DISABLE, health=health, retry_after=0)
    for _ in range(3):
        await run(Wraps(fails), policy=policy)
    assert len(caplog.records) == 3
    assert health.admit() is True


async def test_a_chain_without_its_wrappers_answers_and_observes_as_before() -> None:
    def offer(step: Step, payload: object, _: Operation) -> bool:
        offered.append(payload)
        return True

    offered: list[Any] = []
    changed = CALL.replace(arguments={"n": 2})
    plugins = [
        ("w", Wraps(passes), Policy()),
        ("change", Says(changed), Policy()),
        ("answer", Says(Respond(RESULT)), Policy()),
        ("b", Says(), Policy(Mode.BACKGROUND)),
    ]
    chain = compile_chains(plugins, offer=offer)["tool_pre_invoke"].without_wrappers()
    assert chain.hook == "tool_pre_invoke"
    outcome = await chain(CALL, operation())
    assert (result(outcome), outcome.plugin) == (RESULT, "answer")
    assert offered == [changed]
