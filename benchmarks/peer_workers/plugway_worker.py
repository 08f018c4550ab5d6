"""plugway's chain, with and without its record, and the bare loop awaiting the same functions."""

from typing import Any

from serving import ARGUMENTS, Subject, Tally, serve

from plugway.executor.compiler import compile_chains
from plugway.executor.conditions import Condition, compile_conditions
from plugway.executor.steps import Policy
from plugway_hookspecs import Context, Operation, Scope, ToolCall, hookimpl

PAYLOAD = ToolCall("echo", ARGUMENTS)
NEVER = Policy(when=compile_conditions([Condition(tools=("other",))]))


class NoOp:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None


class Modify:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return payload.replace(arguments={**payload.arguments, "b": "changed"})


def counting(kind: type[Any], tally: Tally) -> object:
    class Counting:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall | None:
            tally.ran += 1
            tally.saw_change += payload.arguments["b"] == "changed"
            answer: ToolCall | None = await kind.tool_pre_invoke(self, payload, context)
            return answer

    return Counting()


async def build(variant: str, kind: str, count: int, tally: Tally | None) -> Subject | None:
    cls = Modify if kind == "modify" else NoOp
    plugins = [counting(cls, tally) if tally else cls() for _ in range(count)]
    if variant == "bare loop":
        return None if kind == "skip" else _bare(plugins)
    policy = NEVER if kind == "skip" else Policy()
    chain = compile_chains([(f"p{i}", plugin, policy) for i, plugin in enumerate(plugins)])
    run, recorded = chain["tool_pre_invoke"], variant == "recorded"
    last = PAYLOAD

    async def call() -> bool:
        nonlocal last
        operation = Operation("1", "tools/call", "echo", record=[] if recorded else None)
        outcome = await run(PAYLOAD, operation)
        last = outcome.payload
        return outcome.verdict is None

    return Subject(call, lambda: last.arguments)


def _bare(plugins: list[Any]) -> Subject:
    functions = [plugin.tool_pre_invoke for plugin in plugins]
    last = PAYLOAD

    async def call() -> bool:
        nonlocal last
        payload, context = PAYLOAD, Context(Operation("1", "tools/call", "echo"), Scope("p"))
        for function in functions:
            answer = await function(payload, context)
            if answer is not None:
                payload = answer
        last = payload
        return True

    return Subject(call, lambda: last.arguments)


serve(build, "plugway", "pluggy", "anyio")
