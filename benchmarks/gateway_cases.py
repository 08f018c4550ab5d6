"""The cases of the gateway's benchmark: what is started, what is asked, and in which order."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from gateway_peers import STARTS, Backend, Lab, Running
from gateway_runs import Figure, Load, Row, figures, in_turns, median_of
from processes import rss_mb

FEW = ("direct", "nginx", "plugway", "plugway 10", "fastmcp reuse")
ALL = (*FEW[:3], "plugway 1", "plugway 10", "plugway 50", "plugway pii", *FEW[4:])
FEDERATING = ("plugway", "fastmcp reuse")
IDLE = 10_000
KB = 1024


@dataclass(frozen=True)
class Bench:
    """How a case is measured, and what is left out."""

    lab: Lab
    rounds: int
    seconds: float
    without: frozenset[str] = frozenset()

    async def start(
        self, stack: AsyncExitStack, names: Sequence[str], backend: Backend
    ) -> list[Running]:
        taking_part = [name for name in names if name.split()[0] not in self.without]
        starts = [STARTS[name](self.lab, backend) for name in taking_part]
        return [await stack.enter_async_context(each) for each in starts]


Measure = Callable[[Bench, "Case"], Awaitable[list[Figure]]]


async def together(bench: Bench, case: "Case") -> list[Figure]:
    """Start all targets, and let them take turns, load by load."""
    found: list[Figure] = []
    async with AsyncExitStack() as stack:
        targets = await bench.start(stack, case.targets, case.backend)
        for load in case.loads:
            rows = [Row(target, load) for target in targets if _can(target, load)]
            await in_turns(rows, bench.rounds, bench.seconds)
            found += figures(case.name, rows)
    return found


def _can(target: Running, load: Load) -> bool:
    """Tell whether a target has a load: one has sessions only."""
    return load.era == "legacy" or target.title != "fastmcp, stateful"


async def mixed(bench: Bench, case: "Case") -> list[Figure]:
    """Let not only the targets take turns but their loads too, which are to be compared."""
    async with AsyncExitStack() as stack:
        targets = await bench.start(stack, case.targets, case.backend)
        rows = [Row(target, load) for load in case.loads for target in targets]
        await in_turns(rows, bench.rounds, bench.seconds)
        return figures(case.name, rows)


async def idle(bench: Bench, case: "Case") -> list[Figure]:
    """Measure before and after sessions were opened which then do nothing."""
    load = case.loads[0]
    async with AsyncExitStack() as stack:
        targets = await bench.start(stack, case.targets, case.backend)
        before = [Row(target, replace(load, note="no other session")) for target in targets]
        await in_turns(before, bench.rounds, bench.seconds)
        for target in targets:
            await open_sessions(target, IDLE)
        note = f"{IDLE:,} idle sessions"
        after = [Row(target, replace(load, note=note)) for target in targets]
        await in_turns(after, bench.rounds, bench.seconds)
        return figures(case.name, [*before, *after])


async def open_sessions(target: Running, count: int) -> None:
    """Shake hands many times on one connection; none of the sessions is used or ended."""
    client = target.client("legacy")
    connection = await client.connect()
    for _ in range(count):
        await replace(client, session="").open(connection)
    connection.close()


async def one_by_one(bench: Bench, case: "Case") -> list[Figure]:
    """Start each target anew in every round, alone: how long it takes, how large it is."""
    found: list[Figure] = []
    for _, name in ((turn, name) for turn in range(bench.rounds) for name in case.targets):
        async with AsyncExitStack() as stack:
            for target in await bench.start(stack, [name], case.backend):
                idle_rss = rss_mb(*target.processes())
                rows = [Row(target, load) for load in case.loads]
                await in_turns(rows, 1, bench.seconds)
                told = figures(case.name, rows)
                found += [replace(each, cold=target.cold, idle_rss=idle_rss) for each in told]
    return median_of(found)


@dataclass(frozen=True)
class Case:
    """What is compared, at which loads, and how it is measured."""

    name: str
    title: str
    targets: tuple[str, ...]
    loads: tuple[Load, ...]
    backend: Backend = field(default_factory=Backend)
    measure: Measure = together


ERAS = ("modern", "legacy")

CASES = (
    Case(
        "echo",
        "Echo of 32 bytes",
        (*ALL, "fastmcp stateful"),
        tuple(Load(era, connections) for era in ERAS for connections in (1, 16, 64, 256)),
    ),
    Case(
        "size",
        "Results of 1 KB, 64 KB and 1 MB",
        FEW,
        (
            Load(size=KB, note="1 KB"),
            Load(size=64 * KB, note="64 KB"),
            Load(size=1024 * KB, note="1 MB"),
        ),
    ),
    Case(
        "list",
        "tools/list of 1,000 tools, of 50 servers",
        FEW,
        (Load(connections=4, lists=True),),
        Backend(servers=50, tools=20),
    ),
    Case(
        "sse",
        "A stream with ten notifications of progress",
        FEW[:4],  # fastmcp's proxy loses the notifications
        tuple(Load(era, progress=10) for era in ERAS),
    ),
    Case(
        "hung",
        "Four servers, beside a fifth that hangs or is not asked",
        FEDERATING,
        (Load(note="not asked"), Load(hanging=True, note="hangs")),
        Backend(servers=5, hung=True),
        mixed,
    ),
    Case(
        "idle",
        f"Echo beside {IDLE:,} idle sessions",
        FEDERATING,
        (Load("legacy"),),
        Backend(gateway={"max_sessions": 2 * IDLE}),
        idle,
    ),
    Case(
        "stdio",
        "A server over a pipe",
        ("plugway", "plugway 10", "fastmcp reuse"),
        (Load(connections=1), Load()),
        Backend(stdio=True),
    ),
    Case(
        "start",
        "Five servers: the start, and memory before and after load",
        ("nginx", "plugway", "plugway 10", "plugway pii", "fastmcp reuse"),
        (Load(),),
        Backend(servers=5),
        one_by_one,
    ),
    Case(
        "external",
        "A plugin in another process",
        ("plugway", "plugway 1", "plugway external"),
        (Load(connections=1), Load()),
    ),
)

QUICK = (
    Case(
        "quick",
        "Echo of 32 bytes",
        ("direct", "nginx", "plugway", "plugway 10"),
        (Load(connections=1), Load()),
    ),
)
