"""Servers that are scripted byte by byte, on the loopback interface."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from plugway.http1 import Origin, Pool


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

    def __init__(self, port: int) -> None:
        self.port = port
        self.peers: list[Peer] = []

    @property
    def origin(self) -> Origin:
        return Origin("http", "127.0.0.1", self.port)


Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def serve() -> Serve:
    """Serve a script on every connection; `**options` go to `asyncio.start_server`."""

    @asynccontextmanager
    async def opened(script: Script, **options: Any) -> AsyncGenerator[Server]:
        server = Server(0)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            server.peers.append(peer)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await script(peer)
            finally:
                writer.close()

        options = {"host": "127.0.0.1", "port": 0} | options
        listener = await asyncio.start_server(handle, **options)
        server.port = listener.sockets[0].getsockname()[1]
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
    """Make pools that are closed in the end."""
    pools: list[Pool] = []

    def make(server: Server, **options: Any) -> Pool:
        pools.append(Pool(options.pop("origin", server.origin), **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
    await asyncio.sleep(0)
