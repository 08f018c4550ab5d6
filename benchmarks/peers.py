"""plugway's chain beside its peers', each in an environment of its own, in turns.

    uv run python benchmarks/peers.py [--rounds 9] [--json FILE]

The environments are made once, under `build/bench-peers`. A case is measured only after a check
that every plugin ran on every call and that what plugins change is what goes on.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Sample, describe, machine, median, number, table, write_json

HERE = Path(__file__).parent
ROOT = HERE.parent
CHANGED = {"a": 1, "b": "changed", "c": [3]}
UNCHANGED = {"a": 1, "b": "two", "c": [3]}


@dataclass(frozen=True)
class Case:
    kind: str
    count: int
    calls: int
    """The same for all, so that none is measured warmer than another."""

    @property
    def name(self) -> str:
        says = {"noop": "no-op", "modify": "modifying", "skip": "whose conditions don't match"}
        return f"{self.count} {says[self.kind]}"


CASES = [
    Case("noop", 0, 4000),
    Case("noop", 1, 1500),
    Case("noop", 10, 500),
    Case("noop", 50, 150),
    Case("modify", 1, 1500),
    Case("modify", 10, 400),
    Case("skip", 10, 1500),
]


@dataclass(frozen=True)
class Peer:
    title: str
    worker: str
    variant: str = ""
    requirement: str = ""
    """What is installed for it; empty for what this environment has."""
    chains: bool = True
    """Whether a plugin sees what the one before it changed."""


PEERS = [
    Peer("bare loop", "plugway", "bare loop"),
    Peer("plugway", "plugway"),
    Peer("plugway, recorded", "plugway", "recorded"),
    Peer("pluggy, plain", "pluggy", "plain", "pluggy==1.7.0", chains=False),
    Peer("pluggy, awaited", "pluggy", "awaited", "pluggy==1.7.0", chains=False),
    Peer("fastmcp", "fastmcp", "", "fastmcp==4.1.2"),
    Peer("cpex", "cpex", "", "cpex==0.1.4"),
    Peer("cpex, policy", "cpex", "policy", "cpex==0.1.4"),
]


class Child:
    """A worker process that measures when it is asked."""

    def __init__(self, python: Path, script: Path) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([python, script], stdin=pipe, stdout=pipe, text=True)
        self.script = script

    def ask(self, **line: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.script.name} died; what it says is above")
        result: dict[str, Any] = json.loads(answer)
        return result


def environment(*requirements: str) -> Path:
    """Return the Python that has what is required, in an environment made for it once."""
    if not any(requirements):
        return Path(sys.executable)
    name = "+".join(requirements)
    folder = ROOT / "build" / "bench-peers" / f"{name}-{sys.version.split()[0]}"
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run(["uv", "venv", "-q", "--clear", "-p", sys.executable, folder], check=True)
        # from the root: its pins hold for what we have in common, such as pydantic
        install = ["uv", "pip", "install", "-q", "--python", str(python), *requirements]
        subprocess.run(install, check=True, cwd=ROOT)
        done.touch()
    return python


@contextlib.contextmanager
def workers() -> Generator[dict[str, Child]]:
    """Start one process for each worker; all of them wait until it is their turn."""
    children: dict[str, Child] = {}
    try:
        for peer in PEERS:
            if peer.worker not in children:
                script = HERE / "peer_workers" / f"{peer.worker}_worker.py"
                children[peer.worker] = Child(environment(peer.requirement), script)
        yield children
    finally:
        for child in children.values():
            child.process.communicate()


def check(children: dict[str, Child], peer: Peer, case: Case) -> bool:
    """Tell whether a peer has a case; stop where it does not do what it would be measured at."""
    say = {"variant": peer.variant, "kind": case.kind, "count": case.count}
    said = children[peer.worker].ask(do="check", **say)
    if not said["can"]:
        return False
    runs = 0 if case.kind == "skip" else case.count
    arguments = CHANGED if case.kind == "modify" else UNCHANGED
    sees = case.count - 1 if case.kind == "modify" and peer.chains else 0
    got = said["ran"], said["saw_change"], said["arguments"], said["right"]
    if got != (runs, sees, [arguments, arguments], True):
        raise SystemExit(f"{peer.title}, {case.name}: not what was asked for: {said}")
    return True


@dataclass(frozen=True)
class Figure:
    case: str
    peer: str
    sample: Sample
    of_plugway: float
    """How many times plugway's (unrecorded); the median of the rounds' own ratios, of CPU."""
    failed: int


def measure(children: dict[str, Child], case: Case, rounds: int) -> list[Figure]:
    able = [peer for peer in PEERS if check(children, peer, case)]
    samples: dict[str, list[Sample]] = {peer.title: [] for peer in able}
    failed = dict.fromkeys(samples, 0)
    for turn, peer in itertools.product(range(-1, rounds), able):
        say = {"variant": peer.variant, "kind": case.kind, "count": case.count}
        said = children[peer.worker].ask(do="measure", calls=case.calls, **say)
        failed[peer.title] += said["failed"]
        if turn >= 0:  # the first is for warming up
            samples[peer.title].append(Sample(said["cpu"], said["wall"]))
    ours = samples["plugway"]
    return [
        Figure(case.name, title, median(theirs), _ratio(theirs, ours), failed[title])
        for title, theirs in samples.items()
    ]


def _ratio(theirs: list[Sample], ours: list[Sample]) -> float:
    return statistics.median(t.cpu / o.cpu for t, o in zip(theirs, ours, strict=True))


def rows(figures: list[Figure]) -> list[list[str]]:
    found = {(figure.case, figure.peer): figure for figure in figures}

    def cell(case: Case, peer: Peer) -> str:
        figure = found.get((case.name, peer.title))
        if figure is None:
            return "can't"
        return f"{number(figure.sample.cpu)} ({number(figure.of_plugway)})"

    return [[case.name, *[cell(case, peer) for peer in PEERS]] for case in CASES]


def main(rounds: int, file: Path | None) -> None:
    with workers() as children:
        facts = machine("plugway")
        for name, child in children.items():
            said = child.ask(do="describe")
            facts |= said["versions"]
            if not facts["python"].endswith(said["python"]):
                raise SystemExit(f"{name} runs on another Python: {said['python']}")
        print(f"{describe(facts)}; µs of CPU a call (times plugway's), medians of {rounds} rounds")
        figures = [each for case in CASES for each in measure(children, case, rounds)]
    print(table(["plugins", *[peer.title for peer in PEERS]], rows(figures)))
    print(f"calls that failed: {sum(figure.failed for figure in figures)}")
    if file is not None:
        write_json(file, facts, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="plugway's chain beside its peers'.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    main(options.rounds, options.json)
