"""Servers of the old HTTP+SSE transport: how they are found, how they misbehave, how they end."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any

import anyio
import pytest

from plugway.config import ServerConfig
from plugway.upstream import Upstream, open_upstreams, sse
from plugway.upstream.eventstream import EventReader
from plugway_hookspecs import ServerUnavailableError

Serve = Callable[..., AbstractAsyncContextManager[str]]

OPEN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 8\r\nconnection: close\r\n\r\nAccepted"
CALL: dict[str, Any] = {"name": "x", "arguments": {}}


def status(line: str, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {line}", "content-length: 0", "connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode()


def endpoint(url: str) -> bytes:
    return f"event: endpoint\r\ndata: {url}\r\n\r\n".encode()


def event(message: Any) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


def result(request: Any, **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": fields}


class Old:
    """A server that says on its stream what it is told to, and POSTs back what is scripted."""

    def __init__(self, *first: bytes) -> None:
        self.first = first or (endpoint("messages?session=7"),)
        self.replies: list[Callable[[Any], Any]] = []
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.streams = self.open = 0
        self.say: Callable[[bytes], None] = lambda _: None
        self.hang_up: Callable[[], None] = lambda: None

    def answer(self, method: str, headers: dict[str, str], message: Any) -> Any:
        self.seen.append((method, headers[":path"], headers, message))
        if method == "GET":
            return self.stream()
        if "id" not in message or "method" not in message:
            return ACCEPTED
        if message["method"] == "initialize":
            self.say(
                event(result(message, protocolVersion="2024-11-05", capabilities={}, serverInfo={}))
            )
            return ACCEPTED
        if self.replies:
            return self.replies.pop(0)(message)
        self.say(event(result(message, ok=True)))
        return ACCEPTED

    async def stream(self) -> AsyncGenerator[bytes]:
        say, said = anyio.create_memory_object_stream[bytes](1000)
        self.say, self.hang_up = say.send_nowait, say.close
        self.streams += 1
        self.open += 1
        try:
            with say, said:
                yield OPEN + self.first[0]
                for chunk in self.first[1:]:
                    yield chunk
                async for chunk in said:
                    yield chunk
        finally:
            self.open -= 1

    def posted(self) -> list[str]:
        return [message.get("method") for _, _, _, message in self.seen if message]


def old(url: str, **more: Any) -> ServerConfig:
    return ServerConfig(url=url, type="sse", **more)


async def call(upstream: Upstream) -> dict[str, Any]:
    return await upstream.request("tools/call", CALL)


@pytest.mark.parametrize(
    "first",
    [
        [endpoint("/messages?session=7")],
        [endpoint("messages?session=7")],
        [endpoint("./messages?session=7#part")],
        [b": hello\n\nretry: 5\nid: 3\n\nevent: endpoint\nda", b"ta: /messages?session=7\n", b"\n"],
        [b"event: endpoint\r", b"\ndata:/messages?session=7\r\r"],
    ],
    ids=range(5),
)
async def test_messages_go_to_the_endpoint_that_the_first_event_names(
    raw_http: Serve, first: list[bytes]
) -> None:
    server = Old(*first)
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url:
            config = old(url, headers={"Authorization": "Bearer t"})
            async with open_upstreams({"old": config}) as upstreams:
                assert await call(upstreams["old"]) == {"ok": True}
                peer = upstreams["old"].status
    assert (peer.era, peer.protocol_version) == ("legacy", "2024-11-05")
    assert [seen[:2] for seen in server.seen] == [
        ("GET", "/mcp"),
        *[("POST", "/messages?session=7")] * 3,
    ]
    assert all(headers["authorization"] == "Bearer t" for _, _, headers, _ in server.seen)
    assert server.posted() == ["initialize", "notifications/initialized", "tools/call"]


async def test_an_absolute_endpoint_on_the_same_origin_is_taken(raw_http: Serve) -> None:
    server = Old()
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url:
            there = url.replace("127.0.0.1", "u:p@127.0.0.1").replace("/mcp", "/in")
            server.first = (endpoint(there),)
            async with open_upstreams({"old": old(url)}) as upstreams:
                assert await call(upstreams["old"]) == {"ok": True}
    assert server.seen[-1][1] == "/in"
    assert "authorization" not in server.seen[-1][2]


@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "307 Moved", "308 Moved"])
async def test_a_stream_that_is_redirected_within_its_origin_is_followed(
    raw_http: Serve, line: str
) -> None:
    server = Old()

    def answer(method: str, headers: dict[str, str], message: Any) -> Any:
        if headers[":path"] == "/mcp":
            return status(line, "location: /old/sse")
        return server.answer(method, headers, message)

    with anyio.fail_after(10):
        async with raw_http(answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            assert await call(upstreams["old"]) == {"ok": True}
    assert server.seen[-1][1] == "/old/messages?session=7"


NOT_OLD: list[tuple[Any, str]] = [
    (OPEN, "is no server of the old HTTP[+]SSE transport.*; correct `url`"),
    (OPEN + event({"jsonrpc": "2.0", "method": "x"}), "is no server of the old"),
    (OPEN + b"garbage\x00\xff\n\n\n\n", "is no server of the old"),
    (OPEN + b"event: endpoint\n\n", "is no server of the old"),
    (OPEN + b"event: endpoint\ndata: \xff\xfe\n\n", "is no server of the old"),
    (OPEN + endpoint("http://h:port/"), "is no server of the old"),
    (status("200 OK", "content-type: text/html"), "is no server of the old"),
    (status("202 Accepted"), "answered HTTP 202"),
    (status("401 Unauthorized"), "answered HTTP 401 .*; check the server's `headers`"),
    (status("404 Not Found"), "answered HTTP 404 .*ends in /sse"),
    (status("500 Internal Server Error"), "answered HTTP 500"),
    (status("307 Moved", "location: http://u:s3cret@elsewhere.example/s3cret"), "redirects to"),
    (status("307 Moved", "location: /mcp"), "redirects without end"),
    (b"", "broke off the connection"),
    (OPEN + endpoint("https://127.0.0.1/messages"), "messages sent to another origin, https://127"),
    (OPEN + endpoint("http://127.0.0.1:1/s3cret"), "another origin, http://127.0.0.1:1; set `url`"),
    (OPEN + endpoint("//evil.example/s3cret"), "another origin, http://evil.example; set `url`"),
    (OPEN + endpoint("file:///etc/passwd"), "another origin"),
]


@pytest.mark.parametrize(("answer", "reason"), NOT_OLD, ids=range(len(NOT_OLD)))
async def test_what_is_no_such_server_is_explained_and_gets_no_message(
    raw_http: Serve, answer: bytes, reason: str
) -> None:
    seen: list[str] = []

    def reply(method: str, _headers: dict[str, str], _message: Any) -> bytes:
        seen.append(method)
        return answer

    with anyio.fail_after(10):
        async with raw_http(reply) as url, open_upstreams({"old": old(url)}) as upstreams:
            with pytest.raises(ServerUnavailableError, match=reason) as info:
                await upstreams["old"].connect()
            assert upstreams["old"].status.state == "down"
    assert "s3cret" not in info.value.message
    assert set(seen) == {"GET"}


@pytest.mark.parametrize("said", [b"", OPEN, OPEN + b": ping\n\n"], ids=range(3))
async def test_a_stream_that_names_no_endpoint_in_time_is_given_up(
    raw_http: Serve, said: bytes
) -> None:
    closed = anyio.Event()

    async def stream(*_: Any) -> AsyncGenerator[bytes]:
        try:
            yield said
            await anyio.sleep_forever()
        finally:
            closed.set()

    with anyio.fail_after(10):
        async with raw_http(stream) as url:
            config = {"old": old(url, connect_timeout=0.2)}
            async with open_upstreams(config) as upstreams:
                with pytest.raises(ServerUnavailableError, match=r"no event stream within 0\.2 s"):
                    await upstreams["old"].connect()
                await closed.wait()


BAD_POSTS: list[tuple[bytes, str]] = [
    (status("400 Bad Request"), "answered HTTP 400"),
    (status("401 Unauthorized"), "answered HTTP 401 .*; check the server's `headers`"),
    (status("405 Method Not Allowed"), "answered HTTP 405 .*does not know the endpoint"),
    (status("413 Too Large"), "answered HTTP 413"),
    (status("429 Too Many Requests"), "answered HTTP 429 .*limits the rate"),
    (status("500 Internal Server Error"), "answered HTTP 500"),
    (status("303 See Other", "location: http://127.0.0.1:1/"), "redirects to"),
    (b"garbage\r\n\r\n", "broke off the connection before it answered"),
    (b"", "broke off the connection before it answered"),
]


@pytest.mark.parametrize(("answer", "reason"), BAD_POSTS, ids=range(len(BAD_POSTS)))
async def test_a_failed_post_costs_its_own_request_only(
    raw_http: Serve, answer: bytes, reason: str
) -> None:
    server = Old()
    waiting: list[Any] = []
    received = anyio.Event()

    def keep(message: Any) -> bytes:
        waiting.append(message)
        received.set()
        return ACCEPTED

    server.replies = [keep, lambda _: answer]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            outcome: list[Any] = []

            async def wait() -> None:
                outcome.append(await call(upstreams["old"]))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await received.wait()
                with pytest.raises(ServerUnavailableError, match=reason):
                    await call(upstreams["old"])
                assert await call(upstreams["old"]) == {"ok": True}
                server.say(event(result(waiting[0], late=True)))
    assert outcome == [{"late": True}]
    assert server.streams == 1


async def test_a_request_may_be_answered_before_its_post_is(raw_http: Serve) -> None:
    server = Old()
    posts: list[str] = []

    async def answer_first(message: Any) -> bytes:
        server.say(event(result(message, early=True)))
        try:
            await anyio.sleep_forever()
        finally:
            posts.append("let go")
        raise AssertionError

    server.replies = [answer_first]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url:
            async with open_upstreams({"old": old(url)}) as upstreams:
                assert await call(upstreams["old"]) == {"early": True}
                assert await call(upstreams["old"]) == {"ok": True}
            while not posts:  # the transport closes what is under way
                await anyio.lowlevel.checkpoint()


async def test_a_stream_that_ends_fails_what_is_under_way_and_is_opened_anew(
    raw_http: Serve,
) -> None:
    server = Old()

    def break_off(_: Any) -> bytes:
        server.hang_up()
        return ACCEPTED

    server.replies = [break_off]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            with pytest.raises(ServerUnavailableError, match="closed the connection before"):
                await call(upstreams["old"])
            assert await call(upstreams["old"]) == {"ok": True}
    assert server.posted().count("tools/call") == 2  # never sent twice
    assert server.streams == 2


async def test_a_lost_session_is_made_anew_and_the_request_sent_again_once(
    raw_http: Serve,
) -> None:
    server = Old()
    server.replies = [lambda _: status("404 Not Found")]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            assert await call(upstreams["old"]) == {"ok": True}
            assert server.streams == 2


GARBAGE = [
    b"event: message\ndata: {\n\n",
    b"data: []\n\ndata: null\n\ndata:\n\ndata\n\n",
    b"event: message\ndata: \xff\xfe\n\n",
    b"event: unheard-of\ndata: {}\n\n",
    endpoint("http://evil.example/"),
    endpoint("/elsewhere"),
    b": comment\n\nid: 1\nretry: x\n\n\r\n\r\n",
    event({"jsonrpc": "2.0", "id": 999, "result": {}}),
    event({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": ""}}),
    b"x" * 100_000 + b"\n\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_message_is_passed_over(raw_http: Serve, garbage: bytes) -> None:
    server = Old()

    def babble(message: Any) -> bytes:
        server.say(garbage)
        server.say(event(result(message, ok=True)))
        return ACCEPTED

    server.replies = [babble]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            assert await call(upstreams["old"]) == {"ok": True}
            assert await call(upstreams["old"]) == {"ok": True}
    assert server.streams == 1
    assert {path for _, path, _, _ in server.seen} == {"/mcp", "/messages?session=7"}


@pytest.mark.parametrize(
    ("part", "spoiled", "reason"),
    [
        (b'"ok"', b"ok", "not JSON-RPC"),
        (b"true", b'"' + b"x" * 4000 + b'"', "too long to be read"),
        (b'"result"', b"\ndata: " * 2000 + b'"result"', "too long to be read"),
    ],
    ids=["bad", "long", "lines"],
)
async def test_a_bad_answer_costs_its_own_request_only(
    raw_http: Serve, monkeypatch: pytest.MonkeyPatch, part: bytes, spoiled: bytes, reason: str
) -> None:
    monkeypatch.setattr(sse, "MAX_MESSAGE_BYTES", 2000)
    server = Old()

    def answer(message: Any) -> bytes:
        server.say(event(result(message, ok=True)).replace(part, spoiled))
        return ACCEPTED

    server.replies = [answer]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            with pytest.raises(ServerUnavailableError, match=reason):
                await call(upstreams["old"])
            assert await call(upstreams["old"]) == {"ok": True}
    assert server.streams == 1


async def test_a_server_may_ping(raw_http: Serve) -> None:
    server = Old()
    answered = anyio.Event()

    def answer(method: str, headers: dict[str, str], message: Any) -> Any:
        if message == {"jsonrpc": "2.0", "id": "p", "result": {}}:
            answered.set()
        return server.answer(method, headers, message)

    with anyio.fail_after(10):
        async with raw_http(answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            await upstreams["old"].connect()
            server.say(event({"jsonrpc": "2.0", "id": "p", "method": "ping"}))
            await answered.wait()


async def test_cancelling_the_caller_lets_go_of_a_post_and_tells_the_server(
    raw_http: Serve,
) -> None:
    server = Old()
    received, let_go = anyio.Event(), anyio.Event()

    async def hang(_: Any) -> bytes:
        received.set()
        try:
            await anyio.sleep_forever()
        finally:
            let_go.set()
        raise AssertionError

    server.replies = [hang]
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url, open_upstreams({"old": old(url)}) as upstreams:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, upstreams["old"])
                await received.wait()
                tasks.cancel_scope.cancel()
            await let_go.wait()
            assert await call(upstreams["old"]) == {"ok": True}
    assert "notifications/cancelled" in server.posted()
    assert server.streams == 1


async def test_closing_closes_the_stream(raw_http: Serve) -> None:
    server = Old()
    with anyio.fail_after(10):
        async with raw_http(server.answer) as url:
            async with open_upstreams({"old": old(url)}) as upstreams:
                await upstreams["old"].connect()
                assert server.open == 1
            while server.open:
                await anyio.lowlevel.checkpoint()


async def test_a_server_without_a_type_is_asked_in_the_old_way_where_it_takes_no_post(
    http_server: Serve, sse_app: Callable[..., Any], sdk_server: ModuleType
) -> None:
    with anyio.fail_after(10):
        async with http_server(sse_app(sdk_server.server)) as url:
            config = ServerConfig(url=url)
            async with open_upstreams({"old": config}) as upstreams:
                arguments: dict[str, Any] = {"name": "echo", "arguments": {"text": "x"}}
                answer = await upstreams["old"].request("tools/call", arguments)
                assert answer["x-unknown"] == {"kept": None}
                assert upstreams["old"].status.era == "legacy"


@pytest.mark.parametrize("refusal", ["400 Bad Request", "404 Not Found", "405 Not Allowed"])
async def test_the_transport_is_remembered_for_reconnects(raw_http: Serve, refusal: str) -> None:
    server = Old()

    def answer(method: str, headers: dict[str, str], message: Any) -> Any:
        if (method, headers[":path"]) == ("POST", "/mcp"):
            server.seen.append((method, "/mcp", headers, None))
            return status(refusal)
        return server.answer(method, headers, message)

    with anyio.fail_after(10):
        async with (
            raw_http(answer) as url,
            open_upstreams({"old": ServerConfig(url=url)}) as upstreams,
        ):
            assert await call(upstreams["old"]) == {"ok": True}
            tries = [seen[:2] for seen in server.seen].count(("POST", "/mcp"))
            server.hang_up()
            while server.streams < 2:
                await anyio.lowlevel.checkpoint()
            assert await call(upstreams["old"]) == {"ok": True}
    assert tries == 2  # in the modern way, and in the legacy way
    assert [seen[:2] for seen in server.seen].count(("POST", "/mcp")) == tries


@pytest.mark.parametrize(
    ("settings", "answer", "reason"),
    [
        ({}, "404 Not Found", "answered HTTP 404 .*; check the path of the `url`"),
        ({}, "403 Forbidden", "answered HTTP 403"),
        ({"type": "http"}, "405 Method Not Allowed", "answered HTTP 405"),
        ({"era": "modern"}, "405 Method Not Allowed", "answered HTTP 405"),
    ],
)
async def test_a_failure_is_explained_by_the_post_and_the_old_way_tried_only_where_it_may_help(
    raw_http: Serve, settings: dict[str, Any], answer: str, reason: str
) -> None:
    methods: list[str] = []

    def reply(method: str, _headers: dict[str, str], _message: Any) -> bytes:
        methods.append(method)
        return status(answer)

    with anyio.fail_after(10):
        async with raw_http(reply) as url:
            config = ServerConfig(url=url, **settings)
            async with open_upstreams({"none": config}) as upstreams:
                with pytest.raises(ServerUnavailableError, match=reason):
                    await upstreams["none"].connect()
    assert methods.count("GET") == (1 if answer.startswith("404") else 0)


async def test_a_server_may_come_back_with_the_new_transport(
    raw_http: Serve, http_server: Serve, sdk_server: ModuleType, free_tcp_port: int
) -> None:
    server = Old()

    def answer(method: str, headers: dict[str, str], message: Any) -> Any:
        wrong = (method, headers[":path"]) == ("POST", "/mcp")
        return status("405 No") if wrong else server.answer(method, headers, message)

    with anyio.fail_after(20):
        config = ServerConfig(url=f"http://127.0.0.1:{free_tcp_port}/mcp")
        async with open_upstreams({"any": config}) as upstreams:
            async with raw_http(answer, free_tcp_port):
                assert await call(upstreams["any"]) == {"ok": True}
            app = sdk_server.server.streamable_http_app()
            async with http_server(app, free_tcp_port):
                while upstreams["any"].status.era != "modern":
                    await anyio.lowlevel.checkpoint()


def test_events_do_not_depend_on_how_the_bytes_arrive() -> None:
    text = b"event: a\r\ndata: 1\r\ndata:2\r\n\r\n: c\rdata:  3\r\rdata\n\nevent\ndata:4\n\n"
    whole = EventReader(100).feed(text)
    reader = EventReader(100)
    assert [one for byte in text for one in reader.feed(bytes([byte]))] == whole
    found = [(each.name, each.data.head) for each in whole]
    assert found == [("a", b"1\n2"), ("message", b" 3"), ("message", b"4")]
