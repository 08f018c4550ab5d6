import asyncio
import json
import logging
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor import compiler
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.health import Health
from plugway.executor.record import failures, lines
from plugway.executor.steps import Policy
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    PluginError,
    ToolCall,
    ToolResult,
    hookimpl,
)

ALLOWED = "allowed: ToolCall, Deny, Respond, None"
CALL = ToolCall("echo")


class Raises:
    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.called = 0

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        self.called += 1
        error = self.errors.pop(0)
        if error is not None:
            raise error


def chain_of(plugin: object, policy: Policy) -> Chain[ToolCall]:
    return compile_chains([("p", plugin, policy)])["tool_pre_invoke"]


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


def failed(verdict: object) -> bool:
    return isinstance(verdict, Deny) and verdict.code == PLUGIN_ERROR


async def test_a_failing_guard_blocks() -> None:
    outcome = await chain_of(Raises(ValueError()), Policy())(CALL, operation())
    assert outcome.verdict == Deny("plugin 'p' failed, and it guards this", code="plugin_error")


async def test_a_failing_transform_blocks_too_because_what_it_masks_would_pass() -> None:
    outcome = await chain_of(Raises(ValueError()), Policy(Mode.TRANSFORM))(CALL, operation())
    assert failed(outcome.verdict)


async def test_a_disabled_plugin_is_not_called_and_still_blocks() -> None:
    plugin, policy = Raises(ValueError(), None), Policy(on_error=OnError.DISABLE)
    chain = chain_of(plugin, policy)
    assert failed((await chain(CALL, operation())).verdict)
    op = operation()
    assert failed((await chain(CALL, op)).verdict)
    assert plugin.called == 1
    assert lines(op)[0].detail == "is disabled after an error"


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def disabling(clock: Clock, **more: Any) -> Policy:
    return Policy(on_error=OnError.DISABLE, retry_after=30, health=Health(clock), **more)


async def test_the_log_says_in_which_request_a_plugin_failed_how_long_it_rests_and_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    chain = chain_of(Raises(ValueError(), None), disabling(clock))
    await chain(CALL, operation())
    clock.now = 30.0
    await chain(CALL, operation())
    failure, back = caplog.messages
    assert failure.startswith("plugin 'p' failed in tool_pre_invoke: raised ValueError at ")
    assert failure.endswith(", in request 1 (tools/call 'echo'); it rests for 30 s")
    assert back == "plugin 'p' works again"


async def test_a_disabled_plugin_is_tried_again_when_its_time_is_over() -> None:
    clock = Clock()
    plugin, policy = Raises(ValueError(), None, None), disabling(clock)
    chain = chain_of(plugin, policy)
    await chain(CALL, operation())
    clock.now = 29.9
    assert policy.health.rests
    assert failed((await chain(CALL, operation())).verdict)
    clock.now = 30.0
    assert (await chain(CALL, operation())).verdict is None
    assert (await chain(CALL, operation())).verdict is None
    assert plugin.called == 3


async def test_a_retry_that_fails_disables_again() -> None:
    clock = Clock()
    plugin, policy = Raises(ValueError(), ValueError(), None), disabling(clock)
    chain = chain_of(plugin, policy)
    await chain(CALL, operation())
    clock.now = 31.0
    await chain(CALL, operation())
    assert policy.health.rests
    clock.now = 60.0
    assert failed((await chain(CALL, operation())).verdict)
    assert plugin.called == 2
    clock.now = 61.0
    assert (await chain(CALL, operation())).verdict is None


class Opens:
    """Fails once; later calls wait for a gate."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.called = 0
        self.fails = True

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        self.called += 1
        if self.fails:
            raise ValueError
        await self.gate.wait()


async def test_while_a_retry_is_under_way_nobody_else_is_let_through() -> None:
    clock, plugin = Clock(), Opens()
    chain = chain_of(plugin, disabling(clock))
    await chain(CALL, operation())
    plugin.fails, clock.now = False, 31.0
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(chain, CALL, operation())
            await anyio.wait_all_tasks_blocked()
            assert failed((await chain(CALL, operation())).verdict)
            plugin.gate.set()
        assert plugin.called == 2
        assert (await chain(CALL, operation())).verdict is None


async def test_a_retry_that_is_given_up_leaves_it_to_the_next_call() -> None:
    clock, plugin = Clock(), Opens()
    chain = chain_of(plugin, disabling(clock))
    await chain(CALL, operation())
    plugin.fails, clock.now = False, 31.0
    with anyio.move_on_after(0.01):
        await chain(CALL, operation())
    plugin.gate.set()
    assert (await chain(CALL, operation())).verdict is None
    assert plugin.called == 3


async def test_a_call_that_began_before_the_failure_does_not_bring_the_plugin_back() -> None:
    plugin = Opens()
    plugin.fails = False
    policy = disabling(Clock())
    chain = chain_of(plugin, policy)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(chain, CALL, operation())
            await anyio.wait_all_tasks_blocked()
            plugin.fails = True
            await chain(CALL, operation())
            plugin.gate.set()
    assert policy.health.rests


async def test_an_operator_may_let_things_pass_while_a_guard_rests() -> None:
    plugin = Raises(ValueError(), None)
    chain = chain_of(plugin, disabling(Clock(), skip_disabled=True))
    assert failed((await chain(CALL, operation())).verdict)
    op = operation()
    assert (await chain(CALL, op)).verdict is None
    assert plugin.called == 1
    assert [(line.requested, line.applied) for line in lines(op)] == [("error", "pass")]


async def test_how_long_a_plugin_rests_is_the_operators_choice() -> None:
    plugin = Raises(ValueError(), None)
    chain = chain_of(plugin, Policy(on_error=OnError.DISABLE, retry_after=0.0))
    await chain(CALL, operation())
    assert (await chain(CALL, operation())).verdict is None
    assert plugin.called == 2


async def test_a_disabled_observer_blocks_nothing() -> None:
    chain = chain_of(Raises(ValueError()), Policy(Mode.AUDIT, OnError.DISABLE))
    for _ in range(2):
        op = operation()
        assert (await chain(CALL, op)).verdict is None
        assert (lines(op)[0].requested, lines(op)[0].applied) == ("error", "pass")


async def test_a_plugin_that_is_disabled_in_one_hook_is_disabled_in_all() -> None:
    class Both(Raises):
        posts = 0

        @hookimpl
        async def tool_post_invoke(self) -> None:
            self.posts += 1

    plugin = Both(ValueError())
    chains = compile_chains([("p", plugin, Policy(on_error=OnError.DISABLE))])
    await chains["tool_pre_invoke"](CALL, operation())
    outcome = await chains["tool_post_invoke"](ToolResult(), operation())
    assert failed(outcome.verdict)
    assert plugin.posts == 0


async def test_only_the_failure_is_logged_not_every_refusal_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain = chain_of(Raises(ValueError()), Policy(on_error=OnError.DISABLE))
    for _ in range(3):
        await chain(CALL, operation())
    assert len(caplog.records) == 1


class Blocks:
    """Blocks the loop until its time is over."""

    def __init__(self, answer: Deny | None = None) -> None:
        self.answer = answer

    @hookimpl
    async def tool_pre_invoke(self) -> Deny | None:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass
        return self.answer


async def test_a_plugin_that_blocks_beyond_its_timeout_has_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiler, "BLOCKED_SECONDS", 0.0)
    outcome = await chain_of(Blocks(), Policy(timeout=0.01))(CALL, operation())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR
    assert "plugin 'p' blocked the event loop 0.0 s beyond its timeout" in caplog.text


async def test_what_is_denied_too_late_is_denied() -> None:
    policy = Policy(timeout=0.01, on_error=OnError.IGNORE)
    assert (await chain_of(Blocks(Deny("no")), policy)(CALL, operation())).verdict == Deny("no")
    assert (await chain_of(Blocks(), policy)(CALL, operation())).verdict is None


async def test_a_timeout_cancels_the_plugin_for_real() -> None:
    cancelled = False

    class Hangs:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            nonlocal cancelled
            try:
                await anyio.sleep_forever()
            finally:
                cancelled = True

    op = operation()
    with anyio.fail_after(5):
        outcome = await chain_of(Hangs(), Policy(timeout=0.01))(CALL, op)
    assert failed(outcome.verdict)
    assert cancelled
    assert lines(op)[0].detail == "timed out"


async def test_a_plugin_within_its_time_is_left_alone() -> None:
    outcome = await chain_of(Raises(None), Policy(timeout=5))(CALL, operation())
    assert outcome.verdict is None


async def test_the_end_of_the_request_is_no_failure_of_the_plugin() -> None:
    class Hangs:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            await anyio.sleep_forever()

    op = operation()
    chain = chain_of(Hangs(), Policy(on_error=OnError.IGNORE, timeout=60))
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await chain(CALL, op)
    assert [(line.requested, line.applied) for line in lines(op)] == [("cancelled", "cancelled")]


async def test_cancelling_the_task_is_no_failure_of_the_plugin() -> None:
    started = anyio.Event()

    class Hangs:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            started.set()
            await anyio.sleep_forever()

    task = asyncio.ensure_future(
        chain_of(Hangs(), Policy(on_error=OnError.IGNORE))(CALL, operation())
    )
    with anyio.fail_after(5):
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class AwaitsSomethingCancelled:
    """What a plugin does whose connection's task was cancelled."""

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.TRANSFORM, Mode.VALIDATE])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(mode: Mode) -> None:
    op = operation()
    outcome = await chain_of(AwaitsSomethingCancelled(), Policy(mode))(CALL, op)
    assert failed(outcome.verdict)
    assert lines(op)[0].detail.startswith("raised CancelledError")


async def test_validators_that_await_something_cancelled_let_nothing_through() -> None:
    policy = Policy(Mode.VALIDATE)
    chain = compile_chains(
        [("a", AwaitsSomethingCancelled(), policy), ("b", Raises(None), policy)]
    )["tool_pre_invoke"]
    assert len(chain.steps) == 1
    outcome = await chain(CALL, operation())
    assert failed(outcome.verdict)
    assert outcome.plugin == "a"


async def test_a_plugin_that_exits_stops_the_operation_and_not_the_gateway() -> None:
    outcome = await chain_of(Raises(SystemExit(1)), Policy())(CALL, operation())
    assert failed(outcome.verdict)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
async def test_what_ends_the_process_is_passed_on(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await chain_of(Raises(error), Policy(on_error=OnError.IGNORE))(CALL, operation())


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(), TimeoutError()])
async def test_exceptions_that_python_gives_a_meaning_are_failures_as_well(
    error: Exception,
) -> None:
    class Plain:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> Any:
            raise error

    assert failed((await chain_of(Plain(), Policy())(CALL, operation())).verdict)
    assert failed((await chain_of(Raises(error), Policy())(CALL, operation())).verdict)


class Strange(BaseException):
    """No `Exception`, and nobody's business but the plugin's."""


async def test_an_exception_that_is_no_exception_is_a_failure() -> None:
    op = operation()
    outcome = await chain_of(Raises(Strange()), Policy())(CALL, op)
    assert failed(outcome.verdict)
    assert lines(op)[0].detail.startswith("raised Strange at ")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
async def test_the_end_of_the_process_is_nobodys_failure(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await chain_of(Raises(error), Policy(on_error=OnError.IGNORE))(CALL, operation())


async def test_a_group_of_failures_is_one_failure() -> None:
    op = operation()
    group = BaseExceptionGroup("several", [ValueError(), Strange()])
    outcome = await chain_of(Raises(group), Policy(on_error=OnError.IGNORE))(CALL, op)
    assert outcome.verdict is None
    assert lines(op)[0].detail.startswith("raised BaseExceptionGroup")


async def test_a_group_with_the_end_of_the_process_in_it_does_not_come_out_as_a_group() -> None:
    group = BaseExceptionGroup("several", [ValueError(), KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        await chain_of(Raises(group), Policy())(CALL, operation())


async def test_of_a_plugin_that_fails_nothing_stays() -> None:
    class Leaves:
        @hookimpl
        def tool_pre_invoke(self, context: Context) -> None:
            context.shared["mine"] = 1
            raise ValueError

    op = operation()
    await chain_of(Leaves(), Policy(on_error=OnError.IGNORE))(CALL, op)
    assert op.shared == {}


async def test_headers_of_a_deny_need_the_capability(caplog: pytest.LogCaptureFixture) -> None:
    class Slows:
        @hookimpl
        def tool_pre_invoke(self) -> Deny:
            return Deny("later", http_status=429, http_headers={"Retry-After": "3"})

    denied = (await chain_of(Slows(), Policy())(CALL, operation())).verdict
    assert denied == Deny("later", http_status=429)
    assert "may not write HTTP headers" in caplog.text
    policy = Policy(capabilities=frozenset({"write_headers"}))
    denied = (await chain_of(Slows(), policy)(CALL, operation())).verdict
    assert denied == Deny("later", http_status=429, http_headers={"Retry-After": "3"})


# what is said about it


def causes(op: Operation) -> list[tuple[str, str, str]]:
    """Return what the gateway itself objected to, of whom and in which hook."""
    raised = [failure.__cause__ for failure in failures(op)]
    return [(e.message, e.plugin, e.hook) for e in raised if isinstance(e, PluginError)]


class Answers:
    """Answers with what it may not."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def tool_pre_invoke(self) -> Any:
        return self.answer


async def test_an_answer_that_is_none_is_objected_to_by_name() -> None:
    op = operation()
    await chain_of(Answers("yes"), Policy())(CALL, op)
    assert causes(op) == [(f"returned str; {ALLOWED}", "p", "tool_pre_invoke")]


async def test_a_coroutine_of_a_plain_def_is_objected_to_by_name() -> None:
    op = operation()
    await chain_of(Answers(anyio.lowlevel.checkpoint()), Policy())(CALL, op)
    advice = "returned a coroutine: await it, or declare the hook async def"
    assert causes(op) == [(advice, "p", "tool_pre_invoke")]


async def test_what_can_be_closed_is_not_taken_for_a_coroutine() -> None:
    answer, op = StringIO(), operation()
    await chain_of(Answers(answer), Policy())(CALL, op)
    assert causes(op) == [(f"returned StringIO; {ALLOWED}", "p", "tool_pre_invoke")]
    assert not answer.closed


async def test_a_refusal_to_call_names_the_plugin_and_the_hook() -> None:
    chain = chain_of(Raises(ValueError()), Policy(on_error=OnError.DISABLE))
    await chain(CALL, operation())
    op = operation()
    await chain(CALL, op)
    assert causes(op) == [("is disabled after an error", "p", "tool_pre_invoke")]


async def test_the_log_says_who_failed_where_and_in_detail_how(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "plugway.executor.failing")
    error = PluginError("no model", plugin="p", hook="h")
    await chain_of(Raises(error), Policy())(CALL, operation())
    said, detail = caplog.messages
    where = "in request 1 (tools/call 'echo')"
    assert said == f"plugin 'p' failed in tool_pre_invoke: no model, {where}"
    head, _, frames = detail.partition("\n")
    assert head == "plugin 'p' failed in tool_pre_invoke"
    assert frames.endswith("raise error\n")


async def test_the_log_says_whose_headers_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await chain_of(Answers(Deny("no", http_headers={"A": "b"})), Policy())(CALL, operation())
    capability = "without capability 'write_headers'"
    assert caplog.messages == [f"plugin 'p' may not write HTTP headers {capability}: left out"]


async def test_a_trial_that_goes_well_is_the_end_of_it(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    policy = disabling(clock)
    chain = chain_of(Raises(ValueError(), None), policy)
    await chain(CALL, operation())
    clock.now = 31.0
    caplog.clear()
    caplog.set_level(logging.INFO)
    await chain(CALL, operation())
    assert caplog.messages == ["plugin 'p' works again"]
    assert policy.health.admit() is False


async def test_a_trial_that_fails_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    chain = chain_of(Raises(ValueError(), ValueError()), disabling(clock))
    for clock.now in (0.0, 31.0):
        await chain(CALL, operation())
    assert len(caplog.records) == 2


async def test_a_trial_that_is_given_up_brings_nobody_back() -> None:
    clock, plugin = Clock(), Opens()
    policy = disabling(clock)
    chain = chain_of(plugin, policy)
    await chain(CALL, operation())
    plugin.fails, clock.now = False, 31.0
    with anyio.CancelScope() as scope:
        scope.cancel()
        await chain(CALL, operation())
    assert policy.health.admit() is True


class Gate:
    """Says when a call has begun, and holds it."""

    def __init__(self) -> None:
        self.started = anyio.Event()
        self.go = anyio.Event()


class Gated:
    """Each call waits for its own gate, and fails then."""

    def __init__(self, *gates: Gate) -> None:
        self.gates = list(gates)

    @hookimpl
    async def tool_pre_invoke(self) -> None:
        gate = self.gates.pop(0)
        gate.started.set()
        await gate.go.wait()
        raise ValueError


@pytest.mark.parametrize("ends", ["fails", "is given up"])
async def test_a_call_from_before_the_failure_does_not_end_the_trial(
    ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    old, fails, trial, clock = Gate(), Gate(), Gate(), Clock()
    policy = disabling(clock)
    chain = chain_of(Gated(old, fails, trial), policy)
    scope = anyio.CancelScope()

    async def begin(scope: anyio.CancelScope) -> None:
        with scope:
            await chain(CALL, operation())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin, scope)
            await old.started.wait()
            fails.go.set()
            await chain(CALL, operation())
            clock.now = 31.0
            tasks.start_soon(begin, anyio.CancelScope())
            await trial.started.wait()
            if ends == "fails":
                old.go.set()
            else:
                scope.cancel()
            await anyio.wait_all_tasks_blocked()
            clock.now = 100.0
            assert policy.health.admit() is None
            assert len(caplog.records) == 1
            trial.go.set()


class Trips:
    """Raises in code of others that it calls."""

    def __init__(self, trip: Callable[[ToolCall], Any]) -> None:
        self.trip = trip

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        self.trip(payload)


def mutate(payload: ToolCall) -> None:
    arguments: Any = payload.arguments
    arguments.update(a=1)


def replace_with_an_object(payload: ToolCall) -> None:
    payload.replace(arguments=object())


def read_json(_: ToolCall) -> None:
    json.loads("{")


@pytest.mark.parametrize(
    ("trip", "error"),
    [
        (mutate, "TypeError"),
        (replace_with_an_object, "NotJsonError"),
        (read_json, "JSONDecodeError"),
    ],
)
async def test_a_failure_is_where_the_plugins_own_code_was(
    trip: Callable[[ToolCall], Any], error: str
) -> None:
    op = operation()
    await chain_of(Trips(trip), Policy())(CALL, op)
    (line,) = lines(op)
    assert line.detail.startswith(f"raised {error} at {__file__}:")


async def test_what_a_post_hook_may_return_is_told() -> None:
    class Wrong:
        @hookimpl
        async def tool_post_invoke(self) -> Any:
            return 5

    op = operation()
    await compile_chains([("p", Wrong(), Policy())])["tool_post_invoke"](ToolResult(), op)
    assert lines(op)[0].detail == "returned int; allowed: ToolResult, Deny, None"
