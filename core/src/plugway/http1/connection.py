"""One connection: writes a request, parses what comes, and knows whether it can be used again."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from plugway.http1.errors import BrokenError, HttpError, ProtocolError

MAX_HEAD = 65536
MAX_HEADERS = 200
HIGH_WATER = 65536
"""Bytes of a body that wait for their reader before no more are read from the socket."""
_PIECE = 65536
"""Bytes of a request that are written at once."""


class Connection(asyncio.Protocol):
    """A connection that has one exchange at a time.

    One task at a time may wait in it, so one future is enough: whatever happens wakes it, and it
    looks for itself. That costs less than a future for each thing, and nothing is left in one.
    """

    __slots__ = (
        "_answered",
        "_fields",
        "_fields_size",
        "_informational",
        "_loop",
        "_lost",
        "_on_lost",
        "_parser",
        "_paused",
        "_pieces",
        "_reused",
        "_since_body",
        "_transport",
        "_until_close",
        "_used",
        "_waiter",
        "_waiting",
        "_write_paused",
        "complete",
        "error",
        "headers",
        "idle_since",
        "keep_alive",
        "status",
    )

    def __init__(self, on_lost: Callable[["Connection"], None]) -> None:
        """Call `on_lost` when the connection has gone."""
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost = self._paused = self._write_paused = self._used = self._reused = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        """Forget the last exchange."""
        self._answered = self._informational = self._until_close = False
        self._since_body = self._waiting = self._fields = self._fields_size = self.status = 0
        self._pieces: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.complete = self.keep_alive = False
        self.error: HttpError | None = None

    # what the pool does with it

    @property
    def usable(self) -> bool:
        """Whether another request may go over it: it is open, and nothing is under way."""
        transport = self._transport
        if transport is None or self._lost or self._paused:
            return False
        if not (self.complete and self.keep_alive):
            return False
        return not transport.is_closing() and transport.get_write_buffer_size() == 0

    async def exchange(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its response."""
        if self._used:
            self._begin()
            self._reused = True
        self._used = True
        if self._transport is None or self._lost:
            raise self.error or self._broken("the connection was closed")
        if self._answered:  # the answer to this request would be taken for the next one's
            raise ProtocolError("the server answered before it was asked")
        if len(body) <= _PIECE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            await self._write(self._transport, memoryview(body))
        while not self.status:
            if self.error is not None:
                raise self.error
            await self._wait()

    async def _write(self, transport: asyncio.Transport, body: memoryview) -> None:
        """Write a large body as the server takes it, or until it has answered."""
        start = 0
        while start < len(body) and not self.status and self.error is None:
            if self._write_paused:
                await self._wait()
                continue
            transport.write(body[start : start + _PIECE])
            start += _PIECE
        if start >= len(body) or self.error is not None:
            return
        if self.status < 300:  # it answers while it reads: it is to have the rest as well
            transport.write(body[start:])
        else:  # refused: no more is to be sent (RFC 9112, section 9.3), and so nothing else either
            self.keep_alive = False

    async def piece(self) -> bytes:
        """Return what has come of the body since the last time, or nothing at its end."""
        while not self._pieces:
            if self.complete:
                return b""
            if self.error is not None:
                raise self.error
            await self._wait()
        pieces, self._pieces = self._pieces, []
        self._waiting = 0
        if self._paused and self._transport is not None and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def abort(self) -> None:
        """Close it now; who waits in it gets a `BrokenError`."""
        self._lost = True
        if not self.complete and self.error is None:
            self.error = self._broken("the connection was closed on this side")
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; nobody waits for what comes after the end of a response."""
        if self._parser is None or self._lost:
            return
        if self.complete:
            self.abort()
            return
        self._answered = True
        self._since_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(error)
            return
        if self._since_body > MAX_HEAD and not self.complete:
            self._refuse(ProtocolError("the head of the response, or a trailer, is too long"))
        elif self._waiting > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _refuse(self, error: Exception) -> None:
        """Close the connection for what came; a response that was complete before is not hurt."""
        if isinstance(error.__context__, ProtocolError):  # raised in a callback
            error = error.__context__
        if not isinstance(error, ProtocolError):
            error = ProtocolError(f"the server does not speak HTTP/1.1: {error}")
        if not self.complete:
            self.error = error
        self.abort()

    def eof_received(self) -> None:
        """Take the end of the stream for the end of a body that has no other; closes."""
        self._end("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, and the pool."""
        if exc is None:
            self._end("the connection was closed")
        elif not self.complete and self.error is None:
            self.error = self._broken(f"the connection broke: {exc}")
            self.error.__cause__ = exc
        self._lost = True
        self._transport = self._parser = None  # they refer to this object
        self._wake()
        self._on_lost(self)

    def _end(self, how: str) -> None:
        self._lost = True
        if self._until_close and self.error is None:
            self.complete = True
        elif not self.complete and self.error is None:
            self.error = self._broken(how)
        self._wake()

    def _broken(self, how: str) -> BrokenError:
        return BrokenError(how, unanswered_reuse=self._reused and not self._answered)

    def pause_writing(self) -> None:
        """Hold a large body back."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Go on with it."""
        self._write_paused = False
        self._wake()

    # what the parser tells

    def on_message_begin(self) -> None:
        """Refuse what comes in one piece with the end of a response."""
        if self.complete:
            raise ProtocolError("there is more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are counted and dropped."""
        self._fields += 1
        self._fields_size += len(name) + len(value) + 4
        if self._fields > MAX_HEADERS or self._fields_size > MAX_HEAD:
            raise ProtocolError("the response has too many headers, or too long ones")
        if self.status:
            return
        name, value = name.lower(), value.strip(b" \t")  # httptools leaves the space after it
        headers = self.headers
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        """Decide what the response is; 1xx are none (RFC 9110, section 15.2)."""
        parser = cast("httptools.HttpResponseParser", self._parser)
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise ProtocolError(f"nobody asked for status {status}")
            self._informational = True
            self.headers = {}
            return
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise ProtocolError(f"the server speaks HTTP/{version}")
        coding = self.headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise ProtocolError("the response has a transfer coding that nobody asked for")
        self.keep_alive = version == "1.1" and parser.should_keep_alive()
        self._until_close = coding is None and b"content-length" not in self.headers
        self.status = status

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body for its reader."""
        self._since_body = 0
        self._waiting += len(data)
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Have the response end here."""
        if self._informational:
            self._informational = False
        else:
            self.complete = True
