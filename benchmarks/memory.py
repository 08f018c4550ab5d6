"""Does memory stay flat? A million mixed calls, requests, and waves of concurrent chains.

    uv run python benchmarks/memory.py [--calls 1000000] [--requests 100000] [--concurrent 10000]

Resident memory after a warm-up and at the end; what it may grow is the goal, and the exit code says
whether it was kept. The objects of our own types are counted before and after.
"""

import argparse
import asyncio
import gc
import logging
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from measuring import describe, machine
from memory_chains import HOOK, Dispatched, Mixed, Pass

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway_hookspecs import Context, Operation, Scope, ToolCall, hookimpl

GOAL_MB = 5.0
Call = Callable[[], Coroutine[Any, Any, None]]
PACKAGES = ("plugway", "plugway_hookspecs")
WAVES = 16


def rss_mb() -> float:
    """Return resident memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def objects() -> Counter[type]:
    """Count the objects that are alive, by type."""
    gc.collect()
    return Counter(map(type, gc.get_objects()))


def is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in PACKAGES


class Verdict:
    """Collects whether goals were kept."""

    def __init__(self) -> None:
        self.kept = True

    @contextmanager
    def watch(self, what: str, memory: Callable[[], float] = rss_mb) -> Generator[None]:
        """Compare memory (in MB) and objects before and after a block."""
        alive, before, started = objects(), memory(), time.perf_counter()
        yield
        growth, more = memory() - before, objects()
        more.subtract(alive)
        ours = {kind.__qualname__: n for kind, n in more.items() if n > 0 and is_ours(kind)}
        kept = growth < GOAL_MB and not ours
        self.kept = self.kept and kept
        seconds = time.perf_counter() - started
        print(f"{what}: {before:.1f} MB before, {growth:+.2f} MB, {seconds:.0f} s")
        print(
            f"  goal < {GOAL_MB:g} MB, none of our objects more: {'kept' if kept else 'NOT KEPT'}"
        )
        print(f"  ours: {ours or 'none'}; all objects: {more.total():+,}", flush=True)


async def repeat(thousand: Callable[[], Awaitable[int]], calls: int) -> None:
    done = 0
    while done < calls:
        done += await thousand()


class Wait:
    """A plugin in the middle of a chain that waits until all chains have come as far."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.waiting = 0

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        self.waiting += 1
        await self.gate.wait()


async def wave(
    wait: Wait, call: Call, concurrent: int, memory: Callable[[], float] = rss_mb
) -> float:
    """Run `concurrent` calls that all wait at once; return how much `memory` says meanwhile."""
    wait.gate, wait.waiting = anyio.Event(), 0
    tasks = [asyncio.ensure_future(call()) for _ in range(concurrent)]
    while wait.waiting < concurrent:  # noqa: ASYNC110 - it counts; an event each would weigh in
        await asyncio.sleep(0)
    most = memory()
    wait.gate.set()
    await asyncio.gather(*tasks)
    return most


async def bytes_each(wait: Wait, call: Call, concurrent: int) -> float:
    """Return the bytes that Python has allocated for each call while all wait."""
    tracemalloc.start()
    most = await wave(wait, call, concurrent, lambda: tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return most / concurrent


async def waves(verdict: Verdict, concurrent: int) -> None:
    """Run chains of three plugins at once, over and over."""
    wait = Wait()
    plugins = [("first", Pass()), ("waits", wait), ("last", Pass())]
    chain: Chain[Any] = compile_chains([(name, p, Policy()) for name, p in plugins])[HOOK]
    payload = ToolCall("echo", {"a": 1})

    context = Context(Operation("1", "tools/call"), Scope("p"))

    async def call() -> None:
        await chain(payload, Operation("1", "tools/call", "echo", record=[]))

    async def task_alone() -> None:
        await wait.tool_pre_invoke(payload, context)

    peaks = [await wave(wait, call, concurrent) for _ in range(2)]  # fill the allocator's pools
    what = f"{WAVES} waves of {concurrent:,} concurrent chains, at their peak"
    with verdict.watch(what, lambda: peaks[-1]):
        peaks += [await wave(wait, call, concurrent) for _ in range(WAVES)]
    print(f"  resident while all wait, MB: {', '.join(f'{peak:.1f}' for peak in peaks)}")
    whole = await bytes_each(wait, call, concurrent)
    alone = await bytes_each(wait, task_alone, concurrent)
    print(f"  {whole:,.0f} bytes each; a task that only waits takes {alone:,.0f} of them")


async def main(calls: int, requests: int, concurrent: int) -> bool:
    logger = logging.getLogger("plugway")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    print(describe(machine("anyio")))
    verdict, mixed, dispatched = Verdict(), Mixed(), Dispatched()
    await repeat(mixed.thousand, 20_000)
    mixed.made.clear()
    with verdict.watch(f"{calls:,} calls of compiled chains"):
        await repeat(mixed.thousand, calls)
    print(f"  {', '.join(f'{name}: {made:,}' for name, made in mixed.made.items())}")
    await repeat(dispatched.thousand, 5_000)
    with verdict.watch(f"{requests:,} requests through the dispatcher"):
        await repeat(dispatched.thousand, requests)
    print(f"  the listener read {dispatched.heard:,} lines of record")
    await waves(verdict, concurrent)
    return verdict.kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Does memory stay flat?")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--concurrent", type=int, default=10_000)
    options = parser.parse_args()
    kept = asyncio.run(main(options.calls, options.requests, options.concurrent))
    sys.exit(0 if kept else 1)
