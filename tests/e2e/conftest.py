"""Whole gateways for the end-to-end tests: real servers, real transports, the official client."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client, StdioServerParameters

from plugway.config import parse
from plugway.downstream.http import HttpServer, http_app
from plugway.gateway import Gateway, open_gateway

FEATURES = Path(__file__).parent / "servers" / "features.py"


@pytest.fixture
def processes_with() -> Callable[[str], int]:
    """Count the processes that have a variable (as `NAME=value`) in their environment."""

    def count(variable: str) -> int:
        found = 0
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += variable.encode() in environment.read_bytes().split(b"\0")
            except OSError:
                continue
        return found

    return count


class HttpFeatures:
    """The features server over HTTP, in a process that a test may kill and start again."""

    def __init__(self) -> None:
        with self._listening(0) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def _listening(port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        return listener

    def start(self) -> None:
        """Start the server on a socket that listens already: nobody has to wait for it."""
        with self._listening(self.port) as listener:
            handle = listener.fileno()
            command = [sys.executable, str(FEATURES), str(handle)]
            quiet = subprocess.DEVNULL
            self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet, pass_fds=[handle])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def shared_features() -> Iterator[HttpFeatures]:
    """One HTTP server for all tests that leave it alive."""
    server = HttpFeatures()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def features() -> Iterator[HttpFeatures]:
    """An HTTP server of the test's own; not started yet."""
    server = HttpFeatures()
    yield server
    server.stop()


@pytest.fixture
def stdio_features() -> dict[str, Any]:
    """The `mcpServers` entry of the features server over stdio."""
    return {"command": sys.executable, "args": [str(FEATURES)]}


Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]


@pytest.fixture
def serve_http() -> Serve:
    """Serve a configuration over HTTP, in this process."""

    @asynccontextmanager
    async def serve(config: dict[str, Any]) -> AsyncGenerator[tuple[Gateway, str]]:
        text = json.dumps(config)
        loaded = await anyio.to_thread.run_sync(lambda: parse(text, file=None, env={}))
        async with open_gateway(loaded) as gateway, anyio.create_task_group() as tasks:
            app = http_app(gateway.edge, gateway.config.gateway, gateway.registry)
            server = HttpServer(app, "127.0.0.1", 0)
            tasks.start_soon(server.serve)
            await server.listening.wait()
            yield gateway, f"http://127.0.0.1:{server.port}/mcp"
            server.stop()

    return serve


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(serve_http: Serve, tmp_path: Path) -> Connect:
    """Connect the official client to a gateway, over either transport, in either era."""

    @asynccontextmanager
    async def connected(
        config: dict[str, Any], *, front: str, mode: Any, **options: Any
    ) -> AsyncGenerator[Client]:
        if front == "http":
            async with (
                serve_http(config) as (_, url),
                Client(url, mode=mode, cache=None, **options) as client,
            ):
                yield client
            return
        path = tmp_path / "plugway.yaml"
        path.write_text(json.dumps(config))
        arguments = ["-m", "plugway", "-c", str(path), "serve", "--stdio"]
        server = StdioServerParameters(command=sys.executable, args=arguments)
        async with Client(server, mode=mode, cache=None, **options) as client:
            yield client

    return connected
