"""Processes that are measured: started on a core of their own, and what /proc says about them."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from load import Ask, Client, WrongAnswerError

TICKS = os.sysconf("SC_CLK_TCK")
DEADLINE = 60.0


@dataclass(frozen=True)
class Cores:
    """Which core what is measured has to itself, and which the rest shares."""

    proxy: frozenset[int]
    rest: frozenset[int]

    @classmethod
    def of_machine(cls) -> "Cores":
        allowed = frozenset(os.sched_getaffinity(0))
        if len(allowed) == 1:
            return cls(allowed, allowed)
        proxy = max(allowed)
        return cls(frozenset({proxy}), allowed - {proxy})

    def __str__(self) -> str:
        return f"proxy on core {_listed(self.proxy)}, the rest on {_listed(self.rest)}"


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cores: frozenset[int] = frozenset(),
    log: Path | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command on some cores, or on those of this process; stop it at the end."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        environment = {**os.environ, **(env or {})}
        with _on(cores):
            child = subprocess.Popen(command, env=environment, stdout=target, stderr=target)
        try:
            yield child
        finally:
            stop(child)


@contextlib.contextmanager
def _on(cores: frozenset[int]) -> Generator[None]:
    """Be on some cores meanwhile: what is started inherits them, with all its threads."""
    if not cores:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


async def first_list(url: str, era: str, ask: Ask | None = None) -> float:
    """Return the seconds until a first tools/list that is complete."""
    ask = ask or Ask(tools=1)
    started = time.perf_counter()
    said = ""
    while time.perf_counter() - started < DEADLINE:
        client = Client(url, era)
        try:
            connection = await client.connect()
            try:
                await client.open(connection)
                await client.ask(connection, ask)
                return time.perf_counter() - started
            finally:
                connection.close()
        except (OSError, WrongAnswerError, LookupError, ValueError) as error:
            said = repr(error)
        await anyio.sleep(0.01)
    raise RuntimeError(f"{url} does not come up: {said}")


def tree(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int(_stat(int(folder.name))[1])
                parents.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that they have taken so far, in user and system mode."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _stat(pid: int) -> list[str]:
    """Return what follows the name, which may have spaces; the state is first."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def rss_mb(*pids: int) -> float:
    """Return the resident memory of some processes, pages that they share counted in each."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        lines = (line for line in status.splitlines() if line.startswith("VmRSS"))
        total += sum(int(line.split()[1]) for line in lines)
    return total / 1024
