import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor import background as module
from plugway.executor.background import Background
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.health import Health
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway_hookspecs import Context, Mode, OnError, Operation, ToolCall, hookimpl

CALL = ToolCall("echo")
IN_BACKGROUND = Policy(Mode.BACKGROUND)


class Keeps:
    """Keeps what it sees; waits for `go` first."""

    def __init__(self, *, go: bool = True) -> None:
        self.seen: list[ToolCall] = []
        self.go = anyio.Event()
        if go:
            self.go.set()

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        await self.go.wait()
        self.seen.append(payload)


@asynccontextmanager
async def chain_of(
    plugin: object, policy: Policy = IN_BACKGROUND, size: int = 10, workers: int = 1
) -> AsyncGenerator[tuple[Chain[ToolCall], Background]]:
    background = Background(size, workers)
    chain = compile_chains([("p", plugin, policy)], offer=background.offer)["tool_pre_invoke"]
    async with background.running():
        yield chain, background


def operation() -> Operation:
    return Operation("1", "tools/call", "echo")


async def test_the_request_does_not_wait() -> None:
    plugin = Keeps(go=False)
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, _):
            await chain(CALL, operation())
            assert plugin.seen == []
            plugin.go.set()
    assert plugin.seen == [CALL]


async def test_what_is_queued_is_done_before_the_gateway_stops() -> None:
    plugin = Keeps()
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, background):
            for _ in range(7):
                await chain(CALL, operation())
    assert len(plugin.seen) == 7
    assert background.dropped == 0


async def test_what_is_queued_is_done_though_the_gateway_is_cancelled() -> None:
    plugin = Keeps(go=False)
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with chain_of(plugin) as (chain, _):
            await chain(CALL, operation())
            plugin.go.set()
            scope.cancel()
            await anyio.sleep_forever()
    assert plugin.seen == [CALL]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says of dropped calls."""
    parts = [record.getMessage().partition("calls dropped, ") for record in caplog.records]
    return [what for _, _, what in parts if what]


async def test_what_does_not_fit_is_dropped_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = Keeps(go=False)
    with anyio.fail_after(5):
        async with chain_of(plugin, size=2) as (chain, background):
            await chain(CALL, operation())
            await anyio.wait_all_tasks_blocked()  # one is taken, two fit
            for _ in range(5):
                await chain(CALL, operation())
            assert background.dropped == 3
            plugin.go.set()
    assert len(plugin.seen) == 3
    assert told(caplog) == ["the queue is full: 1 so far", "the queue is full: 3 so far"]


async def test_the_log_tells_of_dropped_calls_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    background = Background(1, clock=lambda: now)
    chain = compile_chains([("p", Keeps(), IN_BACKGROUND)], offer=background.offer)
    for now in (0.0, 1.0, 59.0, 60.0, 61.0):  # noqa: B007 - the clock reads it
        await chain["tool_pre_invoke"](CALL, operation())
    assert told(caplog) == [
        "the gateway is stopping: 1 so far",
        "the gateway is stopping: 4 so far",
    ]


async def test_what_comes_when_the_gateway_has_stopped_is_dropped_and_counted() -> None:
    plugin = Keeps()
    async with chain_of(plugin) as (chain, background):
        pass
    await chain(CALL, operation())
    assert background.dropped == 1


async def test_draining_ends_and_what_is_left_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.0)
    plugin = Keeps(go=False)
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, background):
            await chain(CALL, operation())
            await anyio.wait_all_tasks_blocked()
            for _ in range(2):
                await chain(CALL, operation())
    assert plugin.seen == []
    assert background.dropped == 3  # the one under way, and the two behind it
    assert "the gateway is stopping: 3 so far" in caplog.text


class ReturnsCoroutine:
    """A plain def round an `async def`, as a careless decorator makes it."""

    def __init__(self) -> None:
        self.done = 0

    async def work(self) -> None:
        self.done += 1

    @hookimpl
    def tool_pre_invoke(self) -> Any:
        return self.work()


async def test_work_that_nobody_would_await_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    plugin = ReturnsCoroutine()
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, _):
            await chain(CALL, operation())
    assert plugin.done == 0
    assert "returned a coroutine: await it, or declare the hook async def" in caplog.text


class Fails:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.called = 0

    @hookimpl
    async def tool_pre_invoke(self) -> None:
        self.called += 1
        raise self.error


@pytest.mark.parametrize(
    "error", [ValueError("s3cret"), SystemExit(1), asyncio.CancelledError(), TimeoutError()]
)
async def test_a_failure_ends_neither_the_queue_nor_the_gateway(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = Fails(error)
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, _):
            for _ in range(2):
                await chain(CALL, operation())
                await anyio.wait_all_tasks_blocked()
            await anyio.lowlevel.checkpoint()
    assert plugin.called == 2
    assert "background plugin 'p' failed in tool_pre_invoke: " in caplog.text
    assert "s3cret" not in caplog.text


class CancelsItself:
    """Cancels its own task and swallows that, then says that it was cancelled."""

    def __init__(self) -> None:
        self.called = 0

    @hookimpl
    async def tool_pre_invoke(self) -> None:
        self.called += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        raise asyncio.CancelledError


async def test_a_plugin_that_cancels_its_task_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = CancelsItself()
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, background):
            for _ in range(3):
                await chain(CALL, operation())
    assert plugin.called == 3
    assert background.dropped == 0
    assert caplog.text.count("background plugin 'p' failed in tool_pre_invoke: ") == 3


async def test_a_plugin_that_is_to_be_disabled_after_an_error_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin, policy = Fails(ValueError()), Policy(Mode.BACKGROUND, OnError.DISABLE)
    with anyio.fail_after(5):
        async with chain_of(plugin, policy) as (chain, _):
            for _ in range(3):
                await chain(CALL, operation())
    assert plugin.called == 1
    assert policy.health.rests
    assert ", in request 1 (tools/call 'echo'); it rests for " in caplog.text


async def test_a_trial_that_is_given_up_when_the_gateway_stops_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.0)
    health = Health(lambda: 0.0)
    health.fail(0.0, trial=False)
    policy = Policy(Mode.BACKGROUND, OnError.DISABLE, health=health)
    with anyio.fail_after(5):
        async with chain_of(Keeps(go=False), policy) as (chain, _):
            await chain(CALL, operation())
            await anyio.wait_all_tasks_blocked()
            assert health.rests
    assert not health.rests


async def test_a_timeout_makes_room_for_the_next() -> None:
    plugin = Keeps(go=False)
    with anyio.fail_after(5):
        async with chain_of(plugin, Policy(Mode.BACKGROUND, timeout=0.01)) as (chain, _):
            await chain(CALL, operation())
            await chain(CALL, operation())
    assert plugin.seen == []


async def test_plain_functions_take_part() -> None:
    seen: list[Any] = []

    class Plain:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
            seen.append((context.request_id, payload))

    with anyio.fail_after(5):
        async with chain_of(Plain()) as (chain, _):
            await chain(CALL, operation())
    assert seen == [("1", CALL)]


async def test_several_calls_run_at_the_same_time_and_no_more_than_that() -> None:
    running = most = 0
    go = anyio.Event()

    class Counts:
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await go.wait()
            running -= 1

    with anyio.fail_after(5):
        async with chain_of(Counts(), workers=3) as (chain, _):
            for _ in range(5):
                await chain(CALL, operation())
            await anyio.wait_all_tasks_blocked()
            go.set()
    assert (running, most) == (0, 3)


async def test_a_call_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 0.01)
    plugin = Keeps(go=False)
    with anyio.fail_after(5):
        async with chain_of(plugin) as (chain, _):
            await chain(CALL, operation())
            await chain(CALL, operation())
    assert plugin.seen == []


async def test_the_record_says_what_became_of_a_call() -> None:
    plugin = Keeps(go=False)
    op = Operation("1", "tools/call", "echo", record=[])
    with anyio.fail_after(5):
        async with chain_of(plugin, size=1) as (chain, _):
            await chain(CALL, operation())
            await anyio.wait_all_tasks_blocked()
            for _ in range(2):
                await chain(CALL, op)
            plugin.go.set()
    assert [(line.requested, line.applied) for line in lines(op)] == [
        ("queued", "queued"),
        ("dropped", "dropped"),
    ]
