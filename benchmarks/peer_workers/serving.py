"""What every peer's worker does: check once that plugins really run, then measure on request.

It runs in each peer's own environment, so it is made of the standard library alone. One line of
JSON in, one out; the parent decides whose turn it is.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

ARGUMENTS: dict[str, Any] = {"a": 1, "b": "two", "c": [3]}
CHECKS = 50
"""Calls of the check."""


class Tally:
    """Counts what plugins do; only in the check, the plugins that are measured do not count."""

    def __init__(self) -> None:
        self.ran = 0
        self.saw_change = 0
        """How often a plugin was given what the one before it had changed."""


@dataclass
class Subject:
    """One case: `call` runs all its plugins once and tells whether that went as it should."""

    call: Callable[[], Awaitable[bool]]
    arguments: Callable[[], Any]
    """The arguments that the last call would send on."""


Build = Callable[[str, str, int, Tally | None], Awaitable[Subject | None]]
"""Variant, kind of plugin (`noop`, `modify`, `skip`), how many, tally; None: it can't do that."""


class Worker:
    """Answers the parent's lines."""

    def __init__(self, build: Build, distributions: Sequence[str]) -> None:
        self.build = build
        self.distributions = distributions
        self.subjects: dict[tuple[str, str, int], Subject] = {}

    async def answer(self, line: dict[str, Any]) -> dict[str, Any]:
        if line["do"] == "describe":
            versions = {name: version(name) for name in self.distributions}
            return {"python": sys.version.split()[0], "versions": versions}
        case = line["variant"], line["kind"], line["count"]
        if line["do"] == "check":
            return await self._check(*case)
        return await self._measure(self.subjects[case], line["calls"])

    async def _check(self, variant: str, kind: str, count: int) -> dict[str, Any]:
        tally = Tally()
        counted = await self.build(variant, kind, count, tally)
        measured = await self.build(variant, kind, count, None)
        if counted is None or measured is None:
            return {"can": False}
        right = [await counted.call() for _ in range(CHECKS)]
        self.subjects[variant, kind, count] = measured
        right.append(await measured.call())
        return {
            "can": True,
            "right": all(right),
            "ran": tally.ran / CHECKS,
            "saw_change": tally.saw_change / CHECKS,
            "arguments": [counted.arguments(), measured.arguments()],
        }

    async def _measure(self, subject: Subject, calls: int) -> dict[str, Any]:
        call = subject.call
        failed = 0
        await asyncio.sleep(0)  # the loop tidies up what the last sample left
        gc.collect()
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(calls):
            if not await call():
                failed += 1
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        return {"cpu": cpu / calls / 1000, "wall": wall / calls / 1000, "failed": failed}


async def _serve(worker: Worker) -> None:
    for line in sys.stdin:  # nothing else is to run meanwhile
        print(json.dumps(await worker.answer(json.loads(line))), flush=True)


def serve(build: Build, *distributions: str) -> None:
    asyncio.run(_serve(Worker(build, distributions)))
