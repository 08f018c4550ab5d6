"""Run loads against targets in turns, and say what came of it."""

import asyncio
import itertools
import statistics
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gateway_peers import Running
from load import Ask, Client, Figures, Template, run_load
from measuring import number, table
from processes import cpu_seconds, rss_mb

WARM_UP = 0.5
"""Seconds, at most."""
HANGING = 8
"""How many calls wait for a server that hangs, while others are measured."""


@dataclass(frozen=True)
class Load:
    """What is asked, by how many at once."""

    era: str = "modern"
    connections: int = 16
    size: int = 0
    progress: int = 0
    lists: bool = False
    hanging: bool = False
    """Whether the last server has calls that it does not answer."""
    note: str = ""

    @property
    def label(self) -> str:
        return ", ".join(filter(None, (self.era, f"{self.connections} at once", self.note)))

    def asks(self, target: Running) -> list[Ask]:
        backend = target.backend
        if self.lists:
            return [Ask(tools=backend.all_tools)]
        servers = range(backend.servers - backend.hung)
        return [Ask(target.tool(n), size=self.size, progress=self.progress) for n in servers]


@dataclass(frozen=True)
class Run:
    """One load on one target for some seconds."""

    figures: Figures
    cpu: float
    """µs for each call, of the target's process and all that it started."""
    rss: float


@dataclass
class Row:
    """A target and a load, and a run of each round."""

    target: Running
    load: Load
    runs: list[Run] = field(default_factory=list[Run])
    warm_up: Figures | None = None

    async def run(self, seconds: float) -> Run:
        try:
            return await self._run(seconds)
        except OSError as error:  # it is not there any more
            raise self.target.failure(error) from error

    async def _run(self, seconds: float) -> Run:
        client, asks = self.target.client(self.load.era), self.load.asks(self.target)
        async with _hanging(self.target, client, self.load):
            before = cpu_seconds(self.target.processes())
            figures = await run_load(client, asks, self.load.connections, seconds)
            pids = self.target.processes()
            cpu = (cpu_seconds(pids) - before) * 1e6 / max(1, figures.calls)
        return Run(figures, cpu, rss_mb(*pids))


@asynccontextmanager
async def _hanging(target: Running, client: Client, load: Load) -> AsyncGenerator[None]:
    """Keep calls of the server that hangs under way meanwhile, and give them up at the end."""
    if not load.hanging:
        yield
        return
    ask = Ask(target.tool(target.backend.servers - 1))
    template = Template(client, ask.method, ask.params())
    connections = [await client.connect() for _ in range(HANGING)]
    waiting = [each.ask(template.fill(next(client.ids))) for each in connections]
    done, _ = await asyncio.wait(waiting, timeout=0.5)
    if done:
        raise RuntimeError(f"{target.title}: a server that hangs answered {done.pop().result()}")
    yield
    for answer, connection in zip(waiting, connections, strict=True):
        answer.cancel()
        connection.close()


async def in_turns(rows: Sequence[Row], rounds: int, seconds: float) -> None:
    """Give each row a run in every round, after one to warm up, in alternating order."""
    for row in rows:
        row.warm_up = (await row.run(min(WARM_UP, seconds))).figures
    for turn in range(rounds):
        for row in rows if turn % 2 else reversed(rows):
            row.runs.append(await row.run(seconds))


@dataclass(frozen=True)
class Figure:
    """A row of a table: medians over the rounds; times in milliseconds, memory in MB."""

    case: str
    load: str
    target: str
    rate: float
    p50: float
    p99: float
    cpu: float
    """µs of processor time for each call."""
    rss: float
    of_direct: float | None
    """Of its rate; the median of the rounds' own ratios."""
    of_nginx: float | None
    calls: int
    failed: int
    reason: str
    """The first failure."""
    cold: float | None = None
    """Seconds until the first complete `tools/list`."""
    idle_rss: float | None = None


def figures(case: str, rows: Sequence[Row]) -> list[Figure]:
    return [_figure(case, row, rows) for row in rows]


def _figure(case: str, row: Row, rows: Sequence[Row]) -> Figure:
    runs = [run.figures for run in row.runs]
    all_runs = [*runs, *([row.warm_up] if row.warm_up else [])]
    return Figure(
        case,
        row.load.label,
        row.target.title,
        statistics.median(run.rate for run in runs),
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        statistics.median(run.cpu for run in row.runs),
        statistics.median(run.rss for run in row.runs),
        _ratio(row, rows, "direct"),
        _ratio(row, rows, "nginx"),
        sum(run.calls for run in all_runs),
        sum(run.failed for run in all_runs),
        next((run.reason for run in all_runs if run.reason), ""),
    )


def _ratio(row: Row, rows: Sequence[Row], title: str) -> float | None:
    found = [r for r in rows if r.load == row.load and r.target.title == title]
    if not found:
        return None
    pairs = zip(row.runs, found[0].runs, strict=True)
    return _median(
        [mine.figures.rate / theirs.figures.rate for mine, theirs in pairs if theirs.figures.rate]
    )


def median_of(parts: Iterable[Figure]) -> list[Figure]:
    """Put figures of one load and target each, of one round each, into one of the rounds."""
    groups: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for each in parts:
        groups[each.load, each.target].append(each)
    names = ("rate", "p50", "p99", "cpu", "rss", "of_direct", "of_nginx", "cold", "idle_rss")
    merged: list[Figure] = []
    for group in groups.values():
        middle: dict[str, Any] = {
            name: _median([getattr(each, name) for each in group]) for name in names
        }
        summed: dict[str, Any] = {
            name: sum(getattr(each, name) for each in group) for name in ("calls", "failed")
        }
        reason = next((each.reason for each in group if each.reason), "")
        merged.append(replace(group[0], **middle, **summed, reason=reason))
    return merged


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


HEAD = ("what", "req/s", "p50 ms", "p99 ms", "CPU µs", "RSS MB", "of direct", "of nginx", "failed")


def show(title: str, found: Sequence[Figure]) -> str:
    """Return a heading and a table for each load."""
    cold = ("cold s", "idle MB") if any(each.cold is not None for each in found) else ()
    parts = [f"## {title}"]
    for load, group in itertools.groupby(found, key=lambda each: each.load):
        rows = [_cells(each, with_cold=bool(cold)) for each in group]
        parts.append(f"{load}\n\n{table((*HEAD, *cold), rows)}")
    reasons = [f"{each.target}, {each.load}: {each.reason}" for each in found if each.reason]
    return "\n\n".join([*parts, *reasons]) + "\n"


def _cells(each: Figure, *, with_cold: bool) -> list[str]:
    told = [each.rate, each.p50, each.p99, each.cpu, each.rss]
    ratios = [_share(each.of_direct), _share(each.of_nginx)]
    cold = [each.cold, each.idle_rss] if with_cold else []
    more = ["" if value is None else number(value) for value in cold]
    return [each.target, *map(number, told), *ratios, str(each.failed), *more]


def _share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.{3 if ratio < 0.1 else 2}f}"
