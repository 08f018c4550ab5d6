import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor.chain import Chain, Failed
from plugway.executor.compiler import compile_chains
from plugway.executor.health import Health
from plugway.executor.record import CANCELLED, failures, lines
from plugway.executor.steps import Policy
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    PluginError,
    ToolCall,
    hookimpl,
)

CALL = ToolCall("echo")
VALIDATE = Policy(Mode.VALIDATE)


class Waits:
    """Denies or passes once it is let go."""

    def __init__(self, answer: Deny | None = None) -> None:
        self.answer = answer
        self.started = anyio.Event()
        self.go = anyio.Event()
        self.done = self.cancelled = False

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
        self.started.set()
        try:
            await self.go.wait()
        except BaseException:
            self.cancelled = True
            raise
        self.done = True
        return self.answer


class Says:
    """Answers at once."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.called = 0

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Any:
        self.called += 1
        return self.answer


def chain_of(plugins: Sequence[object], policy: Policy = VALIDATE) -> Chain[ToolCall]:
    named = [(f"p{number}", plugin, policy) for number, plugin in enumerate(plugins)]
    return compile_chains(named)["tool_pre_invoke"]


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


async def test_neighbours_run_at_the_same_time() -> None:
    one, other = Waits(), Waits()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain_of([one, other]), CALL, operation())
        with anyio.fail_after(5):
            await one.started.wait()
            await other.started.wait()
        other.go.set()
        one.go.set()


async def test_validators_with_another_plugin_between_them_do_not() -> None:
    order: list[str] = []

    class Notes:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            await anyio.lowlevel.checkpoint()
            order.append(self.name)

    chain = compile_chains(
        [
            ("a", Notes("a"), VALIDATE),
            ("b", Notes("b"), Policy(Mode.ENFORCE)),
            ("c", Notes("c"), VALIDATE),
        ]
    )["tool_pre_invoke"]
    assert len(chain.steps) == 3
    await chain(CALL, operation())
    assert order == ["a", "b", "c"]


async def test_the_first_deny_in_priority_order_wins_though_it_comes_last() -> None:
    first, second = Waits(Deny("first")), Waits(Deny("second"))
    outcomes: list[Any] = []

    async def run() -> None:
        outcomes.append(await chain_of([first, second])(CALL, operation()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(5):
            await first.started.wait()
            second.go.set()
            while not second.done:
                await anyio.lowlevel.checkpoint()
        first.go.set()
    assert outcomes[0].verdict == Deny("first")
    assert outcomes[0].plugin == "p0"


async def test_a_deny_cancels_the_siblings_after_it() -> None:
    waits = Waits()
    op = operation()
    with anyio.fail_after(5):
        outcome = await chain_of([Says(Deny("no")), waits])(CALL, op)
    assert outcome.verdict == Deny("no")
    assert not waits.done
    said = [(line.plugin, line.requested, line.applied) for line in lines(op)]
    assert said == [("p0", "deny", "deny"), ("p1", "cancelled", "cancelled")]


async def test_a_sibling_that_has_begun_is_cancelled_for_real() -> None:
    first, second = Waits(Deny("no")), Waits()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain_of([first, second]), CALL, operation())
        with anyio.fail_after(5):
            await second.started.wait()
        first.go.set()
    assert second.cancelled


async def test_a_validator_that_was_not_asked_yet_is_not_asked_after_a_deny() -> None:
    second = Says()
    await chain_of([Says(Deny("no")), second])(CALL, operation())
    assert second.called == 0


async def test_a_validator_before_the_one_that_denies_is_heard_to_the_end() -> None:
    first = Waits()
    op = operation()
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            outcome = await chain_of([first, Says(Deny("second"))])(CALL, op)
            assert outcome.verdict == Deny("second")

        tasks.start_soon(run)
        with anyio.fail_after(5):
            await first.started.wait()
        first.go.set()
    assert first.done
    assert not first.cancelled


async def test_the_record_is_in_priority_order_whoever_is_ready_first() -> None:
    slow = Waits()
    op = operation()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain_of([slow, Says(), Says(ToolCall("changed"))]), CALL, op)
        with anyio.fail_after(5):
            await slow.started.wait()
        slow.go.set()
    assert [(line.plugin, line.requested, line.applied) for line in lines(op)] == [
        ("p0", "pass", "pass"),
        ("p1", "pass", "pass"),
        ("p2", "modify", "pass"),
    ]


async def test_validators_that_pass_leave_the_payload_to_the_next() -> None:
    last = Says()
    chain = compile_chains(
        [("a", Says(), VALIDATE), ("b", Says(), VALIDATE), ("c", last, Policy())]
    )["tool_pre_invoke"]
    outcome = await chain(CALL, operation())
    assert outcome.payload is CALL
    assert last.called == 1


async def test_conditions_hold_for_each_validator() -> None:
    asked, skipped = Says(), Says(Deny("never"))
    op = operation()
    chain = compile_chains(
        [
            ("a", asked, VALIDATE),
            ("b", skipped, Policy(Mode.VALIDATE, when=lambda op: False)),
        ]
    )["tool_pre_invoke"]
    outcome = await chain(CALL, op)
    assert outcome.verdict is None
    assert (asked.called, skipped.called) == (1, 0)
    assert [line.requested for line in lines(op)] == ["pass", "skip"]


async def test_the_timeout_of_one_validator_is_its_own() -> None:
    class Hangs:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            await anyio.sleep_forever()

    op = operation()
    chain = compile_chains(
        [
            ("hangs", Hangs(), Policy(Mode.VALIDATE, OnError.IGNORE, timeout=0.01)),
            ("fine", Says(), VALIDATE),
        ]
    )["tool_pre_invoke"]
    with anyio.fail_after(5):
        outcome = await chain(CALL, op)
    assert outcome.verdict is None
    assert [(line.plugin, line.detail) for line in lines(op)] == [
        ("hangs", "timed out"),
        ("fine", ""),
    ]


async def test_when_the_request_is_cancelled_so_are_all_validators() -> None:
    one, other = Waits(), Waits()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain_of([one, other]), CALL, operation())
        with anyio.fail_after(5):
            await other.started.wait()
        tasks.cancel_scope.cancel()
    assert one.cancelled
    assert other.cancelled


class CancelsItself:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("on_error", OnError)
async def test_a_validator_that_cancels_itself_lets_nothing_through(on_error: OnError) -> None:
    op = operation()
    with anyio.fail_after(5):
        outcome = await chain_of(
            [CancelsItself(), CancelsItself()], Policy(Mode.VALIDATE, on_error)
        )(CALL, op)
    assert (outcome.verdict is None) == (on_error is OnError.IGNORE)
    assert isinstance(outcome, Failed) != (on_error is OnError.IGNORE)
    assert lines(op)[0].detail == "was cancelled"
    assert lines(op)[0].requested == "error"


class Shares:
    """Notes things, in steps between which others have their turn."""

    def __init__(self, name: str, steps: int, answer: Any = None) -> None:
        self.name = name
        self.steps = steps
        self.answer = answer

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> Any:
        context.annotate("began", self.name)
        for _ in range(self.steps):
            assert not context.shared
            await anyio.lowlevel.checkpoint()
        context.shared["last"] = self.name
        context.shared[self.name] = True
        context.annotate("ended", self.name)
        return self.answer


async def test_what_neighbours_share_is_merged_in_priority_order_whoever_was_first() -> None:
    op = operation()
    await chain_of([Shares("a", 5), Shares("b", 0), Shares("c", 2)])(CALL, op)
    assert op.shared == {"last": "c", "a": True, "b": True, "c": True}
    found = [[finding.value for finding in line.findings] for line in lines(op)]
    assert found == [["a", "a"], ["b", "b"], ["c", "c"]]


async def test_what_comes_after_the_deny_that_wins_leaves_nothing_shared() -> None:
    op = operation()
    outcome = await chain_of([Shares("a", 0), Shares("b", 5, Deny("b")), Shares("c", 0)])(CALL, op)
    assert outcome.verdict == Deny("b")
    assert op.shared == {"last": "b", "a": True, "b": True}


class Quick:
    """A plain `def`."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.called = 0

    @hookimpl
    def tool_pre_invoke(self) -> Any:
        self.called += 1
        return self.answer


async def test_a_plain_validators_deny_spares_those_after_it() -> None:
    first, last, plain = Says(), Says(), Quick()
    outcome = await chain_of([first, Quick(Deny("no")), last, plain])(CALL, operation())
    assert (outcome.verdict, outcome.plugin) == (Deny("no"), "p1")
    assert (first.called, last.called, plain.called) == (1, 0, 0)


async def test_plain_validators_are_asked_in_order_however_many_there_are() -> None:
    first, second = Quick(Deny("first")), Quick(Deny("second"))
    chain = chain_of([Says(), first, *[Says() for _ in range(6)], second])
    assert (await chain(CALL, operation())).plugin == "p1"
    assert (first.called, second.called) == (1, 0)


async def test_a_deny_of_higher_priority_wins_over_a_plain_validators() -> None:
    slow = Waits(Deny("slow"))
    slow.go.set()
    outcome = await chain_of([slow, Quick(Deny("quick"))])(CALL, operation())
    assert (outcome.verdict, outcome.plugin) == (Deny("slow"), "p0")


@pytest.mark.parametrize("plugins", [[Says(), Says()], [Quick(), Waits()]])
async def test_the_end_of_the_request_is_recorded_for_everybody_who_was_asked(
    plugins: list[object],
) -> None:
    op = operation()
    chain = chain_of([*plugins, Waits()])
    with anyio.move_on_after(0.01):
        await chain(CALL, op)
    told = {line.plugin: line.requested for line in lines(op)}
    assert told["p2"] == "cancelled"
    assert len(told) == 3


def matches(says: bool, _: Operation) -> bool:
    return says


@pytest.mark.parametrize("matching", [(), (1,), (0, 2)])
async def test_what_does_not_match_is_skipped_in_its_place(matching: Sequence[int]) -> None:
    says = [Says(Deny("no")) for _ in range(4)]
    policies = [Policy(Mode.VALIDATE, when=partial(matches, n in matching)) for n in range(4)]
    plugins = [(f"p{n}", *each) for n, each in enumerate(zip(says, policies, strict=True))]
    op = operation()
    outcome = await compile_chains(plugins)["tool_pre_invoke"](CALL, op)
    assert (outcome.verdict is None) is not bool(matching)
    record = lines(op)
    assert [line.plugin for line in record] == ["p0", "p1", "p2", "p3"]
    skipped = [n for n, line in enumerate(record) if line.requested == "skip"]
    assert skipped == [n for n in range(4) if n not in matching]


async def test_one_that_is_left_is_asked_without_a_task_of_its_own() -> None:
    tasks: list[Any] = []

    class Notes:
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            tasks.append(asyncio.current_task())

    other = Policy(Mode.VALIDATE, when=lambda _: False)
    plugins = [("a", Notes(), VALIDATE), ("b", Notes(), other), ("c", Notes(), other)]
    op = Operation("1", "tools/call", "echo")
    assert (await compile_chains(plugins)["tool_pre_invoke"](CALL, op)).verdict is None
    assert tasks == [asyncio.current_task()]


async def test_a_lost_validator_is_named_and_what_it_saw_is_kept() -> None:
    op = operation()
    outcome = await chain_of([CancelsItself(), CancelsItself()])(CALL, op)
    assert (outcome.payload, outcome.plugin) == (CALL, "p0")
    error = failures(op)[0].__cause__
    assert isinstance(error, PluginError)
    assert (error.plugin, error.hook) == ("p0", "tool_pre_invoke")
    assert op.record
    assert op.record[0][1:4] == (0, 0, CALL)


async def test_a_validator_that_was_not_asked_has_taken_no_time() -> None:
    op = operation()
    await chain_of([Says(Deny("no")), Says()])(CALL, op)
    assert op.record
    assert op.record[1][1:] == (0, 0, CALL, CANCELLED, None)


async def test_a_validator_that_is_lost_while_it_rests_is_not_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = Health()

    class Lost(CancelsItself):
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            health.fail(30, trial=False)
            await super().tool_pre_invoke(payload)

    policy = Policy(Mode.VALIDATE, OnError.DISABLE, health=health)
    outcome = await chain_of([Lost(), Says()], policy)(CALL, operation())
    assert outcome.plugin == "p0"
    assert caplog.records == []


async def test_the_turn_after_validators_begins_when_they_have_ended() -> None:
    op = operation()
    plugins = [("a", Says(), VALIDATE), ("b", Says(), VALIDATE), ("c", Says(), Policy())]
    await compile_chains(plugins)["tool_pre_invoke"](CALL, op)
    _, before, after = lines(op)
    assert after.started_ns >= before.started_ns + before.duration_ns


async def test_neighbours_are_all_given_the_payload() -> None:
    class Sees:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            seen.append(payload)

    seen: list[ToolCall] = []
    await chain_of([Sees(), Sees()])(CALL, operation())
    assert seen == [CALL, CALL]
