"""A client of HTTP that sends bytes as they are, and the requests of MCP as bytes."""

import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import anyio
from anyio.abc import SocketAttribute, SocketStream
from raw_clients import ACCEPT, message

PATIENCE = 20.0
"""Seconds for what has to come at once: only what hangs takes so long."""
VERSION = "2026-07-28"
HEADERS = tuple(f"{name}: {value}".encode() for name, value in ACCEPT.items())
MODERN = (
    *HEADERS,
    f"MCP-Protocol-Version: {VERSION}".encode(),
    b"Mcp-Method: tools/call",
    b"Mcp-Name: up__echo",
)
CHUNKED = b"Transfer-Encoding: chunked"


class Answer(NamedTuple):
    """One HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def echoed(self) -> Any:
        """What a call of `echo` has brought."""
        return self.json["result"]["structuredContent"]


class RawSocket:
    """One connection."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.unread = b""

    async def send(self, sent: bytes) -> None:
        """Send, unless the other side has closed the connection by now."""
        with anyio.fail_after(PATIENCE), suppress(anyio.BrokenResourceError):
            await self.stream.send(sent)

    async def answer(self, method: str = "POST") -> Answer:
        """Return the next response to a request; raises `EOFError` where there is none."""
        status, headers = await self.head()
        if method == "HEAD" or status in {100, 204, 304}:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            chunks = b""
            while chunk := await self.chunk():
                chunks += chunk
            return Answer(status, headers, chunks)
        return Answer(status, headers, await self._exactly(int(headers["content-length"])))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of a response."""
        head = (await self._until(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        version, status, _ = start.split(" ", 2)
        assert version == "HTTP/1.1", start
        fields = [line.partition(": ") for line in lines]
        return int(status), {name.lower(): value for name, _, value in fields}

    async def chunk(self) -> bytes:
        """Return a piece of a streamed body; of the last one nothing."""
        size = int(await self._until(b"\r\n"), 16)
        chunk = await self._exactly(size)
        assert await self._exactly(2) == b"\r\n"
        return chunk

    async def to_end(self) -> bytes:
        """Return all that comes until the other side closes the connection."""
        with suppress(EOFError):
            while True:
                await self._read()
        found, self.unread = self.unread, b""
        return found

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.unread:
            await self._read()
        found, _, self.unread = self.unread.partition(mark)
        return found

    async def _exactly(self, size: int) -> bytes:
        while len(self.unread) < size:
            await self._read()
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    async def _read(self) -> None:
        with anyio.fail_after(PATIENCE):
            try:
                self.unread += await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise EOFError(self.unread) from None

    async def half_close(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError, anyio.BrokenResourceError):
            await self.stream.send_eof()

    async def reset(self) -> None:
        """Go without a word: what the other side has sent meanwhile is refused."""
        raw = self.stream.extra(SocketAttribute.raw_socket)
        with suppress(OSError):  # where the other side was faster
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await self.stream.aclose()


@asynccontextmanager
async def raw_socket(port: int) -> AsyncGenerator[RawSocket]:
    """Open a connection to a port of this machine."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield RawSocket(stream)


def raw_request(
    body: bytes = b"",
    *headers: bytes,
    start: bytes = b"POST /mcp HTTP/1.1",
    length: bool = True,
    host: bool = True,
) -> bytes:
    """Return a request, with a content-length and a host unless told otherwise."""
    lines = [start, *[b"Host: 127.0.0.1"] * host, *headers]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def call_body(request_id: Any = 1, **arguments: Any) -> bytes:
    """Return the body of a call of `echo`."""
    params = {"name": "up__echo", "arguments": arguments}
    sent = message("tools/call", params, version=VERSION, request_id=request_id)
    return json.dumps(sent).encode()


def raw_call(request_id: Any = 1, *headers: bytes, **arguments: Any) -> bytes:
    """Return a call of `echo`."""
    return raw_request(call_body(request_id, **arguments), *MODERN, *headers)


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
