import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.steps import Policy
from plugway_hookspecs import Context, Deny, Mode, Operation, ToolCall, hookimpl

CALL = ToolCall("echo")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


class Blocks:
    """Blocks its thread until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = self.most = 0
        self.lock = threading.Lock()

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait(5)
        with self.lock:
            self.running -= 1
        return payload.replace(arguments={"thread": threading.current_thread().name})


def chain_of(plugin: object, policy: Policy, pool: ThreadPoolExecutor) -> Chain[ToolCall]:
    return compile_chains([("p", plugin, policy)], pool)["tool_pre_invoke"]


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_a_plugin_that_blocks_does_not_stall_the_loop(pool: ThreadPoolExecutor) -> None:
    plugin = Blocks()
    outcomes: list[Any] = []

    async def run() -> None:
        outcomes.append(await chain_of(plugin, Policy(threaded=True), pool)(CALL, operation()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until(lambda: plugin.running)  # the loop turns while the plugin blocks
        assert outcomes == []
        plugin.go.set()
    assert outcomes[0].payload.arguments["thread"] != threading.current_thread().name


async def test_no_more_threads_run_than_the_pool_has(pool: ThreadPoolExecutor) -> None:
    plugin = Blocks()
    chain = chain_of(plugin, Policy(threaded=True), pool)
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(chain, CALL, operation())
        await until(lambda: plugin.running == 2)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        plugin.go.set()
    assert plugin.most == 2


async def test_calls_that_were_given_up_still_count(pool: ThreadPoolExecutor) -> None:
    plugin = Blocks()
    chain = chain_of(plugin, Policy(threaded=True, timeout=0.01), pool)
    with anyio.fail_after(5):
        for _ in range(6):
            outcome = await chain(CALL, operation())
            assert isinstance(outcome.verdict, Deny)
            assert outcome.verdict.code == PLUGIN_ERROR
    assert plugin.most == plugin.running == 2
    plugin.go.set()
    await until(lambda: not plugin.running)
    assert plugin.most == 2


async def test_validators_in_threads_run_at_the_same_time(pool: ThreadPoolExecutor) -> None:
    plugin, policy = Blocks(), Policy(Mode.VALIDATE, threaded=True)
    other = Blocks()
    chain = compile_chains([("a", plugin, policy), ("b", other, policy)], pool)["tool_pre_invoke"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain, CALL, operation())
        await until(lambda: plugin.running and other.running)
        plugin.go.set()
        other.go.set()


async def test_context_variables_reach_the_thread(pool: ThreadPoolExecutor) -> None:
    current: ContextVar[str] = ContextVar("current", default="none")

    class Reads:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"current": current.get()})

    current.set("this request")
    outcome = await chain_of(Reads(), Policy(threaded=True), pool)(CALL, operation())
    assert outcome.payload.arguments == {"current": "this request"}


@pytest.mark.parametrize("error", [ValueError(), StopIteration(), SystemExit(1)])
async def test_a_failure_in_a_thread_is_the_plugins(
    error: BaseException, pool: ThreadPoolExecutor
) -> None:
    class Raises:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> Any:
            raise error

    with anyio.fail_after(5):
        outcome = await chain_of(Raises(), Policy(threaded=True), pool)(CALL, operation())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR


async def test_an_annotation_from_a_thread_is_on_record(pool: ThreadPoolExecutor) -> None:
    class Notes:
        @hookimpl
        def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("thread", threading.current_thread().name)

    op = operation()
    await chain_of(Notes(), Policy(threaded=True), pool)(CALL, op)
    assert op.findings[0].value != threading.current_thread().name
