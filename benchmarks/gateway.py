"""plugway before an echo server, beside no proxy, nginx, and fastmcp's proxy, in one table a case.

    uv run python benchmarks/gateway.py [--quick] [--cases echo,size] [--rounds 5] [--json FILE]

The proxy has a core of its own, and the load generator shares another with the servers behind,
which cost so little that the proxy is the bottleneck. Fails when an answer is not its request's.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import gateway_peers
import uvloop
from gateway_cases import CASES, QUICK, Bench, Case
from gateway_peers import Lab
from gateway_runs import Figure, show
from measuring import describe, machine, write_json
from processes import Cores

LEFT_OUT = ("nginx", "fastmcp")


async def main(
    cases: Sequence[Case], rounds: int, seconds: float, without: frozenset[str], file: Path | None
) -> bool:
    """Measure, and return whether every answer was right."""
    cores = Cores.of_machine()
    names = {name for case in cases for name in case.targets if name.split()[0] not in without}
    facts = machine("plugway", "mcp", "uvicorn", "uvloop", "httptools")
    facts |= gateway_peers.versions(names)
    print(f"{describe(facts)}; load {os.getloadavg()[0]:.1f} before")
    print(f"{cores}; medians of {rounds} rounds of {seconds:g} s; {time.strftime('%F')}\n")
    os.sched_setaffinity(0, cores.rest)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="plugway-bench-") as folder:
        for case in cases:
            lab = Lab(Path(folder) / case.name, cores)
            figures = await case.measure(Bench(lab, rounds, seconds, without), case)
            print(show(f"{case.title} (`{case.name}`)", figures), flush=True)
            found += figures
            if file is not None:  # after each case: what comes later may fail
                write_json(file, facts, found)
    failed = sum(each.failed for each in found)
    print(f"{sum(each.calls for each in found):,} right answers, {failed:,} failures")
    return not failed


def chosen(names: str, parser: argparse.ArgumentParser) -> list[Case]:
    known = {case.name: case for case in CASES}
    if unknown := [name for name in names.split(",") if name not in known]:
        parser.error(f"no case is called {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="plugway before an echo server, and its peers.")
    parser.add_argument("--cases", help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--quick", action="store_true", help="a first impression, in two minutes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="how long a run takes")
    parser.add_argument("--without", action="append", default=[], choices=LEFT_OUT)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    selected: Sequence[Case] = QUICK if options.quick else CASES
    if options.cases:
        selected = chosen(options.cases, parser)
    without = frozenset(options.without)
    if not uvloop.run(main(selected, options.rounds, options.seconds, without, options.json)):
        sys.exit(1)
