"""What the chain is measured at and compared with: plugins, chains of them, and bare loops."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pluggy
from measuring import Work

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.executor.threads import Threads
from plugway_hookspecs import (
    PROJECT,
    CallNext,
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Outcome,
    Respond,
    Scope,
    Specs,
    ToolCall,
    ToolResult,
    hookimpl,
)

HOOK = "tool_pre_invoke"
PAYLOAD = ToolCall("echo", {"a": 1, "b": "two", "c": [3]})
POOL = Threads(4)
RESULT = ToolResult()
Make = Callable[[], Any]
Next = CallNext[ToolCall, ToolResult]


class NoOp:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None


def another_no_op() -> object:
    """Make a plugin whose function no other has: the interpreter can't specialise on one."""

    class Another:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
            return None

    return Another()


class PlainNoOp:
    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None


class Modify:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return payload.replace(arguments={**payload.arguments, "b": "changed"})


class Fail:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        raise LookupError


class Wrap:
    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall, call_next: Next) -> ToolResult | Deny:
        return await call_next(payload)


class Both(NoOp):
    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        return None


def chain_of(plugins: Sequence[object], policy: Policy) -> Chain[Any]:
    named = [(f"p{index}", plugin, policy) for index, plugin in enumerate(plugins)]
    return compile_chains(named, POOL)[HOOK]


def through(kind: Make, count: int, policy: Policy | None = None) -> Work:
    """Await a chain, with one operation for all calls: only the chain costs."""
    chain = chain_of([kind() for _ in range(count)], policy or Policy())
    operation = Operation("1", "tools/call", "echo")

    async def work() -> None:
        await chain(PAYLOAD, operation)

    return work


def afresh(kind: Make, count: int, *, record: bool) -> Work:
    """Await a chain with a new operation for each call, as records need one."""
    chain = chain_of([kind() for _ in range(count)], Policy())

    async def recorded() -> None:
        await chain(PAYLOAD, Operation("1", "tools/call", "echo", record=[]))

    async def unrecorded() -> None:
        await chain(PAYLOAD, Operation("1", "tools/call", "echo"))

    return recorded if record else unrecorded


def wrapping(count: int) -> Work:
    """Await a chain of wrappers round a call that answers at once."""
    chain = chain_of([Wrap() for _ in range(count)], Policy())
    operation = Operation("1", "tools/call", "echo")

    async def answer(payload: ToolCall) -> Outcome[ToolCall]:
        return Outcome(payload, Respond(RESULT))

    async def work() -> None:
        await chain(PAYLOAD, operation, answer)

    return work


def bare_wrapping(count: int) -> Work:
    """Await the same functions, each with the next one bound to it beforehand."""

    async def answer(payload: ToolCall, /) -> ToolResult | Deny:
        return RESULT

    def bind(function: Callable[..., Any], rest: Next) -> Next:
        async def call_next(payload: ToolCall, /) -> ToolResult | Deny:
            result: ToolResult | Deny = await function(payload, rest)
            return result

        return call_next

    onion: Next = answer
    for _ in range(count):
        onion = bind(Wrap().tool_pre_invoke, onion)

    async def work() -> None:
        await onion(PAYLOAD)

    return work


def bare(kind: Make, count: int) -> Work:
    """Await the same functions in a loop that does nothing else."""
    functions = [kind().tool_pre_invoke for _ in range(count)]
    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def loop() -> Any:
        payload = PAYLOAD
        for function in functions:
            answer = await function(payload, context)
            if answer is not None:
                payload = answer
        return payload

    return loop


def bare_plain(count: int) -> Work:
    functions = [PlainNoOp().tool_pre_invoke for _ in range(count)]
    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def loop() -> None:
        for function in functions:
            function(PAYLOAD, context)

    return loop


def bare_failing() -> Work:
    function = Fail().tool_pre_invoke
    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def loop() -> None:
        try:  # noqa: SIM105 - a context manager costs more than what is compared
            await function(PAYLOAD, context)
        except LookupError:
            pass

    return loop


def bare_gather(count: int) -> Work:
    functions = [NoOp().tool_pre_invoke for _ in range(count)]
    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def gather() -> None:
        await asyncio.gather(*[function(PAYLOAD, context) for function in functions])

    return gather


def bare_threads(count: int) -> Work:
    functions = [PlainNoOp().tool_pre_invoke for _ in range(count)]
    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def loop() -> None:
        run = asyncio.get_running_loop().run_in_executor
        for function in functions:
            await run(POOL, function, PAYLOAD, context)

    return loop


def sitting_out(count: int) -> Work:
    """Await plugins that are disabled after an error; they only observe, so it goes on."""
    policy = Policy(mode=Mode.AUDIT, on_error=OnError.DISABLE)
    policy.health.fail(float("inf"), trial=False)
    return through(NoOp, count, policy)


def yielding(work: Work) -> Work:
    """Let the loop run before each call, as between requests: it drops the timers that ended."""

    async def call() -> None:
        await asyncio.sleep(0)
        await work()

    return call


async def measuring_call() -> None:
    return None


async def operation_alone() -> None:
    Operation("1", "tools/call", "echo")


def compiling(count: int) -> tuple[Work, Work]:
    """Compile plugins of two hooks each; and only register them with pluggy."""
    plugins = [(f"p{index}", Both(), Policy()) for index in range(count)]

    async def compiled() -> None:
        compile_chains(plugins)

    async def registered() -> None:
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(Specs)
        for name, plugin, _ in plugins:
            manager.register(plugin, name=name)

    return compiled, registered
