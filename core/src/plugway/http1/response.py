"""A response whose head is there, and whose body is read by whoever asked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Self

from plugway.http1.connection import Connection
from plugway.http1.decoding import Decoder
from plugway.http1.errors import BrokenError, TooLongError


class Response:
    """Holds its connection until the body was read to its end, or `close`.

    Any error and any cancellation while the body is read closes the connection.
    """

    __slots__ = ("_connection", "_decoder", "_pieces", "_release", "headers", "status")

    def __init__(self, connection: Connection, release: Callable[[Connection], None]) -> None:
        """Give the connection to `release` in the end."""
        self.status = connection.status
        self.headers: Mapping[bytes, bytes] = connection.headers
        self._connection: Connection | None = connection
        self._release = release
        self._decoder: Decoder | None = None
        self._pieces: Iterator[bytes] = iter(())
        coding = self.headers.get(b"content-encoding", b"identity")
        if coding.lower() != b"identity":
            self._decoder = Decoder(coding)

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decompressed; raises `TooLongError` beyond `limit` bytes.

        Raises any `HttpError` that says why there is no body.
        """
        if self._connection is None:
            raise BrokenError("the response is closed")
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await self._next(self._connection):
                size += len(piece)
                if size > limit:
                    raise TooLongError(limit)
                pieces.append(piece)
        finally:
            self.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece of the body, as it comes; decompressed, if it has to be."""
        if self._connection is None:
            raise StopAsyncIteration
        try:
            piece = await self._next(self._connection)
        except BaseException:
            self.close()
            raise
        if not piece:
            self.close()
            raise StopAsyncIteration
        return piece

    async def _next(self, connection: Connection) -> bytes:
        decoder = self._decoder
        if decoder is None:
            return await connection.piece()
        while True:
            for piece in self._pieces:
                return piece
            data = await connection.piece()
            if not data:
                decoder.finish()
                return b""
            self._pieces = decoder.feed(data)

    def close(self) -> None:
        """Let the connection go: it is used again only if the body was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._release(connection)
