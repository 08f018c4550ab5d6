import gc
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.steps import Policy
from plugway.executor.threads import Threads
from plugway_hookspecs import Context, Deny, Mode, Operation, ToolCall, hookimpl

CALL = ToolCall("echo")


@pytest.fixture
def pool() -> Iterator[Threads]:
    with Threads(4) as pool:
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


class Says:
    """Has nothing to say."""

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> None: ...


def chain_of(plugin: object, policy: Policy, pool: Threads) -> Chain[ToolCall]:
    return compile_chains([("p", plugin, policy)], pool)["tool_pre_invoke"]


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_a_plugin_that_blocks_does_not_stall_the_loop(pool: Threads) -> None:
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


async def turns(count: int = 100) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_one_plugin_runs_in_half_of_the_threads(pool: Threads) -> None:
    plugin = Blocks()
    chain = chain_of(plugin, Policy(threaded=True), pool)
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(chain, CALL, operation())
        await until(lambda: plugin.running == 2)
        await turns()
        plugin.go.set()
    assert plugin.most == 2


async def test_no_more_threads_run_than_the_pool_has(pool: Threads) -> None:
    plugins = [Blocks() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for number, plugin in enumerate(plugins):
            steps = [(f"p{number}", plugin, Policy(threaded=True))]
            chain = compile_chains(steps, pool)["tool_pre_invoke"]
            for _ in range(3):
                tasks.start_soon(chain, CALL, operation())
        await until(lambda: sum(plugin.running for plugin in plugins) == 4)
        await turns()
        assert sum(plugin.running for plugin in plugins) == 4
        for plugin in plugins:
            plugin.go.set()


async def test_a_plugin_that_hangs_neither_fills_the_pool_nor_holds_what_is_given_up(
    pool: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, policy = Blocks(), Policy(threaded=True, timeout=0.01)
    chain = chain_of(plugin, policy, pool)
    outcome: Any = None
    with anyio.fail_after(5):
        for _ in range(20):
            outcome = await chain(ToolCall("given up"), operation())
            assert isinstance(outcome.verdict, Deny)
            assert outcome.verdict.code == PLUGIN_ERROR
    assert plugin.most == plugin.running == 2
    assert caplog.text.count("plugin 'p' hangs in all threads that it may have (2)") == 1
    assert alive("given up") < 5  # what hangs, and perhaps the last
    innocent = compile_chains([("other", Says(), Policy(threaded=True))], pool)["tool_pre_invoke"]
    with anyio.fail_after(5):
        assert (await innocent(CALL, operation())).verdict is None
    plugin.go.set()
    await until(lambda: not plugin.running)
    with anyio.fail_after(5):  # it is called again
        assert (
            await chain_of(plugin, Policy(threaded=True), pool)(CALL, operation())
        ).verdict is None
    assert plugin.most == 2


def alive(name: str) -> int:
    """Return how many calls of that name are still held by anybody."""
    gc.collect()
    return sum(each.name == name for each in gc.get_objects() if isinstance(each, ToolCall))


async def test_what_is_given_up_while_all_threads_hang_is_not_held(pool: Threads) -> None:
    hangs, waits = Blocks(), Policy(threaded=True, timeout=0.01)
    for name in ("a", "b"):
        chain = compile_chains([(name, hangs, waits)], pool)["tool_pre_invoke"]
        for _ in range(2):
            await chain(CALL, operation())
    assert hangs.running == 4
    other = compile_chains([("c", Says(), waits)], pool)["tool_pre_invoke"]
    with anyio.fail_after(5):
        for _ in range(20):
            assert (await other(ToolCall("waits"), operation())).verdict is not None
    assert alive("waits") < 5
    hangs.go.set()
    await until(lambda: not hangs.running)
    patient = compile_chains([("c", Says(), Policy(threaded=True))], pool)["tool_pre_invoke"]
    with anyio.fail_after(5):
        assert (await patient(CALL, operation())).verdict is None


async def test_validators_in_threads_run_at_the_same_time(pool: Threads) -> None:
    plugin, policy = Blocks(), Policy(Mode.VALIDATE, threaded=True)
    other = Blocks()
    chain = compile_chains([("a", plugin, policy), ("b", other, policy)], pool)["tool_pre_invoke"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain, CALL, operation())
        await until(lambda: plugin.running and other.running)
        plugin.go.set()
        other.go.set()


async def test_context_variables_reach_the_thread(pool: Threads) -> None:
    current: ContextVar[str] = ContextVar("current", default="none")

    class Reads:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"current": current.get()})

    current.set("this request")
    outcome = await chain_of(Reads(), Policy(threaded=True), pool)(CALL, operation())
    assert outcome.payload.arguments == {"current": "this request"}


@pytest.mark.parametrize("error", [ValueError(), StopIteration(), SystemExit(1)])
async def test_a_failure_in_a_thread_is_the_plugins(error: BaseException, pool: Threads) -> None:
    class Raises:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> Any:
            raise error

    with anyio.fail_after(5):
        outcome = await chain_of(Raises(), Policy(threaded=True), pool)(CALL, operation())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR


async def test_an_annotation_from_a_thread_is_on_record(pool: Threads) -> None:
    class Notes:
        @hookimpl
        def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("thread", threading.current_thread().name)

    op = operation()
    await chain_of(Notes(), Policy(threaded=True), pool)(CALL, op)
    assert op.findings[0].value != threading.current_thread().name
