"""Servers of other people: each echoes what is posted to it, over connections that are kept."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync
from foreign_peers import node

from plugway.http1 import ConnectError, Origin, Pool

SERVERS = Path(__file__).parent / "servers"
STARTING = 60  # seconds; a Go program is compiled first


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def uvicorn(*options: str) -> Callable[[int, Path], list[str]]:
    def command(port: int, _: Path) -> list[str]:
        app = ("-m", "uvicorn", "echo_app:app", "--app-dir", str(SERVERS))
        return [sys.executable, *app, "--port", str(port), "--log-level", "error", *options]

    return command


def node_server(port: int, _: Path) -> list[str]:
    return [str(node()), str(SERVERS / "echo.mjs"), str(port)]


def go_server(port: int, folder: Path) -> list[str]:
    binary = folder / "echo"
    go = shutil.which("go") or "go"
    subprocess.run([go, "build", "-o", binary, SERVERS / "echo.go"], check=True, timeout=300)
    return [str(binary), str(port)]


KINDS: dict[str, Callable[[int, Path], list[str]]] = {
    "uvicorn, h11": uvicorn("--http", "h11", "--loop", "asyncio"),
    "uvicorn, httptools": uvicorn("--http", "httptools", "--loop", "uvloop"),
    "node": node_server,
}
if shutil.which("go"):
    KINDS["go"] = go_server


@contextmanager
def running(command: list[str]) -> Generator[None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def reached(pool: Pool) -> None:
    with anyio.fail_after(STARTING):
        while True:
            try:
                return (await pool.send(b"GET", b"/", [])).close()
            except ConnectError:
                await anyio.sleep(0.05)


@pytest.mark.parametrize("kind", KINDS)
async def test_requests_of_every_size_are_echoed_over_kept_connections(
    kind: str, tmp_path: Path
) -> None:
    port = free_port()
    command = await run_sync(KINDS[kind], port, tmp_path)
    pool: Any = Pool(Origin("http", "127.0.0.1", port))

    async def client(number: int) -> None:
        for size in (0, 1, 100, 70_000, 1_000_000):
            body = b"%d" % number * size
            response = await pool.send(b"POST", b"/", [(b"x-number", b"%d" % number)], body)
            assert response.status == 200
            assert response.headers[b"x-number"] == b"%d" % number
            assert await response.read(10_000_000) == body

    with running(command):
        try:
            await reached(pool)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    for number in range(10):
                        tasks.start_soon(client, number)
                assert 0 < len(pool._idle) == len(pool._connections) <= 11
        finally:
            pool.close()
