"""An hour of everything at once: is every answer right, and is nothing left behind?

    uv run python benchmarks/soak.py [--minutes 60] [--workers 6] [--seed 1]

One gateway in a process of its own; four servers behind it (stdio and HTTP, of either era), which
are killed, hung and restarted at random; clients of both eras that come and go, call, cancel, are
asked, subscribe, and check each answer; a reload now and then. The exit code says whether there was
no wrong answer, no error without a cause, and nothing left: no process, task, session, descriptor.
"""

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import anyio
import httpx2
from mcp.shared.exceptions import MCPDeprecationWarning
from measuring import describe, machine, number, table
from soak_chaos import Chaos, Server, children, command_of
from soak_traffic import SERVER_TIMEOUT, Traffic

SETTLE = 60.0
"""Seconds in which all that clients have left has to be gone."""
SESSION_IDLE = 10
RELOAD_SECONDS = 20.0
GROWTH = 0.05
"""What resident memory may grow by after the warm-up."""
KEPT = 4
"""Tasks and descriptors that there may be more of in the end: those of connections kept alive."""
HELD = ("requests", "sessions", "streams", "subscriptions", "parked", "links")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the gateway has at one moment."""

    rss_mb: float
    descriptors: int
    processes: int
    tasks: int
    held: dict[str, int]
    """What clients make it hold."""


class Gateway:
    """The gateway under test, in a process of its own."""

    def __init__(self, folder: Path, servers: list[Server]) -> None:
        self._config = folder / "plugway.yaml"
        self._log = folder / "gateway.log"
        self._servers = servers
        self._http = httpx2.AsyncClient(timeout=10)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def configure(self, turn: int) -> None:
        """Write the configuration of a turn: all differ, and every third one replaces a server."""
        entries = {
            server.name: {**server.entry, "timeout": SERVER_TIMEOUT, "session_idle": 5}
            for server in self._servers
        }
        replaced = self._servers[turn // 3 % len(self._servers)]
        entries[replaced.name]["max_concurrency"] = 64 + turn // 3
        guard = {"name": "guard", "kind": "deny_list", "config": {"words": [f"never{turn}"]}}
        config = {
            "mcpServers": entries,
            "plugins": [guard] if turn % 2 else [],
            "gateway": {"port": 0, "session_idle": SESSION_IDLE, "input_timeout": 20},
        }
        new = self._config.with_suffix(".new")
        new.write_text(json.dumps(config))
        new.replace(self._config)

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "plugway", "-c", str(self._config), "serve", "--json"]
        with self._log.open("w") as log:
            self._process = await anyio.to_thread.run_sync(
                lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            )
        stdout = self._process.stdout
        assert stdout is not None
        self.url = str((await anyio.to_thread.run_sync(_document, stdout))["url"])

    async def stop(self) -> list[int]:
        """Stop it as operators do; return the processes that it leaves behind."""
        assert self._process is not None
        before = children(self.pid)
        self._process.terminate()
        await anyio.to_thread.run_sync(self._process.wait, 20)
        await self._http.aclose()
        return [pid for pid in before if command_of(pid)]

    async def sample(self) -> Sample:
        """Look at it from outside, and ask it."""
        status: dict[str, Any] = (await self._http.get(self.url.replace("/mcp", "/status"))).json()
        links = sum(each["links"] for each in status["servers"].values())
        held = {**status, "links": links}
        folder = Path(f"/proc/{self.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return Sample(
            rss_mb=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            descriptors=len(list((folder / "fd").iterdir())),
            processes=len(children(self.pid)),
            tasks=status["tasks"],
            held={name: held[name] for name in HELD},
        )

    async def settled(self) -> Sample:
        """Wait until clients have left nothing; return what there is then, or after all."""
        sample = await self.sample()
        with anyio.move_on_after(SETTLE):
            while any(sample.held.values()) or sample.processes != self._programs:
                await anyio.sleep(0.5)
                sample = await self.sample()
            await anyio.sleep(6)  # connections that are kept alive are closed after five seconds
            return await self.sample()
        return sample

    @property
    def _programs(self) -> int:
        return sum(not server.http for server in self._servers)


def _document(stream: IO[str]) -> dict[str, Any]:
    """Read one JSON document, up to the line that closes it."""
    text = ""
    while not text.endswith("\n}\n"):
        if not (line := stream.readline()):
            raise RuntimeError("the gateway does not start: its log says why")
        text += line
    document: dict[str, Any] = json.loads(text)
    return document


async def reload_now_and_then(gateway: Gateway) -> None:
    turn = 0
    while True:
        await anyio.sleep(RELOAD_SECONDS)
        turn += 1
        gateway.configure(turn)


async def sample_now_and_then(gateway: Gateway, samples: list[Sample]) -> None:
    while True:
        samples.append(await gateway.sample())
        await anyio.sleep(5)


async def under_load(
    seconds: float, workers: int, gateway: Gateway, traffic: Traffic, chaos: Chaos
) -> list[Sample]:
    """Let everything happen at once for a while; return what the gateway had meanwhile."""
    samples: list[Sample] = []
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(traffic.run, workers)
            tasks.start_soon(chaos.run)
            tasks.start_soon(reload_now_and_then, gateway)
            tasks.start_soon(sample_now_and_then, gateway, samples)
    return samples


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[Gateway, list[Server]]]:
    """Start the servers and the gateway, and stop them."""
    servers = [
        Server("piped-new", "modern", http=False),
        Server("piped-old", "legacy", http=False),
        Server("http-new", "modern", http=True),
        Server("http-old", "legacy", http=True),
    ]
    folder = Path(await anyio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="plugway-soak-")))
    print(f"the gateway's log is {folder / 'gateway.log'}", flush=True)
    try:
        for server in servers:
            server.start()
        gateway = Gateway(folder, servers)
        gateway.configure(0)
        await gateway.start()
        yield gateway, servers
    finally:
        for server in servers:
            server.stop()


def judge(before: Sample, after: Sample) -> list[str]:
    """Say what was left behind."""
    left = [f"{count} {name} are left" for name, count in after.held.items() if count]
    for what in ("descriptors", "processes", "tasks"):
        more = getattr(after, what) - getattr(before, what)
        if more > (0 if what == "processes" else KEPT):
            left.append(f"{more} {what} are left")
    if after.rss_mb > before.rss_mb * (1 + GROWTH):
        left.append(f"resident memory went from {before.rss_mb:.1f} to {after.rss_mb:.1f} MB")
    return left


def report(traffic: Traffic, chaos: Chaos, moments: dict[str, Sample]) -> None:
    """Print the tables."""
    print(describe(machine("plugway", "mcp", "uvicorn")), "\n")
    calls = traffic.findings.calls
    kinds = sorted({key.partition(", ")[0] for key in calls})
    actions = sorted({key.partition(", ")[2] for key in calls})
    rows = [[a, *(f"{calls[f'{kind}, {a}']:,}" for kind in kinds)] for a in actions]
    print(table(["calls", *kinds], rows), "\n")
    done = [*chaos.done.items(), *traffic.findings.errors.items()]
    print(
        table(["disturbances and errors", "number"], [[k, f"{n:,}"] for k, n in sorted(done)]), "\n"
    )
    head = ["", "RSS MB", "descriptors", "processes", "tasks", *HELD]
    rows = [
        [
            *(name, number(s.rss_mb), str(s.descriptors), str(s.processes), str(s.tasks)),
            *(str(s.held[each]) for each in HELD),
        ]
        for name, s in moments.items()
    ]
    print(table(head, rows), "\n")


async def main(minutes: float, workers: int, seed: int) -> int:
    logging.disable()  # the SDK's clients complain about servers that are gone: no news here
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    rng = random.Random(seed)
    warm_up = min(minutes * 60 / 4, 300)
    async with running() as (gateway, servers):
        traffic, chaos = Traffic(gateway.url, servers, rng), Chaos(servers, gateway.pid, rng)
        moments = {"at first": await gateway.settled()}
        await under_load(warm_up, workers, gateway, traffic, chaos)
        moments["warm, idle"] = before = await gateway.settled()
        samples = await under_load(minutes * 60 - warm_up, workers, gateway, traffic, chaos)
        for name, part in (("start", 0.0), ("middle", 0.5), ("end", 1.0)):
            moments[f"under load, {name}"] = samples[int((len(samples) - 1) * part)]
        moments["at last, idle"] = after = await gateway.settled()
        wrong = [*traffic.findings.wrong, *await traffic.left_hanging(), *judge(before, after)]
        orphans = await gateway.stop()
        wrong += [f"process {pid} outlives the gateway" for pid in orphans]
    report(traffic, chaos, moments)
    print("\n".join(wrong[:50]) or "nothing wrong, nothing left")
    if len(wrong) > 50:
        print(f"... and {len(wrong) - 50} more")
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.exit(anyio.run(main, options.minutes, options.workers, options.seed))
