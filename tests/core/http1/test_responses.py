"""What is made of the bytes that a server sends."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from plugway.http1 import (
    BrokenError,
    DecodingError,
    HttpError,
    ProtocolError,
    TooLongError,
)

Serve = Callable[..., AbstractAsyncContextManager[Any]]
OpenPool = Callable[..., Any]
OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"content-length: 2\r\n\r\nhi"


def answering(*pieces: bytes, keep: bool = True) -> Callable[[Any], Any]:
    async def script(peer: Any) -> None:
        while True:
            await peer.request()
            await peer.send(*pieces)
            if not keep:
                return

    return script


async def post(pool: Any, body: bytes | None = b"{}") -> Any:
    return await pool.send(b"POST", b"/mcp", [(b"content-type", b"application/json")], body)


async def text(pool: Any, limit: int = 1_000_000) -> bytes:
    content: bytes = await (await post(pool)).read(limit)
    return content


CHUNKED = (
    OK
    + b"Transfer-Encoding: chunked\r\nX-One:  a \r\nx-one: b\r\n\r\n"
    + b'3;name="value"\r\nabc\r\n0A;x\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\n'
)


async def test_chunks_with_extensions_and_trailers_may_be_split_anywhere(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        for at in range(len(CHUNKED) + 1):
            await peer.request()
            await peer.send(CHUNKED[:at], CHUNKED[at:])
        await peer.request()
        await peer.send(*(bytes([byte]) for byte in CHUNKED))

    async with serve(script) as server:
        pool = pool_of(server)
        for _ in range(len(CHUNKED) + 2):
            response = await post(pool)
            assert response.status == 200
            assert response.headers == {b"transfer-encoding": b"chunked", b"x-one": b"a, b"}
            assert await response.read(100) == b"abc0123456789"
        assert len(server.peers) == 1


async def test_what_is_sent_is_exactly_what_was_asked_for(serve: Serve, pool_of: OpenPool) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Any) -> None:
        while True:
            seen.append(await peer.request())
            await peer.send(HI)

    async with serve(script) as server:
        pool = pool_of(server)
        for method, body in [(b"POST", b"{}"), (b"POST", None), (b"GET", None), (b"DELETE", b"")]:
            response = await pool.send(method, b"/a?b=c", [(b"X-Name", b"value")], body)
            assert await response.read(2) == b"hi"
    host = f"host: 127.0.0.1:{server.port}\r\n".encode()
    rest = b"/a?b=c HTTP/1.1\r\n" + host + b"accept-encoding: gzip, deflate\r\nX-Name: value\r\n"
    assert seen == [
        (b"POST " + rest + b"content-length: 2\r\n\r\n", b"{}"),
        (b"POST " + rest + b"content-length: 0\r\n\r\n", b""),
        (b"GET " + rest + b"\r\n", b""),
        (b"DELETE " + rest + b"content-length: 0\r\n\r\n", b""),
    ]


async def test_a_body_without_a_length_lasts_until_the_server_closes(
    serve: Serve, pool_of: OpenPool
) -> None:
    async with serve(answering(OK + b"\r\n", b"one", b"two", keep=False)) as server:
        pool = pool_of(server)
        assert await text(pool) == b"onetwo"
        assert await text(pool) == b"onetwo"
        assert len(server.peers) == 2


async def test_informational_responses_are_skipped(serve: Serve, pool_of: OpenPool) -> None:
    first = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    for pieces in [(first + HI,), (first, HI)]:
        async with serve(answering(*pieces)) as server:
            pool = pool_of(server)
            for _ in range(2):
                response = await post(pool)
                assert (response.status, dict(response.headers)) == (200, {b"content-length": b"2"})
                assert await response.read(2) == b"hi"
            assert len(server.peers) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_some_statuses_have_no_body_whatever_length_they_name(
    serve: Serve, pool_of: OpenPool, status: bytes
) -> None:
    async with serve(answering(b"HTTP/1.1 " + status + b"\r\ncontent-length: 5\r\n\r\n")) as server:
        pool = pool_of(server)
        assert await text(pool) == b""
        assert await text(pool) == b""
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
        HI + HI,
        HI + b"HTTP/1.1 500 Stolen\r\ncontent-length: 100\r\n\r\n",
        HI + b"garbage",
        HI + b"\0",
    ],
)
async def test_such_a_connection_is_not_used_again(
    serve: Serve, pool_of: OpenPool, reply: bytes
) -> None:
    async with serve(answering(reply)) as server:
        pool = pool_of(server)
        assert await text(pool) == b"hi"
        assert await text(pool) == b"hi"
        assert len(server.peers) == 2


async def test_a_second_response_never_answers_another_request(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        number = b"%d" % len(server.peers)
        await peer.request()
        await peer.send(OK + b"content-length: 1\r\n\r\n" + number)
        await idle.wait()
        await peer.send(OK + b"content-length: 6\r\n\r\nstolen")
        await peer.gone()

    idle = anyio.Event()
    async with serve(script) as server:
        pool = pool_of(server)
        assert await text(pool) == b"1"
        assert len(pool._idle) == 1
        idle.set()
        with anyio.fail_after(5):
            while pool._connections:
                await anyio.lowlevel.checkpoint()
        assert await text(pool) == b"2"


async def test_an_answer_before_the_question_is_refused(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        await peer.send(HI)
        spoken.set()
        await peer.gone()

    spoken = anyio.Event()
    async with serve(script) as server:
        pool = pool_of(server)
        connection = await pool._open()
        await spoken.wait()
        while not connection.status:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(ProtocolError, match="before it was asked"):
            await connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"")


MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "bad status": b"HTTP/1.1 xyz OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "bad chunk": OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "huge chunk": OK + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n",
    "no end of chunk": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    "length and chunks": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": OK + b"content-length: -1\r\n\r\n",
    "list of lengths": OK + b"content-length: 2, 2\r\n\r\nhi",
    "transfer coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": OK + b"transfer-encoding: identity\r\n\r\nhi",
    "long head": OK + b"x: " + b"y" * 70_000,
    "long whole head": OK + b"x: " + b"y" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nhi",
    "many headers": OK + b"x: y\r\n" * 201 + b"\r\n",
    "endless 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
    "endless trailer": OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 70_000,
    "NUL in a header": OK + b"x: \0\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_http_is_an_error_and_ends_the_connection(
    serve: Serve, pool_of: OpenPool, name: str
) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(MALFORMED[name])
        await peer.gone()
        closed.set()

    closed = anyio.Event()
    async with serve(script) as server:
        with pytest.raises(ProtocolError):
            await text(pool_of(server))
        await closed.wait()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        OK + b"content-length: 10\r\n\r\nshort",
        OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n0\r\n",
    ],
)
async def test_a_response_that_ends_too_early_is_broken(
    serve: Serve, pool_of: OpenPool, reply: bytes
) -> None:
    async with serve(answering(reply, keep=False)) as server:
        with pytest.raises(BrokenError) as caught:
            await text(pool_of(server))
        assert not caught.value.unanswered_reuse


async def test_a_body_over_the_limit_is_refused_and_its_connection_closed(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(OK + b"\r\n")
        while True:
            await peer.send(b"x" * 65536)

    async with serve(script) as server:
        with pytest.raises(TooLongError) as caught:
            await text(pool_of(server), 1_000_000)
        assert caught.value.limit == 1_000_000
    async with serve(answering(HI)) as server:
        assert await text(pool_of(server), 2) == b"hi"
        with pytest.raises(TooLongError):
            await text(pool_of(server), 1)


def raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


BODY = b'{"jsonrpc": "2.0"}' * 10_000
PACKED = {
    "gzip": (b"gzip", gzip.compress(BODY)),
    "x-gzip": (b"X-GZip", gzip.compress(BODY)),
    "members": (b"gzip", gzip.compress(BODY[:99]) + gzip.compress(b"") + gzip.compress(BODY[99:])),
    "deflate": (b"deflate", zlib.compress(BODY)),
    "bare deflate": (b"deflate", raw_deflate(BODY)),
    "identity": (b"identity", BODY),
}


def packed(coding: bytes, body: bytes) -> bytes:
    head = b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (coding, len(body))
    return OK + head + body


@pytest.mark.parametrize("name", PACKED)
async def test_compressed_bodies_are_decompressed(
    serve: Serve, pool_of: OpenPool, name: str
) -> None:
    reply = packed(*PACKED[name])
    async with serve(answering(*(reply[at : at + 7] for at in range(0, len(reply), 7)))) as server:
        pool = pool_of(server)
        assert await text(pool, len(BODY)) == BODY
        assert b"".join([piece async for piece in await post(pool)]) == BODY
        with pytest.raises(TooLongError):
            await text(pool, len(BODY) - 1)


async def test_a_bomb_is_not_inflated_beyond_the_limit(serve: Serve, pool_of: OpenPool) -> None:
    bomb = gzip.compress(bytes(200_000_000))
    async with serve(answering(packed(b"gzip", bomb))) as server:
        pool = pool_of(server)
        with pytest.raises(TooLongError):
            await text(pool, 100_000)
        async for piece in await post(pool):
            assert len(piece) <= 65536


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"br", b"x"),
        (b"gzip, gzip", b"x"),
        (b"gzip", b"no gzip"),
        (b"gzip", gzip.compress(BODY)[:-1]),
        (b"gzip", gzip.compress(BODY) + b"garbage"),
        (b"gzip", gzip.compress(BODY)[:-8] + bytes(8)),
        (b"deflate", zlib.compress(BODY)[:-1]),
        (b"deflate", zlib.compress(BODY) + b"garbage"),
        (b"deflate", b"x"),
    ],
)
async def test_a_body_that_is_not_compressed_as_it_says_is_an_error(
    serve: Serve, pool_of: OpenPool, coding: bytes, body: bytes
) -> None:
    async with serve(answering(packed(coding, body))) as server:
        with pytest.raises(DecodingError):
            await text(pool_of(server))


async def test_no_body_needs_no_decompression(serve: Serve, pool_of: OpenPool) -> None:
    async with serve(answering(packed(b"gzip", b""))) as server:
        assert await text(pool_of(server)) == b""


async def test_pieces_come_as_the_server_sends_them(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(OK + b"transfer-encoding: chunked\r\n\r\n")
        async with taken:
            for piece in (b"data: 1\n\n", b"data: 2\n\n"):
                await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await taken.wait()
        await peer.send(b"0\r\n\r\n")
        await peer.request()
        await peer.send(HI)

    taken = anyio.Condition()
    async with serve(script) as server:
        pool = pool_of(server)
        pieces: list[bytes] = []
        async for piece in await post(pool):
            pieces.append(piece)
            async with taken:
                taken.notify()
        assert pieces == [b"data: 1\n\n", b"data: 2\n\n"]
        assert await text(pool) == b"hi"
        assert len(server.peers) == 1


async def test_who_does_not_read_holds_the_server_back(serve: Serve, pool_of: OpenPool) -> None:
    sent = 0

    async def script(peer: Any) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(OK + b"content-length: 100000000\r\n\r\n")
        for _ in range(1000):
            await peer.send(bytes(100_000))
            sent += 100_000

    async with serve(script) as server:
        response = await post(pool_of(server))
        before = -1
        while before != sent:  # until the sockets between are full
            before = sent
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
        assert sent < 50_000_000
        connection: Any = response._connection
        assert connection._waiting < 1_000_000
        assert len(await response.read(100_000_000)) == 100_000_000


async def test_a_body_that_nobody_read_does_not_stop_the_next_one(
    serve: Serve, pool_of: OpenPool
) -> None:
    body = bytes(200_000)
    async with serve(answering(OK + b"content-length: 200000\r\n\r\n" + body)) as server:
        pool = pool_of(server)
        for _ in range(5):
            response = await post(pool)
            for _ in range(50):  # until all of it has come, or what is held back
                await anyio.lowlevel.checkpoint()
            response.close()
            assert await text(pool) == body


async def test_a_closed_response_has_nothing_more(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 10\r\n\r\nhello")
        await peer.gone()
        closed.set()

    closed = anyio.Event()
    async with serve(script) as server:
        pool = pool_of(server)
        response = await post(pool)
        assert await anext(response) == b"hello"
        response.close()
        response.close()
        assert [piece async for piece in response] == []
        with pytest.raises(BrokenError, match="closed"):
            await response.read(10)
        await closed.wait()
        assert len(pool._connections) == 0


def test_every_error_is_an_http_error() -> None:
    for kind in (BrokenError, DecodingError, ProtocolError, TooLongError):
        assert issubclass(kind, HttpError)
