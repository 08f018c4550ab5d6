"""How the bytes arrive changes nothing, and no bytes do harm."""

import asyncio
import gzip
import zlib
from itertools import pairwise
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from plugway.http1 import HttpError, Response
from plugway.http1.connection import Connection

LIMIT = 100_000
Outcome = tuple[int, dict[bytes, bytes], bytes] | str

names = st.sampled_from([b"x-a", b"X-B", b"content-type"])
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=10)
headers = st.lists(st.tuples(names, values.map(str.encode)), max_size=5)
codings: dict[bytes, Any] = {
    b"identity": bytes,
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
}


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a valid response and its body; it ends with the connection."""
    body = draw(st.binary(max_size=300))
    coding = draw(st.sampled_from(sorted(codings)))
    packed = codings[coding](body)
    head = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    head += b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\n" % coding
    head += b"".join(b"%b: %b\r\n" % each for each in draw(headers))
    framing = draw(st.sampled_from(["length", "chunks", "close"]))
    if framing == "length":
        return head + b"content-length: %d\r\n\r\n" % len(packed) + packed, body
    if framing == "close":
        return head + b"\r\n" + packed, body
    sizes = st.integers(1, 50)
    chunks = b""
    while packed:
        size = draw(sizes)
        chunks += b"%x;e=1\r\n%b\r\n" % (len(packed[:size]), packed[:size])
        packed = packed[size:]
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\nt: x\r\n\r\n", body


class Wire(asyncio.Transport):
    """A transport to nowhere, as only what comes matters here."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def exchange(pieces: list[bytes]) -> Outcome:
    """Return what is made of a response in pieces, or the name of the error."""
    connection = Connection(lambda _: None)
    wire = Wire()
    connection.connection_made(wire)

    async def receive() -> None:
        for piece in pieces:
            if not wire.closed:
                connection.data_received(piece)
            await anyio.lowlevel.checkpoint()
        if not wire.closed:
            connection.eof_received()
        connection.connection_lost(None)

    result: Outcome = ""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            try:
                await connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"")
                response = Response(connection, lambda _: None)
                body = await response.read(LIMIT)
                result = response.status, dict(response.headers), body
            except HttpError as error:
                result = type(error).__name__
    return result


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


cuts = st.lists(st.integers(0, 10_000), max_size=30)


@given(responses(), cuts)
def test_any_split_of_a_response_is_the_same_response(
    drawn: tuple[bytes, bytes], cuts: list[int]
) -> None:
    data, body = drawn
    whole = anyio.run(exchange, [data])
    assert whole[2] == body
    assert anyio.run(exchange, split(data, cuts)) == whole


@given(responses(), st.integers(0, 10_000), st.binary(max_size=4), cuts)
def test_a_response_that_was_damaged_is_a_response_or_an_http_error(
    drawn: tuple[bytes, bytes], place: int, noise: bytes, cuts: list[int]
) -> None:
    data, _ = drawn
    at = place % len(data)
    anyio.run(exchange, split(data[:at] + noise + data[at + len(noise) :], cuts))


@given(st.one_of(st.binary(), st.binary().map(b"HTTP/1.1 200 OK\r\n".__add__)), cuts)
def test_any_bytes_are_a_response_or_an_http_error(data: bytes, cuts: list[int]) -> None:
    anyio.run(exchange, split(data, cuts))
