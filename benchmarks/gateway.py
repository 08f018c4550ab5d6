"""A gateway against no gateway: the same MCP server, directly and through plugway.

    uv run python benchmarks/gateway.py [--seconds 3] [--rounds 3]

Rounds are interleaved; the table has the medians. Everything runs on loopback, in processes of its
own; the load generator shares the machine with what it measures.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

import yaml_config as configs
from load import Client, Figures, run_load

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    command: list[str], env: dict[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    quiet = subprocess.DEVNULL
    env = {**os.environ, **(env or {})}
    child = subprocess.Popen(command, env=env, stdout=quiet, stderr=quiet)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(10)


async def first_list(url: str, era: str) -> float:
    """Return the seconds until a first complete tools/list."""
    started = time.perf_counter()
    while True:
        try:
            client = Client(url, era)
            connection = await client.connect()
            await client.open(connection)
            result = await client.request(connection, "tools/list", {})
            connection.writer.close()
            if result["tools"]:
                return time.perf_counter() - started
        except (OSError, RuntimeError, KeyError, asyncio.IncompleteReadError):
            pass
        if time.perf_counter() - started > 30:
            raise RuntimeError(f"{url} does not come up")
        await asyncio.sleep(0.01)


def rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def main(seconds: float, rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="plugway-bench-"))
    env = configs.plugin_path(folder, HERE)
    with contextlib.ExitStack() as stack:
        upstream = free_port()
        stack.enter_context(process([sys.executable, str(HERE / "echo_server.py"), str(upstream)]))
        await first_list(f"http://127.0.0.1:{upstream}/mcp", "modern")
        targets: dict[str, tuple[str, str, subprocess.Popen[bytes] | None, float]] = {
            "direct": (f"http://127.0.0.1:{upstream}/mcp", "echo", None, 0.0)
        }
        for name, plugins in configs.VARIANTS.items():
            port = free_port()
            config = configs.write(folder, name, upstream, port, plugins)
            command = [sys.executable, "-m", "plugway", "-c", str(config), "serve"]
            child = stack.enter_context(process(command, env))
            url = f"http://127.0.0.1:{port}/mcp"
            targets[name] = (url, "up__echo", child, await first_list(url, "modern"))
        await measure(targets, seconds, rounds)


async def measure(
    targets: dict[str, tuple[str, str, subprocess.Popen[bytes] | None, float]],
    seconds: float,
    rounds: int,
) -> None:
    cases = [(era, workers) for era in ("modern", "legacy") for workers in (1, 16)]
    results: dict[tuple[str, str, int], list[Figures]] = {}
    for _ in range(rounds):
        for era, workers in cases:
            for name, (url, tool, _, _) in targets.items():
                figures = await run_load(url, era, tool, workers=workers, seconds=seconds)
                results.setdefault((name, era, workers), []).append(figures)
    print(describe_machine())
    print(f"{'target':<18}{'era':<8}{'conns':>5}{'p50 ms':>9}{'p99 ms':>9}{'req/s':>8}", end="")
    print(f"{'vs direct':>11}{'failed':>8}")
    for era, workers in cases:
        base = statistics.median(f.rate for f in results["direct", era, workers])
        for name in targets:
            rows = results[name, era, workers]
            rate = statistics.median(f.rate for f in rows)
            p50 = statistics.median(f.p50 for f in rows)
            p99 = statistics.median(f.p99 for f in rows)
            failed = sum(f.failed for f in rows)
            print(f"{name:<18}{era:<8}{workers:>5}{p50:>9.2f}{p99:>9.2f}{rate:>8.0f}", end="")
            print(f"{rate / base:>10.2f}x{failed:>8}")
    for name, (_, _, child, cold) in targets.items():
        if child is not None:
            memory = rss_mb(child.pid)
            print(f"{name}: cold start to first tools/list {cold:.2f} s, RSS after {memory:.0f} MB")


def describe_machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("mcp", "uvicorn", "pluggy"))
    python = f"CPython {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {python}, {versions}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asyncio.run(main(options.seconds, options.rounds))
