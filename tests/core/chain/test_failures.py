import asyncio
from typing import Any

import anyio
import pytest

from plugway.chain import PLUGIN_ERROR, Chain
from plugway.compiler import compile_chains
from plugway.record import lines
from plugway.steps import Policy
from plugway_hookspecs import Deny, Mode, OnError, Operation, ToolCall, ToolResult, hookimpl

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


async def test_a_disabled_plugin_is_tried_again_when_its_time_is_over() -> None:
    plugin, policy = Raises(ValueError(), None, None), Policy(on_error=OnError.DISABLE)
    chain = chain_of(plugin, policy)
    await chain(CALL, operation())
    assert policy.health.sits_out
    policy.health.until = 0.0  # as if `retry_after` were over
    assert (await chain(CALL, operation())).verdict is None
    assert (await chain(CALL, operation())).verdict is None
    assert plugin.called == 3


async def test_a_retry_that_fails_disables_again() -> None:
    plugin = Raises(ValueError(), ValueError(), None)
    policy = Policy(on_error=OnError.DISABLE)
    chain = chain_of(plugin, policy)
    await chain(CALL, operation())
    policy.health.until = 0.0
    await chain(CALL, operation())
    assert policy.health.sits_out
    await chain(CALL, operation())
    assert plugin.called == 2


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
    assert lines(op) == []


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
