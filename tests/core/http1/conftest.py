"""Servers that are scripted byte by byte, on the loopback interface."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from plugway.http1 import Origin, Pool


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run every test on both loops; their transports are not the same code."""
    return "asyncio", {"use_uvloop": request.param}


class Peer:
    """A server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Return the head and the body of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        return head, await self.reader.readexactly(length)

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each by itself."""
        for piece in pieces:
            if self.writer.is_closing():  # uvloop would raise something else
                raise ConnectionResetError
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(OSError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Close it without a word."""
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[Any]]


class Server:
    """Plays a script on every connection; `peers` are those that there were."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.port = 0
        self.peers: list[Peer] = []

    @property
    def origin(self) -> Origin:
        if self.path is not None:
            return Origin("http", "inside", 80, self.path)
        return Origin("http", "127.0.0.1", self.port)


Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def serve() -> Serve:
    """Serve a script on every connection, at a port or a path; options go to asyncio's server."""

    @asynccontextmanager
    async def opened(
        script: Script, path: str | None = None, **options: Any
    ) -> AsyncGenerator[Server]:
        server = Server(path)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            server.peers.append(peer)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await script(peer)
            finally:
                writer.close()

        if path is None:
            listener = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
            server.port = listener.sockets[0].getsockname()[1]
        else:
            listener = await asyncio.start_unix_server(handle, path, **options)
        with anyio.fail_after(60):
            try:
                yield server
            finally:
                listener.close()
                for peer in server.peers:
                    peer.reset()

    return opened


Opened = Callable[..., Pool]


@pytest.fixture
async def pool_of() -> AsyncGenerator[Opened]:
    """Make pools, for an origin or a server's, that are closed in the end."""
    pools: list[Pool] = []

    def make(at: Server | Origin, **options: Any) -> Pool:
        pools.append(Pool(at if isinstance(at, Origin) else at.origin, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
    await asyncio.sleep(0)
