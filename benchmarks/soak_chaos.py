"""Kill, hang and restart the soak's servers at random, and remember when which was disturbed."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

HERE = Path(__file__).parent
GRACE = 8.0
"""Seconds after a disturbance in which errors about the server are still its fault."""
PAUSE = (35.0, 50.0)
"""Seconds between two disturbances of one server: longer, and connections count as stable again."""


@dataclass(slots=True, eq=False)
class Server:
    """One server that the gateway is configured with."""

    name: str
    era: str
    http: bool
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    disturbed: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From when to when errors are its fault."""

    @property
    def entry(self) -> dict[str, object]:
        """What stands in the gateway's configuration."""
        if self.http:
            return {"url": f"http://127.0.0.1:{self.port}/mcp", "era": self.era}
        arguments = [str(HERE / "soak_server.py"), self.name]
        return {"command": sys.executable, "args": arguments, "era": self.era}

    def start(self) -> None:
        """Start it, where the gateway does not; it listens at once."""
        if not self.http:
            return
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(512)
            self.port = listener.getsockname()[1]
            handle = str(listener.fileno())
            command = [sys.executable, str(HERE / "soak_server.py"), self.name, handle]
            quiet = subprocess.DEVNULL
            self.process = subprocess.Popen(
                command, stdout=quiet, stderr=quiet, pass_fds=[listener.fileno()]
            )

    def stop(self) -> None:
        """Kill it, where the gateway does not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pids(self, gateway: int) -> list[int]:
        """Return its processes."""
        if self.process is not None:
            return [self.process.pid]
        return [pid for pid in children(gateway) if self.name in command_of(pid)]

    def excuses(self, began: float, ended: float) -> bool:
        """Whether what went wrong between two moments may be its fault."""
        return any(start <= ended and began <= end for start, end in self.disturbed)


def children(pid: int) -> list[int]:
    """Return the processes that another has started, those that nobody waited for included."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def command_of(pid: int) -> list[str]:
    """Return a process's command line; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


class Chaos:
    """Disturbs each server now and then."""

    def __init__(self, servers: list[Server], gateway: int, rng: random.Random) -> None:
        """Disturb `servers`, some of which are children of the process `gateway`."""
        self.done: Counter[str] = Counter()
        self._servers = servers
        self._gateway = gateway
        self._rng = rng

    async def run(self) -> None:
        """Disturb until cancelled; what hangs then goes on."""
        async with anyio.create_task_group() as tasks:
            for number, server in enumerate(self._servers):
                tasks.start_soon(self._disturb, server, 5 + number * 9)

    async def _disturb(self, server: Server, first: float) -> None:
        await anyio.sleep(first)
        while True:
            began = anyio.current_time()
            server.disturbed.append((began, float("inf")))
            try:
                await self._one(server)
            finally:
                server.disturbed[-1] = (began, anyio.current_time() + GRACE)
            await anyio.sleep(self._rng.uniform(*PAUSE))

    async def _one(self, server: Server) -> None:
        what = self._rng.choice(("killed", "hung for a moment", "hung for long"))
        self.done[what] += 1
        if what == "killed":
            await self._kill(server)
        elif what == "hung for a moment":
            await self._hang(server, self._rng.uniform(0.2, 2))
        else:
            await self._hang(server, self._rng.uniform(6, 10))

    async def _kill(self, server: Server) -> None:
        if server.http:
            server.stop()
            await anyio.sleep(self._rng.uniform(0, 4))
            server.start()
            return
        pids = server.pids(self._gateway)
        for pid in self._rng.sample(pids, self._rng.randint(1, len(pids))) if pids else ():
            _signal(pid, signal.SIGKILL)

    async def _hang(self, server: Server, seconds: float) -> None:
        pids = server.pids(self._gateway)
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
