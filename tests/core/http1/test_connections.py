"""When connections are made, kept, used again and given up."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from plugway.http1 import (
    BadRequestError,
    BrokenError,
    ConnectError,
    ConnectTimeoutError,
    Origin,
    Pool,
)

Serve = Callable[..., AbstractAsyncContextManager[Any]]
OpenPool = Callable[..., Any]
OK = b"HTTP/1.1 200 OK\r\n"


def reply(body: bytes) -> bytes:
    return OK + b"content-length: %d\r\n\r\n" % len(body) + body


async def echo(peer: Any) -> None:
    while True:
        _, body = await peer.request()
        await peer.send(reply(body))


async def ask(pool: Any, body: bytes = b"hi") -> bytes:
    response = await pool.send(b"POST", b"/", [], body)
    content: bytes = await response.read(100_000_000)
    return content


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"POST", b"/", [(b"x", b"a\r\nhost: b")]),
        (b"POST", b"/", [(b"x", b"a\nb")]),
        (b"POST", b"/", [(b"x", b"a\0")]),
        (b"POST", b"/", [(b"x\r\ny", b"a")]),
        (b"POST", b"/", [(b"x ", b"a")]),
        (b"POST", b"/", [(b"", b"a")]),
        (b"POST", b"/", [(b"Host", b"a")]),
        (b"POST", b"/", [(b"Content-Length", b"1")]),
        (b"POST", b"/", [(b"transfer-encoding", b"chunked")]),
        (b"POST", b"/ HTTP/1.1\r\n", []),
        (b"POST", b"", []),
        (b"POST", b"http://elsewhere/", []),
        (b"PO ST", b"/", []),
    ],
)
async def test_a_request_that_would_be_another_is_not_sent(
    serve: Serve, pool_of: OpenPool, method: bytes, target: bytes, headers: Any
) -> None:
    async with serve(echo) as server:
        with pytest.raises(BadRequestError):
            await pool_of(server).send(method, target, headers, b"")
        assert server.peers == []


async def test_an_error_about_a_header_tells_its_name_and_no_value(pool_of: OpenPool) -> None:
    pool = pool_of(Origin.of("http://x"))
    with pytest.raises(BadRequestError, match="authorization") as caught:
        await pool.send(b"GET", b"/", [(b"authorization", b"secret\n")])
    assert "secret" not in str(caught.value)


def test_origins_are_read_from_urls() -> None:
    origin = Origin.of("HTTPS://Example.com/path")
    assert (origin, origin.field) == (Origin("https", "example.com", 443), b"example.com")
    origin = Origin.of("http://[::1]:8000")
    assert (origin.field, origin.authority) == (b"[::1]:8000", b"[::1]:8000")
    assert Origin.of("http://bücher.example").host == "xn--bcher-kva.example"
    for bad in ("ftp://x", "http://", "http://a b", "http://x:99999", "http://x:0", "x"):
        with pytest.raises(ValueError, match=r"."):
            Origin.of(bad)


async def test_one_connection_serves_one_request_after_another(
    serve: Serve, pool_of: OpenPool
) -> None:
    async with serve(echo) as server:
        pool = pool_of(server)
        for number in range(50):
            assert await ask(pool, b"%d" % number) == b"%d" % number
        assert len(server.peers) == 1


async def test_no_connection_is_an_error_with_its_cause(pool_of: OpenPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectError) as caught:
        await ask(pool_of(Origin("http", "127.0.0.1", port)))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    for host in ("nowhere.invalid", "a" * 100):
        with pytest.raises(ConnectError) as caught:
            await ask(pool_of(Origin("http", host, 80)))
        assert isinstance(caught.value.__cause__, socket.gaierror | UnicodeError)


async def test_connecting_takes_no_longer_than_it_may(serve: Serve, pool_of: OpenPool) -> None:
    async def silent(peer: Any) -> None:
        await peer.gone()

    async with serve(silent) as server:
        origin = Origin("https", "127.0.0.1", server.port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pool = pool_of(origin, ssl=context, connect_timeout=0.01)
        with pytest.raises(ConnectTimeoutError):
            await ask(pool)


async def test_a_connection_that_was_closed_while_idle_is_not_picked(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def once(peer: Any) -> None:
        _, body = await peer.request()
        await peer.send(reply(body))
        await go.wait()

    go = anyio.Event()
    async with serve(once) as server:
        pool = pool_of(server)
        await ask(pool)
        go.set()
        while pool._connections:
            await anyio.lowlevel.checkpoint()
        assert not pool._idle
        assert await ask(pool) == b"hi"
        assert len(server.peers) == 2


@pytest.mark.parametrize("death", [b"", b"H"])
async def test_a_kept_connection_that_dies_as_it_is_used_says_so_and_nothing_is_sent_twice(
    serve: Serve, pool_of: OpenPool, death: bytes
) -> None:
    async def script(peer: Any) -> None:
        for answer in (reply(b"1"), death):
            requests.append(await peer.request())
            await peer.send(answer)
        peer.reset()

    requests: list[Any] = []
    async with serve(script) as server:
        pool = pool_of(server)
        await ask(pool)
        with pytest.raises(BrokenError) as caught:
            await ask(pool)
        assert caught.value.unanswered_reuse == (death == b"")
        assert len(requests) == 2
        assert len(server.peers) == 1


async def test_a_new_connection_that_dies_is_no_reuse(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        await peer.request()

    async with serve(script) as server:
        with pytest.raises(BrokenError) as caught:
            await ask(pool_of(server))
        assert not caught.value.unanswered_reuse


async def test_a_server_that_half_closes_after_its_answer_has_answered(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        _, body = await peer.request()
        await peer.send(reply(body))
        peer.writer.write_eof()
        await peer.gone()

    async with serve(script) as server:
        pool = pool_of(server)
        assert await ask(pool) == b"hi"
        while pool._connections:
            await anyio.lowlevel.checkpoint()
        assert await ask(pool) == b"hi"
        assert len(server.peers) == 2


async def test_idle_connections_are_closed_after_a_while(serve: Serve, pool_of: OpenPool) -> None:
    async with serve(echo) as server:
        pool = pool_of(server, idle_seconds=0.05)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, pool)
        assert len(pool._idle) == 5
        while pool._connections:
            await anyio.lowlevel.checkpoint()
        assert (len(pool._idle), pool._sweeping) == (0, None)
        assert await ask(pool) == b"hi"


async def test_a_connection_that_was_idle_too_long_is_not_picked_though_the_timer_is_late(
    serve: Serve, pool_of: OpenPool
) -> None:
    async with serve(echo) as server:
        pool = pool_of(server)
        await ask(pool)
        pool._idle[0].idle_since -= 10
        await ask(pool)
        assert len(server.peers) == 2


async def test_a_connection_whose_end_was_seen_is_not_picked_in_the_turn_before_it_is_closed(
    serve: Serve, pool_of: OpenPool
) -> None:
    async with serve(echo) as server:
        pool = pool_of(server)
        await ask(pool)
        pool._idle[0].eof_received()
        assert await ask(pool) == b"hi"
        assert len(server.peers) == 2


async def test_no_more_than_so_many_stay_idle(serve: Serve, pool_of: OpenPool) -> None:
    async with serve(echo) as server:
        pool = pool_of(server, max_idle=3)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask, pool)
        assert len(pool._idle) == 3
        while len(pool._connections) > 3:
            await anyio.lowlevel.checkpoint()


async def test_closing_the_pool_ends_what_is_under_way(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        _, body = await peer.request()
        if body == b"head":
            await peer.send(OK + b"\r\n")
        arrived.release()
        await peer.gone()

    async def broken(pool: Any, body: bytes) -> None:
        with pytest.raises(BrokenError):
            await ask(pool, body)

    arrived = anyio.Semaphore(0)
    async with serve(script) as server:
        pool = pool_of(server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(broken, pool, b"")
            tasks.start_soon(broken, pool, b"head")
            await arrived.acquire()
            await arrived.acquire()
            pool.close()
        await turns()
        assert not pool._connections
        with pytest.raises(ConnectError, match="closed"):
            await ask(pool)


async def test_two_hundred_requests_get_their_own_answers_while_others_are_cancelled(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def slow_echo(peer: Any) -> None:
        while True:
            _, body = await peer.request()
            answer = reply(body)
            for at in range(0, len(answer), 40):
                await peer.send(answer[at : at + 40])
                await turns(chance.randrange(4))

    async def client(number: int) -> None:
        for turn in range(5):
            body = b"%d-%d;" % (number, turn) * 20
            with anyio.CancelScope() as scope:
                if chance.random() < 0.4:
                    tasks.start_soon(cancel, scope)
                assert await ask(pool, body) == body
                right.append(1)

    async def cancel(scope: anyio.CancelScope) -> None:
        await turns(chance.randrange(60))
        scope.cancel()

    chance = random.Random(7)
    right: list[int] = []
    async with serve(slow_echo, backlog=300) as server:
        pool = pool_of(server)
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(client, number)
        assert 400 < len(right) < 1000
        while len(pool._connections) > len(pool._idle):
            await anyio.lowlevel.checkpoint()
        assert len(pool._idle) <= 64


async def test_who_is_cancelled_at_any_turn_leaves_no_connection_behind(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def split(peer: Any) -> None:
        while True:
            _, body = await peer.request()
            await peer.send(OK + b"content-length: 2\r\n\r\n", body[:1], body[1:])

    async with serve(split) as server:
        for turn in range(40):
            pool = pool_of(server)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, pool)
                await turns(turn)
                tasks.cancel_scope.cancel()
            await turns(3)
            assert len(pool._connections) == len(pool._idle)
            assert await ask(pool, b"ok") == b"ok"


async def test_large_bodies_go_both_ways(serve: Serve, pool_of: OpenPool) -> None:
    body = random.Random(1).randbytes(10_000_000)
    async with serve(echo) as server:
        pool = pool_of(server)
        assert await ask(pool, body) == body
        assert await ask(pool) == b"hi"
        assert len(server.peers) == 1


async def test_a_server_that_does_not_read_stops_nobody_else(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        if b" /stuck " in head:
            stuck.set()
            await anyio.sleep_forever()
        await peer.reader.readexactly(2)
        await peer.send(reply(b"hi"))

    stuck = anyio.Event()
    async with serve(script) as server:
        pool = pool_of(server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.send, b"POST", b"/stuck", (), bytes(50_000_000))
            await stuck.wait()
            assert await ask(pool) == b"hi"
            (connection,) = pool._connections - set(pool._idle)
            assert connection._transport is not None
            assert connection._transport.get_write_buffer_size() < 1_000_000
            tasks.cancel_scope.cancel()
        await turns()
        assert pool._connections == set(pool._idle)


@pytest.mark.parametrize("status", [b"413 Too Large", b"200 OK"])
async def test_a_server_may_answer_before_it_has_read_all_and_close(
    serve: Serve, pool_of: OpenPool, status: bytes
) -> None:
    async def script(peer: Any) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nno")
        if status.startswith(b"2"):
            await peer.reader.readexactly(50_000_000)
        read.append(peer)

    read: list[Any] = []
    async with serve(script) as server:
        pool = pool_of(server)
        response = await pool.send(b"POST", b"/", [], bytes(50_000_000))
        assert response.status == int(status[:3])
        while not read:
            await anyio.lowlevel.checkpoint()
        assert await response.read(2) == b"no"
        while pool._connections:  # the end of the stream comes after the answer
            await anyio.lowlevel.checkpoint()


async def test_a_refused_body_is_not_sent_on(serve: Serve, pool_of: OpenPool) -> None:
    async def script(peer: Any) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await go.wait()
        rest = await peer.reader.read(-1)
        sizes.append(len(rest))

    go = anyio.Event()
    sizes: list[int] = []
    async with serve(script) as server:
        pool = pool_of(server)
        response = await pool.send(b"POST", b"/", [], bytes(50_000_000))
        assert await response.read(0) == b""
        go.set()
        while not sizes:
            await anyio.lowlevel.checkpoint()
        assert sizes[0] < 50_000_000


async def test_a_connection_with_half_a_request_on_it_is_not_used_again(
    serve: Serve, pool_of: OpenPool
) -> None:
    async def script(peer: Any) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    async with serve(script) as server:
        pool = pool_of(server)
        response = await pool.send(b"POST", b"/", [], bytes(50_000_000))
        (connection,) = pool._connections
        while connection._transport.get_write_buffer_size():
            await anyio.lowlevel.checkpoint()
        assert await response.read(0) == b""
        assert not pool._idle


async def test_the_next_address_is_tried_where_one_does_not_answer(
    serve: Serve, pool_of: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def addresses(host: str, *rest: Any, **options: Any) -> Any:
        if host != "many.example":  # uvloop asks for its own addresses, too
            return await resolve(host, *rest, **options)
        kind = (socket.SOCK_STREAM, 6, "")
        return [
            (socket.AF_INET, *kind, ("127.0.0.1", full_port)),
            (socket.AF_INET6, *kind, ("::1", 1, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", server.port)),
        ]

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        full_port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", full_port)):  # nobody else gets in
            async with serve(echo) as server:
                loop = asyncio.get_running_loop()
                resolve = loop.getaddrinfo
                monkeypatch.setattr(loop, "getaddrinfo", addresses)
                pool = pool_of(Origin("http", "many.example", 80))
                assert await ask(pool) == b"hi"


async def test_unix_sockets(serve: Serve, pool_of: OpenPool, tmp_path: Path) -> None:
    async def named(peer: Any) -> None:
        head, _ = await peer.request()
        await peer.send(reply(head.split(b"\r\n")[1]))

    async with serve(named, path=str(tmp_path / "s")) as server:
        assert await ask(pool_of(server)) == b"host: inside"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make the server's and the client's side of a certificate for 127.0.0.1 and `server.test`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("server.test")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=pem.decode())
    return server, client


async def test_tls_is_verified_and_speaks_http_1(
    serve: Serve, pool_of: OpenPool, contexts: Any
) -> None:
    async def script(peer: Any) -> None:
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await echo(peer)

    chosen: list[Any] = []
    async with serve(script, ssl=contexts[0]) as server:
        here = Origin("https", "127.0.0.1", server.port)
        pool = pool_of(here, ssl=contexts[1])
        body = bytes(3_000_000)
        assert await ask(pool, body) == body
        assert await ask(pool) == b"hi"
        assert chosen == ["http/1.1"]
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(ConnectError) as caught:
            await ask(pool_of(here, ssl=stranger))
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    async with serve(echo) as server:  # which takes the handshake for a request
        here = Origin("https", "127.0.0.1", server.port)
        server_gone = pool_of(here, ssl=contexts[1], connect_timeout=0.2)
        with pytest.raises(ConnectError):
            await ask(server_gone)


async def forward(peer: Any, port: int) -> AsyncGenerator[None]:
    """Join a proxy's client with a port, both ways."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: Any, sink: Any) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(copy, peer.reader, writer)
        tasks.start_soon(copy, reader, peer.writer)
        yield


async def test_a_proxy_is_asked_for_a_tunnel(
    serve: Serve, pool_of: OpenPool, contexts: Any
) -> None:
    async def proxy(peer: Any) -> None:
        asked.append((await peer.request())[0])
        await peer.send(b"HTTP/1.1 200 Connection", b" established\r\nvia: x\r\n\r\n")
        async for _ in forward(peer, server.port):
            pass

    asked: list[bytes] = []
    async with serve(echo, ssl=contexts[0]) as server, serve(proxy) as before:
        origin = Origin("https", "server.test", 443)
        url = f"http://me:p%40ss@127.0.0.1:{before.port}"
        pool = pool_of(origin, ssl=contexts[1], proxy=url)
        assert await ask(pool) == b"hi"
        assert await ask(pool) == b"hi"
    assert len(asked) == 1
    assert asked[0].split(b"\r\n")[:3] == [
        b"CONNECT server.test:443 HTTP/1.1",
        b"host: server.test:443",
        b"proxy-authorization: Basic bWU6cEBzcw==",
    ]


@pytest.mark.parametrize("said", [b"HTTP/1.1 407 No\r\n\r\n", b"nonsense\r\n\r\n", b""])
async def test_a_proxy_that_makes_no_tunnel_is_no_connection(
    serve: Serve, pool_of: OpenPool, contexts: Any, said: bytes
) -> None:
    async def proxy(peer: Any) -> None:
        await peer.request()
        await peer.send(said)

    async with serve(proxy) as before:
        origin = Origin("https", "server.test", 443)
        url = f"http://127.0.0.1:{before.port}"
        with pytest.raises(ConnectError, match="proxy"):
            await ask(pool_of(origin, ssl=contexts[1], proxy=url))


async def test_a_proxy_for_plain_http_gets_whole_urls(serve: Serve, pool_of: OpenPool) -> None:
    async def proxy(peer: Any) -> None:
        head, _ = await peer.request()
        await peer.send(reply(head))

    async with serve(proxy) as before:
        url = f"http://me:x@127.0.0.1:{before.port}"
        pool = pool_of(Origin.of("http://server.test:81"), proxy=url)
        lines = (await ask(pool)).split(b"\r\n")
    assert lines[0] == b"POST http://server.test:81/ HTTP/1.1"
    assert b"proxy-authorization: Basic bWU6eA==" in lines


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("https://x", {}),
        ("http://x", {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}),
        ("http://x", {"proxy": "socks5://x"}),
    ],
)
def test_a_pool_that_could_not_connect_is_not_made(url: str, options: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pool(Origin.of(url), **options)
