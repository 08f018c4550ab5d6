"""Measure alternatives in turns, so that whatever else the machine does hits all of them alike."""

import asyncio
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

Work = Callable[[], Awaitable[object]]
SAMPLE_NS = 8_000_000
"""How long one sample takes, about: long for the clock, short for what disturbs it."""


@dataclass(frozen=True)
class Sample:
    """What one call took in one round, in µs: CPU of all threads, and by the clock on the wall."""

    cpu: float
    wall: float


async def sample(work: Work, calls: int) -> Sample:
    """Call `calls` times; CPU time leaves out what other processes take from this one."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for _ in range(calls):
        await work()
    cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
    return Sample(cpu / calls / 1000, wall / calls / 1000)


async def _calls(work: Work) -> int:
    """Return how many calls fill a sample; warms up on the way."""
    calls = 1
    while (took := (await sample(work, calls)).cpu * calls * 1000) < SAMPLE_NS / 4:
        calls *= 2
    return max(1, int(calls * SAMPLE_NS / took))


async def in_turns(works: Sequence[Work], rounds: int) -> list[list[Sample]]:
    """Return each work's samples; every round has one of each, in alternating order."""
    counts = [await _calls(work) for work in works]
    samples: list[list[Sample]] = [[] for _ in works]
    gc.collect()
    for turn in range(rounds):
        order = range(len(works)) if turn % 2 else reversed(range(len(works)))
        for index in order:
            await asyncio.sleep(0)  # the loop tidies up what the last sample left
            samples[index].append(await sample(works[index], counts[index]))
    return samples


def median(samples: Sequence[Sample]) -> Sample:
    return Sample(
        statistics.median(each.cpu for each in samples),
        statistics.median(each.wall for each in samples),
    )


def machine(*distributions: str) -> dict[str, str]:
    """Return what figures depend on."""
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in distributions},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def describe(facts: Mapping[str, str]) -> str:
    named = ("cpu", "system", "python")
    return ", ".join(v if k in named else f"{k} {v}" for k, v in facts.items())


def number(value: float) -> str:
    """Write a figure with three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table that is also readable as it stands; `left` columns hold text."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * w if column < left else f"{'-' * (w - 1)}:" for column, w in enumerate(widths)]
    return "\n".join(map(line, (head, rule, *rows)))


def write_json(file: Path, facts: Mapping[str, str], figures: Sequence[Any]) -> None:
    """Write the figures (dataclasses) beside what they depend on."""
    content = {"machine": facts, "figures": [asdict(each) for each in figures]}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
