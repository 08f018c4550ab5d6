"""Bytes that are no HTTP, or too much of it: one clear answer, and the next client is served."""

import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from raw_clients import message
from raw_sockets import (
    CHUNKED,
    HEADERS,
    MODERN,
    VERSION,
    RawSocket,
    call_body,
    chunked,
    raw_call,
    raw_request,
    raw_socket,
)

from plugway.downstream import bodies, connection
from plugway.downstream.http import HttpServer, http_app

BODY = call_body()
KEPT, CLOSED = "kept", "closed"
LIMIT = 100_000


class Front:
    """A gateway's front, seen from its clients, and what its server's calls wait for."""

    def __init__(self) -> None:
        self.port = 0
        self.waiting = self.left = 0
        self.release = anyio.Event()
        self.empty: Mapping[str, Any] = {}

    async def pause(self, arguments: Mapping[str, Any]) -> None:
        if arguments.get("wait"):
            self.waiting += 1
            try:
                await self.release.wait()
            finally:
                self.left += 1

    def connect(self) -> AbstractAsyncContextManager[RawSocket]:
        return raw_socket(self.port)

    @asynccontextmanager
    async def impatient(self, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[RawSocket]:
        """Connect while heads have little time, but enough for a busy machine."""
        with monkeypatch.context() as patch:
            patch.setattr(connection, "HEAD_SECONDS", 0.5)
            async with self.connect() as client:
                yield client

    async def serves(self, mark: Any = "next") -> None:
        """Be a client that is served."""
        async with self.connect() as client:
            await client.send(raw_call(mark, mark=mark))
            answer = await client.answer()
        assert (answer.status, answer.json["id"], answer.echoed) == (200, mark, {"mark": mark})

    async def outcome(self, sent: bytes) -> tuple[int, str]:
        """Return the status that bytes are answered with, and what becomes of the connection."""
        async with self.connect() as client:
            await client.send(sent)
            status = (await client.answer("HEAD" if sent.startswith(b"HEAD") else "POST")).status
            await client.send(raw_call("same", mark="same"))
            try:
                assert (await client.answer()).echoed == {"mark": "same"}
            except EOFError:
                return status, "cut off" if client.unread else CLOSED
            return status, KEPT

    async def outcomes(self, cases: Mapping[str, bytes]) -> dict[str, tuple[int, str]]:
        """Return the outcomes of many; after each, others are served."""
        found: dict[str, tuple[int, str]] = {}
        for name, sent in cases.items():
            found[name] = await self.outcome(sent)
            await self.serves()
        return found

    async def status(self) -> Mapping[str, Any]:
        async with self.connect() as client:
            await client.send(raw_request(start=b"GET /status HTTP/1.1", length=False))
            status: Mapping[str, Any] = (await client.answer()).json
            return status

    async def until_waiting(self, number: int) -> None:
        """Go on asking for the status until the server has had so many calls that wait."""
        with anyio.fail_after(20):
            while self.waiting < number:
                await self.status()

    async def left_empty(self) -> None:
        """Wait until the gateway holds what it held before, tasks included."""
        with anyio.fail_after(20):
            while (status := await self.status()) != self.empty:
                assert status.keys() == self.empty.keys()


Open = Callable[..., AbstractAsyncContextManager[Front]]


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def opened(request: pytest.FixtureRequest, local_gateway: Any) -> Open:
    """Open a front, with the fast lane and without."""
    settings = f"fast_lane: {str(request.param).lower()}, max_payload_bytes: {LIMIT}"
    text = f"mcpServers: {{up: {{command: x}}}}\ngateway: {{{settings}}}"

    @asynccontextmanager
    async def front() -> AsyncGenerator[Front]:
        found = Front()
        async with (
            local_gateway(text, found.pause) as gateway,
            anyio.create_task_group() as tasks,
        ):
            app = http_app(gateway.edge, gateway.config.gateway, gateway.registry)
            server = HttpServer(app, "127.0.0.1", 0)
            tasks.start_soon(server.serve)
            await server.listening.wait()
            found.port = server.port
            await found.serves()
            found.empty = await found.status()
            yield found
            await found.left_empty()
            server.stop()

    return front


@pytest.fixture(autouse=True)
def nothing_but_words(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    for record in caplog.get_records("call"):
        assert record.exc_info is None, record.getMessage()
        assert "Traceback" not in record.getMessage()


def framed(*headers: bytes, body: bytes = BODY) -> bytes:
    """Return a call whose body is framed by these headers alone."""
    return raw_request(body, *MODERN, *headers, length=False)


def instead(old: bytes, new: bytes) -> bytes:
    assert old in raw_call()
    return raw_call().replace(old, new)


async def test_what_two_readers_might_frame_in_two_ways_is_refused(opened: Open) -> None:
    length = b"Content-Length: %d" % len(BODY)
    other = b"Content-Length: 5"
    pieces = chunked(BODY)
    cases = {
        "cl, te": framed(length, CHUNKED, body=pieces),
        "te, cl": framed(CHUNKED, other, body=pieces),
        "two lengths": framed(length, other),
        "a list of lengths": framed(b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
        "a negative length": framed(b"Content-Length: -1"),
        "a signed length": framed(b"Content-Length: +%d" % len(BODY)),
        "a length beyond 64 bits": framed(b"Content-Length: 99999999999999999999999"),
        "a hexadecimal length": framed(b"Content-Length: 0x10"),
        "xchunked": framed(b"Transfer-Encoding: xchunked", body=pieces),
        "chunked, then more": framed(b"Transfer-Encoding: chunked, identity", body=pieces),
        "vertical tab": framed(b"Transfer-Encoding: \x0bchunked", body=pieces),
        "twice chunked": framed(CHUNKED, CHUNKED, body=pieces),
        "no size": framed(CHUNKED, body=b"zz\r\n" + pieces),
        "a negative size": framed(CHUNKED, body=b"-5\r\n" + pieces),
        "0x": framed(CHUNKED, body=b"0x" + pieces),
        "a size beyond 64 bits": framed(CHUNKED, body=b"f" * 17 + b"\r\n" + BODY),
        "no end of a chunk": framed(CHUNKED, body=pieces.replace(b"}\r\n0", b"}0")),
        "line feeds between chunks": framed(CHUNKED, body=pieces.replace(b"\r\n", b"\n")),
        "line feeds": raw_call().replace(b"\r\n", b"\n"),
        "one line feed": instead(b"127.0.0.1\r\n", b"127.0.0.1\n"),
        "a carriage return": instead(b"127.0.0.1\r\n", b"127.0.0.1\r"),
        "space before the colon": raw_call(1, b"X-A : b"),
        "space before the name": raw_call(1, b" X-A: b"),
        "a folded line": raw_call(1, b"X-A: b\r\n c"),
        "nul in a value": raw_call(1, b"X-A: b\0c"),
        "nul in a name": raw_call(1, b"X\0A: b"),
        "no name": raw_call(1, b": b"),
        "no colon": raw_call(1, b"X-A"),
    }
    async with opened() as front:
        assert await front.outcomes(cases) == dict.fromkeys(cases, (400, CLOSED))


async def test_what_is_not_the_http_that_is_spoken_here_is_refused(opened: Open) -> None:
    start = raw_request(BODY, *MODERN, start=b"POST %b HTTP/1.1").replace
    expected: dict[str, tuple[bytes, tuple[int, str]]] = {
        "authority": (start(b"%b", b"127.0.0.1:80"), (400, CLOSED)),
        "another host's": (start(b"%b", b"http://evil.example/mcp"), (400, CLOSED)),
        "the host's": (start(b"%b", b"http://127.0.0.1/mcp"), (200, KEPT)),
        "no ascii": (start(b"%b", b"/m\xffcp"), (400, CLOSED)),
        "connect": (raw_request(start=b"CONNECT 127.0.0.1:80 HTTP/1.1"), (400, CLOSED)),
        "connect a path": (raw_request(start=b"CONNECT /mcp HTTP/1.1"), (501, CLOSED)),
        "asterisk": (raw_request(start=b"OPTIONS * HTTP/1.1"), (404, KEPT)),
        "0.9": (b"GET /health\r\n\r\n", (505, CLOSED)),
        "1.0": (instead(b"HTTP/1.1", b"HTTP/1.0"), (200, CLOSED)),
        "1.2": (instead(b"HTTP/1.1", b"HTTP/1.2"), (400, CLOSED)),
        "2.0": (instead(b"HTTP/1.1", b"HTTP/2.0"), (505, CLOSED)),
        "2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", (400, CLOSED)),
        "tls": (bytes.fromhex("16030100c8010000c40303"), (400, CLOSED)),
        "an unknown method": (instead(b"POST /", b"FOO /"), (400, CLOSED)),
        "no host": (raw_request(BODY, *MODERN, host=False), (400, KEPT)),
        "two hosts": (raw_call(1, b"Host: evil.example"), (400, KEPT)),
        "gzip, chunked": (
            framed(b"Transfer-Encoding: gzip, chunked", body=chunked(BODY)),
            (501, CLOSED),
        ),
        "empty lines first": (b"\r\n\r\n" + raw_call(), (200, KEPT)),
        "a chunk's extension": (
            framed(CHUNKED, body=b"%x;a=b\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
            (200, KEPT),
        ),
    }
    async with opened() as front:
        found = await front.outcomes({name: sent for name, (sent, _) in expected.items()})
        assert found == {name: outcome for name, (_, outcome) in expected.items()}


async def test_trailers_pass_for_no_headers(opened: Open) -> None:
    # a second host would be refused, as would a second origin or session
    trailer = chunked(BODY).removesuffix(b"\r\n") + b"Host: evil.example\r\n\r\n"
    async with opened() as front:
        assert await front.outcome(framed(CHUNKED, body=trailer)) == (200, KEPT)


async def test_heads_are_bounded(opened: Open) -> None:
    large = b"a" * connection.HEAD_BYTES
    flood = b"a" * 2_000_000
    cases = {
        "many fields": raw_call(1, *[b"X-%d: a" % each for each in range(connection.HEAD_FIELDS)]),
        "a large field": raw_call(1, b"X-A: " + large),
        "a large target": raw_request(BODY, *MODERN, start=b"GET /" + large + b" HTTP/1.1"),
        "a field without end": raw_call()[:100] + flood,
        "a trailer without end": framed(CHUNKED, body=chunked(BODY)[:-2] + b"X-A: " + flood),
        "a chunk's extension without end": framed(CHUNKED, body=b"5;" + flood),
    }
    async with opened() as front:
        assert await front.outcomes(cases) == dict.fromkeys(cases, (431, CLOSED))
        fits = raw_call(1, *[b"X-%d: %b" % (each, b"a" * 200) for each in range(200)])
        assert await front.outcome(fits) == (200, KEPT)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"POST /mcp HTT", raw_call()[:150]])
async def test_who_does_not_come_to_the_end_of_a_head_is_not_waited_for(
    opened: Open, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    async with opened() as front, front.impatient(monkeypatch) as client:
        await client.send(sent)
        answer = await client.to_end()
        assert answer.startswith(b"HTTP/1.1 408 ") if sent.strip() else not answer


async def test_a_head_that_comes_byte_by_byte_has_no_more_time(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as front, front.impatient(monkeypatch) as client:
        await client.send(raw_call()[: -len(BODY) - 2])
        with anyio.fail_after(20):
            while b"408" not in client.unread:
                await client.send(b"X-A: b\r\n")
                with anyio.move_on_after(0.01):
                    await client.head()
                    break
        assert await client.to_end() == b"Request Timeout"


async def test_a_head_in_pieces_is_a_head(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        for index in range(0, len(raw_call()), 7):
            await client.send(raw_call()[index : index + 7])
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("sent", [raw_call()[:-1], framed(CHUNKED, body=chunked(BODY)[:-3])])
async def test_a_body_that_never_ends_is_not_waited_for(
    opened: Open, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    async with opened() as front, front.connect() as client:
        await client.send(sent)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert await client.to_end() == b""


async def test_the_rest_of_a_refused_body_is_not_read_for_ever(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as front, front.impatient(monkeypatch) as client:
        await client.send(framed(b"Content-Length: 1000000000", body=b"{"))
        assert (await client.answer()).status == 413
        with anyio.fail_after(20):
            while True:
                try:
                    with anyio.move_on_after(0.01):
                        await client.head()
                except EOFError:
                    break
                await client.send(b"{")
        assert not client.unread


async def test_bodies_that_are_too_large_are_refused_once_their_size_is_known(
    opened: Open,
) -> None:
    cases = {
        "declared": raw_request(b" " * (LIMIT + 1), *MODERN),
        "in chunks": framed(CHUNKED, body=chunked(*[b" " * 1000] * (LIMIT // 1000 + 1))),
    }
    async with opened() as front:
        assert await front.outcomes(cases) == dict.fromkeys(cases, (413, KEPT))
        async with front.connect() as client:  # one that has not ended
            await client.send(framed(CHUNKED, body=chunked(b" " * (LIMIT + 1))[:-5]))
            assert (await client.answer()).status == 413


async def test_who_asks_before_sending_a_body_is_told(opened: Open) -> None:
    expects = b"Expect: 100-continue"
    async with opened() as front:
        async with front.connect() as client:
            await client.send(raw_request(BODY, *MODERN, expects).removesuffix(BODY))
            assert (await client.answer()).status == 100
            await client.send(BODY)
            assert (await client.answer()).status == 200
        async with front.connect() as client:
            await client.send(framed(b"Content-Length: 1000000000", expects, body=b""))
            assert (await client.answer()).status == 413  # and the connection can't go on
            assert await client.to_end() == b""


async def test_compressed_bodies_are_not_read(opened: Open) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < LIMIT
    async with opened() as front:
        async with front.connect() as client:
            for coding in (b"gzip", b"deflate", b"GZIP, gzip", b"x"):
                await client.send(raw_request(bomb, *MODERN, b"Content-Encoding: " + coding))
                answer = await client.answer()
                assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
            await client.send(raw_call(1, b"Content-Encoding: identity"))
            assert (await client.answer()).status == 200
        assert await front.outcome(raw_request(bomb, *MODERN)) == (400, KEPT)


async def test_pipelined_requests_get_each_their_own_answer_in_order(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        sent = [raw_call(each, mark=each) for each in range(20)]
        sent[7] = raw_request(b"{", *MODERN)
        sent[11] = framed(CHUNKED, body=chunked(call_body(11, mark=11)))
        sent[13] = raw_request(start=b"GET /health HTTP/1.1", length=False)
        await client.send(b"".join(sent))
        for each in range(20):
            answer = await client.answer()
            if each == 7:
                assert answer.status == 400
            elif each == 13:
                assert answer.json == {"status": "ok"}
            else:
                assert (answer.json["id"], answer.echoed) == (each, {"mark": each})


async def test_a_bad_request_behind_good_ones_does_not_take_their_answers(opened: Open) -> None:
    bad = {
        "no http": b"\0\0\0\0\r\n\r\n",
        "two framings": framed(CHUNKED, b"Content-Length: 5"),
        "a bad chunk": framed(CHUNKED, body=b"5\r\nhello!!"),
        "too large": raw_call(1, b"X-A: " + b"a" * connection.HEAD_BYTES),
    }
    async with opened() as front:
        for name, sent in bad.items():
            async with front.connect() as client:
                front.release = anyio.Event()
                number = front.waiting + 1
                await client.send(raw_call(1, wait=True) + raw_call(2, mark=2) + sent)
                await front.until_waiting(number)
                front.release.set()
                assert (await client.answer()).echoed == {"wait": True}, name
                assert (await client.answer()).echoed == {"mark": 2}, name
                assert (await client.answer()).status == (431 if name == "too large" else 400)
                assert await client.to_end() == b""
            await front.serves()


async def test_nothing_is_served_behind_the_last_request(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        await client.send(raw_call(1, b"Connection: close") + raw_call(2))
        answer = await client.answer()
        assert (answer.json["id"], answer.headers["connection"]) == (1, "close")
        assert await client.to_end() == b""


async def test_a_connection_has_few_unanswered_requests(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        await client.send(raw_call("first", wait=True) + raw_call() * connection.MOST_PIPELINED)
        await front.until_waiting(1)
        front.release.set()
        answers = [await client.answer() for _ in range(connection.MOST_PIPELINED + 1)]
        assert {answer.status for answer in answers[:-1]} == {200}
        assert answers[-1].status == 503
        assert await client.to_end() == b""


async def test_wishes_for_other_protocols_are_ignored(opened: Open) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk", b"Upgrade: h2c"
    socket = b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"
    async with opened() as front, front.connect() as client:
        whole = raw_call(1, *wish, mark=1)
        # the body, which comes later, is no request, even if it looks like one
        await client.send(whole + whole[:-20])
        assert (await client.answer()).echoed == {"mark": 1}
        await client.send(whole[-20:] + raw_call(3, *socket, mark=3))
        assert (await client.answer()).echoed == {"mark": 1}
        assert (await client.answer()).echoed == {"mark": 3}
        inner = raw_call("smuggled")
        await client.send(raw_request(inner, *MODERN, *wish).removesuffix(inner))
        await client.send(inner)
        assert (await client.answer()).status == 400
        await client.send(raw_call("after", mark="after"))
        assert (await client.answer()).echoed == {"mark": "after"}


async def test_other_methods_are_refused_whatever_their_bodies(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        for method in (b"HEAD", b"OPTIONS", b"PUT", b"PATCH", b"GET", b"DELETE"):
            for body in (b"", BODY):
                await client.send(raw_request(body, *MODERN, start=method + b" /mcp HTTP/1.1"))
                answer = await client.answer(method.decode())
                assert (answer.status, answer.headers["allow"]) == (405, "POST"), method
        await client.send(raw_request(BODY, *HEADERS, start=b"GET /mcp HTTP/1.1"))
        assert (await client.answer()).status == 400  # a stream of no session
        await client.send(raw_call(mark="after"))
        assert (await client.answer()).echoed == {"mark": "after"}


async def test_a_connection_outlives_what_is_wrong_with_a_message(opened: Open) -> None:
    async with opened() as front, front.connect() as client:
        for sent, status in [
            (raw_request(b"{", *MODERN), 400),
            (raw_request(b"[]", *HEADERS), 400),
            (raw_request(b"", start=b"POST /nowhere HTTP/1.1"), 404),
            (raw_request(b" " * (LIMIT + 1), *MODERN), 413),
            (raw_request(b"", start=b"PUT /health HTTP/1.1"), 405),
            (raw_call(), 200),
        ]:
            await client.send(sent)
            assert (await client.answer()).status == status


LISTEN = message(
    "subscriptions/listen",
    {"notifications": {"toolsListChanged": True}},
    version=VERSION,
    request_id=1,
)
GOING: dict[str, Callable[[RawSocket], Awaitable[None]]] = {
    "closes": lambda client: client.stream.aclose(),
    "closes half": lambda client: client.half_close(),
    "resets": lambda client: client.reset(),
}


@pytest.mark.parametrize("going", GOING.values(), ids=GOING)
async def test_a_client_that_goes_leaves_nothing_whenever_it_goes(
    opened: Open, going: Callable[[RawSocket], Awaitable[None]]
) -> None:
    listen = raw_request(
        json.dumps(LISTEN).encode(), *MODERN[:-2], b"Mcp-Method: subscriptions/listen"
    )
    async with opened() as front:
        for sent in (b"", raw_call()[:40], raw_call()[:-20], framed(CHUNKED, body=b"5\r\nhel")):
            async with front.connect() as client:
                await client.send(sent)
                await front.serves()
                await going(client)
                await front.left_empty()
        for behind in (b"", raw_call(2), raw_call(2, wait=True), raw_call(2)[:-20]):
            async with front.connect() as client:
                number = front.waiting + 1
                await client.send(raw_call(1, wait=True) + behind)
                await front.until_waiting(number)
                await going(client)
                await front.left_empty()
                assert front.left == front.waiting
            async with front.connect() as client:
                await client.send(listen)
                status, headers = await client.head()
                assert (status, headers["transfer-encoding"]) == (200, "chunked")
                assert b"acknowledged" in await client.chunk()
                await client.send(behind)
                await front.serves()
                await going(client)
                await front.left_empty()
