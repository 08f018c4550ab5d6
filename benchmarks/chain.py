"""The chain against a bare loop awaiting the same functions, in one run.

    uv run python benchmarks/chain.py

Every figure is the median over interleaved rounds; the ratio is what counts.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from plugway.chain import Chain
from plugway.compiler import compile_chains
from plugway.conditions import Condition, compile_conditions
from plugway.steps import Policy
from plugway_hookspecs import Context, Operation, Scope, ToolCall, hookimpl

HOOK = "tool_pre_invoke"
ROUNDS, CALLS = 15, 4000
Function = Callable[[Any, Any], Awaitable[Any]]


class NoOp:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None


class Modify:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return payload.replace(arguments={**payload.arguments, "b": "changed"})


def chain_of(plugins: list[Any], policy: Policy) -> Chain[Any]:
    return compile_chains([(f"p{i}", plugin, policy) for i, plugin in enumerate(plugins)])[HOOK]


async def bare(functions: list[Function], payload: Any, context: Any) -> Any:
    for function in functions:
        answer = await function(payload, context)
        if answer is not None:
            payload = answer
    return payload


async def measure(work: Callable[[], Awaitable[Any]]) -> float:
    """Return microseconds per call."""
    started = time.perf_counter()
    for _ in range(CALLS):
        await work()
    return (time.perf_counter() - started) / CALLS * 1e6


def cases() -> list[tuple[str, list[Any], Policy, bool]]:
    never = compile_conditions([Condition(tools=("other__*",))])
    rows: list[tuple[str, list[Any], Policy, bool]] = []
    for count in (0, 1, 10, 50):
        rows += [(f"{count} no-op", [NoOp() for _ in range(count)], Policy(), False)]
    for count in (1, 10, 50):
        rows += [(f"{count} modifying", [Modify() for _ in range(count)], Policy(), False)]
    rows.append(("10 skipped", [NoOp() for _ in range(10)], Policy(when=never), False))
    rows.append(("10 no-op, recorded", [NoOp() for _ in range(10)], Policy(), True))
    rows.append(("10 with timeouts", [NoOp() for _ in range(10)], Policy(timeout=5), False))
    return rows


async def main() -> None:
    payload = ToolCall("echo", {"a": 1, "b": "two", "c": [3]})
    print(f"CPython {sys.version.split()[0]}, {ROUNDS} rounds of {CALLS} calls, medians")
    print(f"{'case':<22}{'bare µs':>10}{'chain µs':>10}{'ratio':>8}")
    for name, plugins, policy, record in cases():
        chain = chain_of(plugins, policy)
        context = Context(Operation("1", "tools/call"), Scope("p"))
        functions: list[Function] = [plugin.tool_pre_invoke for plugin in plugins]

        async def through_chain(chain: Chain[Any] = chain, record: bool = record) -> None:
            operation = Operation("1", "tools/call", "echo", record=[] if record else None)
            await chain(payload, operation)

        operation = Operation("1", "tools/call", "echo")

        async def shared(chain: Chain[Any] = chain, operation: Operation = operation) -> None:
            await chain(payload, operation)

        async def plain(functions: list[Function] = functions, context: Context = context) -> None:
            await bare(functions, payload, context)

        ratios: list[float] = []
        bares: list[float] = []
        chains: list[float] = []
        for _ in range(ROUNDS):
            b, c = await measure(plain), await measure(through_chain if record else shared)
            bares.append(b)
            chains.append(c)
            ratios.append(c / b)
        row = statistics.median(bares), statistics.median(chains), statistics.median(ratios)
        print(f"{name:<22}{row[0]:>10.2f}{row[1]:>10.2f}{row[2]:>8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
