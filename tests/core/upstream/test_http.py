"""HTTP servers that do what they should not, and what is made of it."""

import gzip
import json
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from opentelemetry import trace
from starlette.applications import Starlette

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Caller
from plugway.jsonrpc import RpcError
from plugway.upstream import Upstream, open_upstreams, posting, sdk
from plugway.upstream.http import ssl_context
from plugway_hookspecs import ServerError, ServerUnavailableError

Serve = Callable[..., AbstractAsyncContextManager[str]]
Reply = bytes | None


def response(
    body: Any = b"", status: str = "200 OK", kind: str = "application/json", **headers: str
) -> bytes:
    """Make an HTTP response; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(content)}", "connection: close"]
    lines += [f"content-type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


def result(message: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": fields}


def error(message: Mapping[str, Any] | None, code: int, text: str) -> dict[str, Any]:
    request_id = message["id"] if message else None
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}


class Modern:
    """A modern server whose answer to `tools/call` is scripted."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.paths: list[str] = []
        self.seen: list[tuple[str, dict[str, str], Any]] = []

    def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
        self.seen.append((method, headers, message))
        self.paths.append(headers[":path"])
        if "id" not in message:
            return response(status="202 Accepted")
        if message["method"] == "server/discover":
            return response(
                result(message, supportedVersions=["2026-07-28"], capabilities={"tools": {}})
            )
        reply = self.replies.pop(0) if self.replies else result(message, ok=True)
        reply = reply(message) if callable(reply) else reply
        return response(reply) if isinstance(reply, dict) else reply


class Legacy(Modern):
    """A legacy server with sessions, which it forgets when told to."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(*replies)
        self.sessions = 0
        self.streams: list[Any] = []

    def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
        name = message["method"] if message else ""
        if method != "POST":
            self.seen.append((method, headers, message))
            streams = self.streams if method == "GET" else []
            return streams.pop(0) if streams else response(status="404 Not Found")
        if name == "server/discover":
            return response(error(message, -32601, "no such method"), "400 Bad Request")
        if name == "initialize":
            self.sessions += 1
            answer = result(message, protocolVersion="2025-03-26", capabilities={}, serverInfo={})
            return response(answer, mcp_session_id=f"s{self.sessions}", set_cookie="a=b")
        if name == "notifications/initialized":
            return response(status="202 Accepted")
        return super().__call__(method, headers, message)

    def calls(self) -> list[str]:
        return [message["method"] for _, _, message in self.seen if message]


async def call(upstream: Upstream) -> dict[str, Any]:
    return await upstream.request("tools/call", {"name": "x", "arguments": {}})


def with_result(value: Any, status: str = "200 OK") -> Callable[[Any], bytes]:
    return lambda message: response({**result(message), "result": value}, status)


BAD_ANSWERS: list[tuple[Any, str]] = [
    (None, "broke off the connection before it answered"),
    (b"", "broke off the connection before it answered"),
    (b"garbage\r\n\r\n", "broke off the connection before it answered"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", "broke off the connection"),
    (response(b"{", kind="application/json"), "not JSON-RPC"),
    (response(b"\xff\xfe", kind="application/json"), "not JSON-RPC"),
    (response([]), "not JSON-RPC"),
    (response({"jsonrpc": "2.0", "id": 999, "result": {}}), "not JSON-RPC"),
    (with_result([1]), "not JSON-RPC"),
    (with_result(None), "not JSON-RPC"),
    (response({"jsonrpc": "2.0", "id": 2}), "not JSON-RPC"),
    (response(b"<html>", kind="text/html"), "not JSON-RPC"),
    (response(b"hello", kind=""), "not JSON-RPC"),
    (response(b"x" * 99, content_encoding="gzip"), "not JSON-RPC"),
    (response(status="202 Accepted"), r"answered HTTP 202 \(Accepted\)"),
    (response(status="401 Unauthorized"), "answered HTTP 401 .*; check the server's `headers`"),
    (response(status="403 Forbidden"), "answered HTTP 403 .*; check the server's `headers`"),
    (
        response(status="404 Not Found", kind="text/html"),
        "HTTP 404 .*; check the path of the `url`",
    ),
    (response(status="429 Too Many Requests"), "answered HTTP 429 .*; the server limits the rate"),
    (response(b"{}", status="500 Internal Server Error"), r"HTTP 500 \(Internal Server Error\)"),
    (response(b"<html>", status="503 Service Unavailable", kind="text/html"), "HTTP 503"),
    (response(b"", status="799 Odd"), "answered HTTP 799"),
    (with_result({}, "500 Internal Server Error"), "answered HTTP 500"),
    (response(b"data: {\n\n", kind="text/event-stream"), "not JSON-RPC"),
    (response(b"", kind="text/event-stream"), "broke off its response before the answer"),
    (response(b": nothing\n\n", kind="text/event-stream"), "broke off its response"),
    (response(status="302 Found", location="http://127.0.0.1:1/x?secret=1"), "redirects to http"),
    (response(status="307 Moved", location="http://user:pw@other.example/mcp"), "redirects to"),
    (response(status="307 Moved", location="http://x:port/"), "answered HTTP 307"),
    (response(status="307 Moved", location="/mcp"), "redirects without end"),
]


@pytest.mark.parametrize(("reply", "reason"), BAD_ANSWERS)
async def test_a_bad_answer_costs_its_own_request_only(
    raw_http: Serve, reply: Any, reason: str
) -> None:
    release = anyio.Event()
    received = anyio.Event()
    outcome: list[dict[str, Any]] = []

    async def wait(message: Any) -> bytes:
        received.set()
        await release.wait()
        return response(result(message, late=True))

    server = Modern(wait, *[reply] * (3 if reason == "redirects without end" else 1))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"bad": ServerConfig(url=url)}) as ups:

            async def sibling() -> None:
                outcome.append(await call(ups["bad"]))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sibling)
                await received.wait()
                with pytest.raises(ServerUnavailableError, match=reason) as info:
                    await call(ups["bad"])
                assert not any(secret in info.value.message for secret in ("secret", "pw"))
                release.set()
            assert await call(ups["bad"]) == {"ok": True}
            discovered = [m["method"] for _, _, m in server.seen].count("server/discover")
    assert outcome == [{"late": True}]
    assert discovered == 1


async def test_an_error_in_json_rpc_is_the_servers_word_whatever_the_status(
    raw_http: Serve,
) -> None:
    server = Modern(response(error(None, -32020, "header mismatch"), "400 Bad Request"))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerError, match="header mismatch") as info:
                await call(ups["a"])
            assert info.value.code == -32020


async def test_a_compressed_answer_is_read(raw_http: Serve) -> None:
    def packed(message: Any) -> bytes:
        body = gzip.compress(json.dumps(result(message, ok="packed")).encode())
        return response(body, content_encoding="gzip")

    with anyio.fail_after(10):
        server = Modern(packed)
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            assert await call(ups["a"]) == {"ok": "packed"}


async def test_an_error_without_an_id_still_reaches_its_caller(raw_http: Serve) -> None:
    server = Modern(response(error(None, -32603, "could not read")))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerError, match="could not read"):
                await call(ups["a"])


async def test_only_configured_headers_are_sent_and_no_cookies_kept(raw_http: Serve) -> None:
    server = Legacy()
    with anyio.fail_after(10):
        async with raw_http(server) as url:
            config = ServerConfig(
                url=url, headers={"Authorization": "Bearer t", "User-Agent": "me"}
            )
            async with open_upstreams({"a": config}) as upstreams:
                await call(upstreams["a"])
    headers = next(headers for _, headers, message in server.seen if message)
    assert set(headers) - {"connection"} == {
        ":path",
        "host",
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "mcp-protocol-version",
        "mcp-session-id",
        "user-agent",
    }
    assert (headers["authorization"], headers["user-agent"]) == ("Bearer t", "me")
    assert (headers["mcp-session-id"], headers["mcp-protocol-version"]) == ("s1", "2025-03-26")


async def test_closing_ends_the_session(raw_http: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = Legacy()
    with anyio.fail_after(10), caplog.at_level(logging.WARNING):
        async with raw_http(server) as url:
            async with open_upstreams({"a": ServerConfig(url=url)}) as upstreams:
                await call(upstreams["a"])
            ended = [h["mcp-session-id"] for method, h, _ in server.seen if method == "DELETE"]
    assert ended == ["s1"]
    assert caplog.messages == []


async def test_a_redirect_within_the_origin_is_followed(raw_http: Serve) -> None:
    server = Modern(response(status="307 Temporary Redirect", location="/other"))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            assert await call(ups["a"]) == {"ok": True}


@pytest.mark.parametrize(
    "lost",
    [
        response(status="404 Not Found", kind="text/plain"),
        response(error(None, -32001, "Session not found"), "404 Not Found"),
        response(error(None, -32000, "Bad Request: No valid session ID"), "400 Bad Request"),
    ],
)
async def test_a_lost_session_is_made_anew_and_the_request_sent_again_once(
    raw_http: Serve, lost: bytes
) -> None:
    server = Legacy(lost)
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            assert await call(ups["a"]) == {"ok": True}
            sessions = [h["mcp-session-id"] for _, h, m in server.seen if m]
            assert sessions == ["s1", "s2"]
            assert ups["a"].status.state == "up"


async def test_an_error_after_a_lost_session_is_the_servers_own(raw_http: Serve) -> None:
    lost = response(status="404 Not Found", kind="text/plain")
    server = Legacy(lost, response(error(None, -32602, "no such tool")))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerError, match="no such tool"):
                await call(ups["a"])


async def test_a_server_without_a_stream_of_its_own_keeps_its_session(raw_http: Serve) -> None:
    server = Legacy()
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await call(ups["a"])
            while "GET" not in [method for method, _, _ in server.seen]:
                await checkpoint()
            await anyio.wait_all_tasks_blocked()
            await call(ups["a"])
            assert server.sessions == 1


async def test_the_stream_of_a_server_may_be_redirected(raw_http: Serve) -> None:
    changed = anyio.Event()
    event = b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'
    server = Legacy()
    server.streams = [
        response(status="307 Temporary Redirect", location="/stream"),
        response(event, kind="text/event-stream"),
    ]

    def listener(what: str) -> None:
        if what == "notifications/tools/list_changed":
            changed.set()

    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            ups["a"].on_list_changed(lambda event, _: listener(event))
            await ups["a"].connect()
            await changed.wait()
    assert [h[":path"] for method, h, _ in server.seen if method == "GET"][:2] == [
        "/mcp",
        "/stream",
    ]


def events(*messages: Mapping[str, Any], head: str = "") -> bytes:
    """Make an event stream that ends after the messages."""
    lines = [f"{head}data: {json.dumps(message)}\n\n" for message in messages]
    return response("".join(lines).encode(), kind="text/event-stream")


async def test_what_precedes_an_answer_on_its_stream_reaches_the_caller(raw_http: Serve) -> None:
    def reply(message: Any) -> bytes:
        token = message["params"]["_meta"]["progressToken"]
        said = [{"progressToken": token, "progress": number} for number in (1, 2)]
        notes = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": p} for p in said]
        return events(*notes, result(message, ok=True))

    heard = list[float]()

    async def progress(params: Mapping[str, Any]) -> None:
        heard.append(params["progress"])

    with anyio.fail_after(10):
        async with (
            raw_http(Modern(reply)) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as u,
        ):
            assert await u["a"].request("tools/call", {"name": "x"}, on_progress=progress) == {
                "ok": True
            }
    assert heard == [1, 2]


async def test_an_answer_to_another_request_is_not_taken_for_ones_own(raw_http: Serve) -> None:
    def reply(message: Any) -> bytes:
        foreign = {"jsonrpc": "2.0", "id": 999, "result": {"another": True}}
        return events(foreign, result(message, ok=True))

    with anyio.fail_after(10):
        async with raw_http(Modern(reply)) as url:
            servers = {"a": ServerConfig(url=url)}
            async with open_upstreams(servers, fast_lane=True) as upstreams:
                assert await call(upstreams["a"]) == {"ok": True}


async def test_a_request_whose_stream_can_not_be_resumed_is_not_sent_again(
    raw_http: Serve,
) -> None:
    class Gone(Legacy):
        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            if method == "GET" and "last-event-id" in headers:
                return response(status="301 Moved", location="https://127.0.0.1/mcp")
            return super().__call__(method, headers, message)

    cut = response(b"id: 7\nretry: 1\ndata:\n\n", kind="text/event-stream")
    server = Gone(cut)
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerUnavailableError, match="broke off its response"):
                await call(ups["a"])
    assert server.calls().count("tools/call") == 1


async def test_what_is_configured_does_not_double_a_requests_own_headers(raw_http: Serve) -> None:
    lines = list[str]()

    class Server(Modern):
        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            lines.append(headers["content-type"] + headers["accept"])
            return super().__call__(method, headers, message)

    configured = {"Content-Type": "text/plain", "Accept": "text/plain", "Mcp-Name": "x"}
    server = Server()
    with anyio.fail_after(10):
        async with raw_http(server) as url:
            config = ServerConfig(url=url, headers=configured)
            async with open_upstreams({"a": config}) as upstreams:
                await call(upstreams["a"])
    assert lines[-1] == "application/jsonapplication/json, text/event-stream"
    sent = [headers for _, headers, message in server.seen if message["method"] == "tools/call"]
    assert sent[0]["mcp-name"] == "x"  # which is the tool's


async def test_no_request_overtakes_the_end_of_the_handshake(raw_http: Serve) -> None:
    order = list[str]()

    class Slow(Legacy):
        async def slowly(self) -> bytes:
            await anyio.sleep(0.05)
            order.append("notifications/initialized")
            return response(status="202 Accepted")

        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            if message and message["method"] == "notifications/initialized":
                return self.slowly()
            if message and message["method"] == "tools/call":
                order.append("tools/call")
            return super().__call__(method, headers, message)

    with anyio.fail_after(10):
        async with raw_http(Slow()) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await call(ups["a"])
    assert order == ["notifications/initialized", "tools/call"]


def test_the_fast_lane_reads_an_address_as_the_sdk_does() -> None:
    config = ServerConfig(url="https://stra\u00dfe.example:444/mcp")
    with posting.http1_pool(config) as pool:
        origin = pool._origin  # pyright: ignore[reportPrivateUsage]
    assert (origin.host, origin.port) == ("xn--strae-oqa.example", 444)
    assert not posting.can_send(ServerConfig(url="http://[v1.a]/x"))


async def test_a_trace_goes_on_at_the_server(raw_http: Serve) -> None:
    server = Modern()
    span = trace.NonRecordingSpan(
        trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))
    )
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with trace.use_span(span):
                await call(ups["a"])
    (sent,) = (each for _, _, each in server.seen if each["method"] == "tools/call")
    assert sent["params"]["_meta"]["traceparent"].split("-")[1] == f"{0xABC:032x}"


async def test_headers_that_the_fast_lane_can_not_send_are_sent_without_it(
    raw_http: Serve,
) -> None:
    server = Modern()
    with anyio.fail_after(10):
        async with raw_http(server) as url:
            config = ServerConfig(url=url, headers={"Host": "inner.example"})
            async with open_upstreams({"a": config}) as upstreams:
                assert await call(upstreams["a"]) == {"ok": True}
    assert {headers["host"] for _, headers, _ in server.seen} == {"inner.example"}


async def test_a_question_on_the_stream_of_a_request_is_answered_by_a_post(
    raw_http: Serve,
) -> None:
    answered = anyio.Event()
    answers: list[Any] = []

    class Asking(Legacy):
        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            if message and "method" not in message:
                answers.append((message, headers["mcp-session-id"]))
                answered.set()
                return response(status="202 Accepted")
            if message and message["method"] == "tools/call":
                return self.ask(message)
            return super().__call__(method, headers, message)

        async def ask(self, message: Any) -> AsyncGenerator[bytes]:
            yield STREAM
            for ident in ("q1", "q2"):
                asked = {"jsonrpc": "2.0", "id": ident, "method": "roots/list"}
                yield b"data: " + json.dumps(asked).encode() + b"\n\n"
                if ident == "q1":
                    await answered.wait()
            yield b"data: " + json.dumps(result(message, ok=True)).encode() + b"\n\n"

    async def ask(method: str, _: Mapping[str, Any]) -> dict[str, Any]:
        if answers:
            raise RpcError(-32601, "not again")
        return {"roots": [method]}

    caller = Caller({"roots": {}})
    with anyio.fail_after(10):
        async with raw_http(Asking()) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await ups["a"].connect()
            params: dict[str, Any] = {"name": "x", "arguments": {}}
            assert await ups["a"].request("tools/call", params, caller=caller, on_ask=ask) == {
                "ok": True
            }
    assert answers[0] == ({"jsonrpc": "2.0", "id": "q1", "result": {"roots": ["roots/list"]}}, "s2")


@pytest.mark.parametrize("session", ["s1", ""])
async def test_the_stream_of_an_answer_is_resumed_where_it_broke_off(
    raw_http: Serve, session: str
) -> None:
    asked: list[Any] = []

    def broken(message: Any) -> bytes:
        asked.append(message)
        return response(b"id: 7\nretry: 1\ndata:\n\n", kind="text/event-stream")

    class Resuming(Legacy):
        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            if method == "GET" and (after := headers.get("last-event-id")):
                resumed.append(
                    (after, headers.get("mcp-session-id", ""), headers["mcp-protocol-version"])
                )
                if len(resumed) == 1:
                    return response(b"id: 8\nretry: 1\ndata:\n\n", kind="text/event-stream")
                return events(result(asked[0], ok=True), head="id: 9\n")
            reply = super().__call__(method, headers, message)
            return reply if session else reply.replace(b"mcp-session-id", b"x-nothing")

    resumed: list[Any] = []
    with anyio.fail_after(10):
        async with (
            raw_http(Resuming(broken)) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as ups,
        ):
            assert await call(ups["a"]) == {"ok": True}
    assert resumed == [(after, session, "2025-03-26") for after in ("7", "8")]


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\n"
UPDATED = (
    b'data: {"jsonrpc":"2.0","method":"notifications/resources/updated",'
    b'"params":{"uri":"memo://x"}}\n\n'
)


@asynccontextmanager
async def following(
    upstream: Upstream, updated: Callable[[str], None], started: Callable[[], None]
) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upstream.watch, ["memo://x"], None, updated, started)
        yield
        tasks.cancel_scope.cancel()


async def test_a_change_right_after_the_answer_to_a_subscription_is_heard(raw_http: Serve) -> None:
    heard, changed, opened = anyio.Event(), anyio.Event(), list[bool]()

    async def stream() -> AsyncGenerator[bytes]:
        await anyio.sleep(0.05)
        opened.append(True)
        yield STREAM
        await changed.wait()
        yield UPDATED
        await anyio.sleep_forever()

    def subscribed(message: Any) -> bytes:
        if opened:  # such servers drop what nobody listens for
            changed.set()
        return response(result(message))

    server = Legacy(subscribed)
    server.streams = [stream()]
    with anyio.fail_after(10):
        async with (
            raw_http(server) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as ups,
            following(ups["a"], lambda _: heard.set(), lambda: None),
        ):
            await heard.wait()


async def test_who_follows_learns_that_the_stream_of_a_server_was_cut(raw_http: Serve) -> None:
    cut, started = anyio.Event(), anyio.Event()
    heard = list[str]()

    async def first() -> AsyncGenerator[bytes]:
        yield STREAM
        await cut.wait()

    async def second() -> AsyncGenerator[bytes]:
        yield STREAM
        await anyio.sleep_forever()

    server = Legacy()
    server.streams = [first(), second()]
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            async with following(ups["a"], heard.append, started.set):
                await started.wait()
                assert heard == []
                cut.set()
                while not heard:
                    await checkpoint()
            assert (heard, server.sessions) == (["memo://x"], 1)


async def test_a_stream_that_never_opens_keeps_nobody_waiting(
    raw_http: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "HEARING_TIMEOUT", 0.05)
    started = anyio.Event()

    async def never() -> AsyncGenerator[bytes]:
        await anyio.sleep_forever()
        yield b""

    server = Legacy()
    server.streams = [never()]
    with anyio.fail_after(10):
        async with (
            raw_http(server) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as ups,
            following(ups["a"], print, started.set),
        ):
            await started.wait()


async def test_missing_certificates_keep_only_http_servers_away(
    monkeypatch: pytest.MonkeyPatch, line_program: Callable[[str], dict[str, Any]]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    ssl_context.cache_clear()
    servers = {
        "web": ServerConfig(url="https://127.0.0.1:1/mcp"),
        "program": ServerConfig(**line_program("refuse")),
    }
    with anyio.fail_after(10):
        async with open_upstreams(servers) as upstreams:
            with pytest.raises(ServerUnavailableError, match="check SSL_CERT_FILE"):
                await upstreams["web"].connect()
            await upstreams["program"].connect()


async def test_a_session_that_ends_with_its_stream_is_made_anew_by_itself(
    raw_http: Serve,
) -> None:
    renewed = anyio.Event()
    server = Legacy()
    server.streams = [response(b"retry: 1\n\n", kind="text/event-stream")]
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await ups["a"].connect()
            ups["a"].on_list_changed(lambda _, __: renewed.set())
            await renewed.wait()
    assert server.sessions == 2


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_response_that_nobody_waits_for_is_let_go_of(
    raw_http: Serve, streaming: bool
) -> None:
    received = anyio.Event()
    let_go = anyio.Event()

    async def never(message: Any) -> Any:
        received.set()
        try:
            await anyio.sleep_forever()
        finally:
            let_go.set()

    async def stream(message: Any) -> AsyncGenerator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: 1\ndata:\n\n"
        await never(message)

    server = Legacy(stream if streaming else never)
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, ups["a"])
                await received.wait()
                tasks.cancel_scope.cancel()
            await let_go.wait()
            assert await call(ups["a"]) == {"ok": True}
            methods = [message["method"] for _, _, message in server.seen if message]
            resumed = [h for _, h, _ in server.seen if "last-event-id" in h]
    assert methods == ["tools/call", "notifications/cancelled", "tools/call"]
    assert resumed == []


async def test_secrets_in_the_url_reach_the_server_and_no_log(
    raw_http: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = Modern(response(status="500 Internal Server Error"))
    with anyio.fail_after(10), caplog.at_level(logging.DEBUG):
        async with raw_http(server) as url:
            secret = url.replace("http://", "http://us%3Aer:s3cret@") + "?key=s3cret"
            async with open_upstreams({"a": ServerConfig(url=secret)}) as upstreams:
                with pytest.raises(ServerUnavailableError, match="HTTP 500"):
                    await call(upstreams["a"])
    assert server.seen[0][1]["authorization"] == f"Basic {b64encode(b'us:er:s3cret').decode()}"
    assert server.paths == ["/mcp?key=s3cret"] * 2
    assert "s3cret" not in caplog.text


async def test_a_session_that_is_lost_twice_is_an_error(raw_http: Serve) -> None:
    lost = response(status="404 Not Found", kind="text/plain")
    server = Legacy(lost, lost, lost)
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerUnavailableError, match="has forgotten the session"):
                await call(ups["a"])
    assert server.calls().count("tools/call") == 2


async def test_a_method_that_a_legacy_server_does_not_know_loses_no_session(
    raw_http: Serve,
) -> None:
    server = Legacy(response(error(None, -32601, "unknown"), "404 Not Found"))
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerError, match="unknown"):
                await call(ups["a"])
            assert server.sessions == 1


async def test_a_request_that_may_have_been_processed_is_never_sent_twice(
    raw_http: Serve,
) -> None:
    for server in (Modern(None), Legacy(None)):
        with anyio.fail_after(10):
            async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
                with pytest.raises(ServerUnavailableError, match="broke off"):
                    await call(ups["a"])
        assert [m["method"] for _, _, m in server.seen if m].count("tools/call") == 1


async def test_a_notification_that_is_never_answered_does_not_hold_up_requests(
    raw_http: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugway.upstream.guard.NOTICE_TIMEOUT", 0.1)

    class Slow(Legacy):
        def __call__(self, method: str, headers: dict[str, str], message: Any) -> Any:
            if message and message["method"] == "notifications/initialized":
                return anyio.sleep_forever()
            return super().__call__(method, headers, message)

    with anyio.fail_after(10):
        async with raw_http(Slow()) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            assert await call(ups["a"]) == {"ok": True}


async def test_a_message_that_is_too_long_is_refused(
    raw_http: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("guard", "posting"):
        monkeypatch.setattr(f"plugway.upstream.{module}.MAX_MESSAGE_BYTES", 1_000_000)
    monkeypatch.setattr("plugway.upstream.http.MAX_MESSAGE_BYTES", 1_000_000)

    def long(message: Any) -> dict[str, Any]:
        return result(message, x="x" * 2_000_000)

    def long_event(message: Any) -> bytes:
        event = b"data: " + json.dumps(long(message)).encode() + b"\n\n"
        return response(event, kind="text/event-stream")

    def long_answer(message: Any) -> bytes:
        return response(long(message))

    server = Modern(long_answer, long_event)
    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerUnavailableError, match="too long"):
                await call(ups["a"])
            with pytest.raises(ServerUnavailableError, match=r"too long|broke off its response"):
                await call(ups["a"])
            assert await call(ups["a"]) == {"ok": True}


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (response(status="401 Unauthorized"), "answered HTTP 401 .*; check the server's `headers`"),
        (response(status="404 Not Found"), "answered HTTP 404 .*; check the path of the `url`"),
        (response(b"<html>", kind="text/html"), "something that is not JSON-RPC"),
        (response(status="500 Internal Server Error"), "answered HTTP 500"),
        (None, "broke off the connection"),
    ],
)
async def test_a_server_that_cannot_be_connected_is_explained(
    raw_http: Serve, replies: Reply, reason: str
) -> None:
    def always(method: str, headers: dict[str, str], message: Any) -> Reply:
        return replies

    with anyio.fail_after(10):
        async with raw_http(always) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerUnavailableError, match=reason):
                await ups["a"].connect()
            assert ups["a"].status.state == "down"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{closed}/mcp?key=s3cret", "connection refused; is the server running"),
        ("http://user:s3cret@no-such-host.invalid/mcp", "the host's name is not known"),
        ("https://127.0.0.1:{plain}/mcp", "TLS failed; check whether `url` must begin with http"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_explained(
    http_server: Serve, url: str, reason: str, free_tcp_port: int
) -> None:
    with anyio.fail_after(10):
        async with http_server(Starlette()) as plain:
            port = plain.rpartition(":")[2].partition("/")[0]
            config = ServerConfig(url=url.format(closed=free_tcp_port, plain=port))
            async with open_upstreams({"away": config}) as upstreams:
                with pytest.raises(ServerUnavailableError, match=reason) as info:
                    await upstreams["away"].connect()
    assert "s3cret" not in info.value.message


async def test_a_server_that_turns_silent_in_connecting_is_given_up(raw_http: Serve) -> None:
    async def never(*_: Any) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with raw_http(never) as url:
            config = ServerConfig(url=url, connect_timeout=0.2)
            async with open_upstreams({"mute": config}) as upstreams:
                with pytest.raises(ServerUnavailableError, match=r"did not answer within 0\.2 s"):
                    await upstreams["mute"].connect()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25"])
async def test_a_server_that_names_other_versions_is_asked_in_the_legacy_way(
    raw_http: Serve, version: str
) -> None:
    def server(method: str, headers: dict[str, str], message: Any) -> bytes:
        match message["method"]:
            case "server/discover":
                return response(result(message, supportedVersions=[version], capabilities={}))
            case "initialize":
                return response(result(message, protocolVersion=version, capabilities={}))
            case _:
                return response(status="202 Accepted")

    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await ups["a"].connect()
            assert (ups["a"].status.era, ups["a"].status.protocol_version) == ("legacy", version)


async def test_a_slow_server_that_has_settled_for_the_modern_era_is_asked_again(
    raw_http: Serve,
) -> None:
    asked: list[str] = []

    async def server(method: str, headers: dict[str, str], message: Any) -> bytes:
        asked.append(message["method"])
        if asked == ["server/discover"]:
            await anyio.sleep_forever()
        if message["method"] == "server/discover":
            return response(result(message, supportedVersions=["2026-07-28"], capabilities={}))
        refusal = error(message, -32022, "unsupported")
        refusal["error"]["data"] = {"supported": ["2026-07-28"], "requested": "2025-11-25"}
        return response(refusal, "400 Bad Request")

    with anyio.fail_after(10):
        async with raw_http(server) as url:
            config = ServerConfig(url=url, connect_timeout=1)
            async with open_upstreams({"slow": config}) as upstreams:
                await upstreams["slow"].connect()
                assert upstreams["slow"].status.era == "modern"
    assert asked == ["server/discover", "initialize", "server/discover"]


async def test_a_server_that_refuses_the_version_that_it_names_is_asked_once_more(
    raw_http: Serve,
) -> None:
    asked: list[str] = []

    def server(method: str, headers: dict[str, str], message: Any) -> bytes:
        asked.append(message["method"])
        if len(asked) > 1:
            return response(result(message, supportedVersions=["2026-07-28"], capabilities={}))
        refusal = error(message, -32022, "unsupported")
        refusal["error"]["data"] = {"supported": ["2026-07-28"], "requested": "2026-07-28"}
        return response(refusal, "400 Bad Request")

    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await ups["a"].connect()
            assert ups["a"].status.era == "modern"
    assert asked == ["server/discover", "server/discover"]


async def test_a_server_of_unknown_versions_is_reported(raw_http: Serve) -> None:
    def modern(method: str, headers: dict[str, str], message: Any) -> bytes:
        refusal = error(message, -32022, "unsupported")
        refusal["error"]["data"] = {"supported": ["2031-01-01"], "requested": "2026-07-28"}
        return response(refusal, "400 Bad Request")

    def legacy(method: str, headers: dict[str, str], message: Any) -> bytes:
        if message["method"] == "initialize":
            return response(result(message, protocolVersion="1999-01-01", capabilities={}))
        return response(error(message, -32601, "unknown"))

    for server, reason in ((modern, "unsupported"), (legacy, "'1999-01-01', which is not spoken")):
        with anyio.fail_after(10):
            async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
                with pytest.raises(ServerUnavailableError, match=reason):
                    await ups["a"].connect()


async def test_what_may_be_secret_in_an_address_is_in_no_error() -> None:
    secret = "http://user:hunter2@127.0.0.1:9/api/SECRET-TOKEN/mcp?key=SECRET"
    with anyio.fail_after(10):
        async with open_upstreams({"a": ServerConfig(url=secret)}) as upstreams:
            with pytest.raises(ServerUnavailableError) as caught:
                await upstreams["a"].connect()
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
