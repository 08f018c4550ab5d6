"""The fast lane and the SDK's edge: the same bytes get the same answer from both."""

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio
import httpx2
import pytest
from raw_clients import ACCEPT, NAMES, PROTOCOL, answer_in, message

from plugway.downstream import answering
from plugway.downstream.posts import Posts
from plugway.gateway import Gateway
from plugway.methods import FETCHES, LISTINGS
from plugway_hookspecs import Context, Plugin, ToolCall, hookimpl

MODERN = "2026-07-28"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"
LEVEL = "io.modelcontextprotocol/logLevel"

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]


class Lanes:
    """Two gateways before one server: with the fast lane, and without it."""

    def __init__(self, http: httpx2.AsyncClient, fast: str, slow: str, on: list[str]) -> None:
        self._http = http
        self.fast = fast
        self.slow = slow
        self.to_the_sdk = on
        """The paths of what the first gateway passed on to the SDK's edge."""

    async def same(self, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        """Send the same to both and return the answer, if it is the same."""
        answers = [
            await self._http.post(url, content=body, headers=headers)
            for url in (self.fast, self.slow)
        ]
        fast, slow = map(essence, answers)
        assert fast == slow, (body, headers)
        return answers[0]


def essence(response: httpx2.Response) -> Any:
    """Return what must be the same in both answers: all but the ids of operations."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", response.text)
    kind = response.headers.get("content-type")
    if kind == "application/json":
        return response.status_code, kind, json.loads(text)
    events = [line for line in text.splitlines() if line.startswith("data:")]
    return response.status_code, kind, [json.loads(event[5:]) for event in events] or text


def sent(
    method: str, params: dict[str, Any] | None = None, **headers: str | None
) -> tuple[bytes, dict[str, str]]:
    """Return a request as it should be, but for what `headers` add or (None) leave out."""
    body = message(method, params, version=MODERN, request_id=7)
    named: dict[str, str | None] = {**ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": method}
    name = body["params"].get(NAMES.get(method, ""))
    if isinstance(name, str):
        named["mcp-name"] = name
    named |= {key.replace("_", "-"): value for key, value in headers.items()}
    return json.dumps(body).encode(), {k: v for k, v in named.items() if v is not None}


@pytest.fixture
async def lanes(
    serve_http: Serve, shared_features: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Lanes]:
    passed_on = list[str]()
    ports = list[int]()
    original = Posts.__call__

    async def counted(self: Posts, scope: Any, receive: Any, send: Any) -> None:
        if scope["server"][1] in ports:
            passed_on.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(Posts, "__call__", counted)
    entry = {"f": {"url": shared_features.url}}
    deny = {"name": "no", "kind": "deny_list", "config": {"words": ["forbidden"]}}
    config: dict[str, Any] = {"mcpServers": entry, "plugins": [deny]}
    with anyio.fail_after(60):
        async with (
            serve_http({**config, "gateway": {"fast_lane": True}}) as (_, fast),
            serve_http({**config, "gateway": {"fast_lane": False}}) as (_, slow),
            httpx2.AsyncClient(timeout=30, trust_env=False) as http,
        ):
            ports.append(httpx2.URL(fast).port or 0)
            for url in (fast, slow):
                body, headers = sent("tools/list")
                await http.post(url, content=body, headers=headers)
            yield Lanes(http, fast, slow, passed_on)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": f"f__{name}", "arguments": arguments}


def with_meta(params: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {**params, "_meta": meta}


WELL_FORMED: dict[str, tuple[str, dict[str, Any]]] = {
    "a call": ("tools/call", call("echo", text="hello")),
    "a call without arguments": ("tools/call", {"name": "f__calls_seen"}),
    "structured": ("tools/call", call("add", a=1, b=2)),
    "big integers": ("tools/call", call("add", a=2**70, b=-(2**65))),
    "no ASCII": ("tools/call", call("echo", text="\u00e9\u2028\U0001f600")),
    "a tool that fails": ("tools/call", call("fail")),
    "wrong arguments": ("tools/call", call("add", a="x")),
    "an unknown tool": ("tools/call", call("nonesuch")),
    "an unknown server": ("tools/call", {"name": "nonesuch", "arguments": {}}),
    "denied": ("tools/call", call("echo", text="forbidden")),
    "progress that comes": ("tools/call", with_meta(call("count", up_to=3), progressToken="t")),
    "progress that does not": ("tools/call", with_meta(call("echo", text="x"), progressToken=1)),
    "log messages wanted": ("tools/call", with_meta(call("count", up_to=1), **{LEVEL: "debug"})),
    "a trace": ("tools/call", with_meta(call("echo", text="x"), traceparent="00-" + "1" * 32)),
    "another client": (
        "tools/call",
        with_meta(call("echo", text="x"), **{INFO: {"name": "n", "version": "1", "x": 1}}),
    ),
    "a prompt": ("prompts/get", {"name": "f__greet", "arguments": {"name": "ann"}}),
    "a prompt without arguments": ("prompts/get", {"name": "f__greet"}),
    "a resource": ("resources/read", {"uri": "f+memo://today"}),
    "a resource by template": ("resources/read", {"uri": "f+memo://by-name/ann"}),
    "an unknown resource": ("resources/read", {"uri": "nonesuch://x"}),
    "a bad cursor": ("tools/list", {"cursor": "nonesuch"}),
    **{f"lists, {name}": (name, {}) for name in LISTINGS},
}


async def test_what_there_is_nothing_to_say_against_is_answered_by_either(lanes: Lanes) -> None:
    for what, request in WELL_FORMED.items():
        response = await lanes.same(*sent(*request))
        assert answer_in(response)["id"] == 7, what
        assert lanes.to_the_sdk == [], what


def test_every_method_that_is_fetched_or_listed_is_among_them() -> None:
    assert {method for method, _ in WELL_FORMED.values()} == {*FETCHES, *LISTINGS}


ECHO = sent("tools/call", call("echo", text="hello"))


def changed(**fields: Any) -> tuple[bytes, dict[str, str]]:
    """Return the call with other members in its message; None leaves one out."""
    whole = {**json.loads(ECHO[0]), **fields}
    return json.dumps({k: v for k, v in whole.items() if v is not None}).encode(), ECHO[1]


def other_params(**fields: Any) -> tuple[bytes, dict[str, str]]:
    return changed(params={**json.loads(ECHO[0])["params"], **fields})


def other_meta(**meta: Any) -> tuple[bytes, dict[str, str]]:
    return other_params(_meta={**json.loads(ECHO[0])["params"]["_meta"], **meta})


def other_headers(**headers: str | None) -> tuple[bytes, dict[str, str]]:
    return sent("tools/call", call("echo", text="hello"), **headers)


NOT_SO: dict[str, tuple[bytes, dict[str, str]]] = {
    "no JSON": (b"{", ECHO[1]),
    "nothing": (b"", ECHO[1]),
    "no UTF-8": (ECHO[0].replace(b"hello", b"\xff"), ECHO[1]),
    "deep": (b"[" * 5000, ECHO[1]),
    "a batch": (b"[" + ECHO[0] + b"]", ECHO[1]),
    "a number": (b"1", ECHO[1]),
    "another JSON-RPC": changed(jsonrpc="1.0"),
    "no JSON-RPC": changed(jsonrpc=None),
    "an id that is true": changed(id=True),
    "an id that is a list": changed(id=[1]),
    "an id with a fraction": changed(id=1.5),
    "a notification": changed(id=None),
    "no method": changed(method=None),
    "another method": changed(method="tools/list"),
    "a method that is a number": changed(method=1),
    "no params": changed(params=None),
    "params that are a list": changed(params=[1]),
    "an answer": changed(method=None, params=None, result={}),
    "no name": other_params(name=None),
    "another name": other_params(name="f__add"),
    "a name that is a number": other_params(name=1),
    "arguments that are a list": other_params(arguments=[1]),
    "arguments that are null": other_params(arguments=None),
    "answers to nothing": other_params(inputResponses={"q": {"action": "accept"}}),
    "a state of nobody": other_params(requestState="x"),
    "params that nobody knows": other_params(x={"y": None}),
    "no meta": other_params(_meta=None),
    "meta that is a list": other_params(_meta=[]),
    "meta that nobody knows": other_meta(**{"x/y": [None]}),
    "no version in meta": other_meta(**{PROTOCOL: None}),
    "another version in meta": other_meta(**{PROTOCOL: "2025-11-25"}),
    "a version that is a number": other_meta(**{PROTOCOL: 1}),
    "no capabilities": other_meta(**{CAPABILITIES: None}),
    "capabilities that are a list": other_meta(**{CAPABILITIES: []}),
    "capabilities that are none": other_meta(**{CAPABILITIES: {"sampling": 1}}),
    "large capabilities": other_meta(**{CAPABILITIES: {"experimental": {"x": {"y": "z" * 5000}}}}),
    "a client that is a text": other_meta(**{INFO: "x"}),
    "a client without a name": other_meta(**{INFO: {"version": "1"}}),
    "a level that is none": other_meta(**{LEVEL: "loud"}),
    "a progress token that is a list": other_meta(progressToken=[]),
    "a progress token that is true": other_meta(progressToken=True),
    "no version": other_headers(mcp_protocol_version=None),
    "an unknown version": other_headers(mcp_protocol_version="2030-01-01"),
    "no method in the headers": other_headers(mcp_method=None),
    "another method in the headers": other_headers(mcp_method="tools/list"),
    "no name in the headers": other_headers(mcp_name=None),
    "another name in the headers": other_headers(mcp_name="f__add"),
    "an encoded name": other_headers(mcp_name="=?base64?Zl9fZWNobw==?="),
    "a name that is badly encoded": other_headers(mcp_name="=?base64?x?="),
    "another content type": other_headers(content_type="text/plain"),
    "a content type with more to it": other_headers(content_type="application/json; charset=x"),
    "no content type": other_headers(content_type=None),
    "JSON only": other_headers(accept="application/json"),
    "events only": other_headers(accept="text/event-stream"),
    "anything": other_headers(accept="*/*"),
    "a foreign host": other_headers(host="evil.example"),
    "a foreign origin": other_headers(origin="https://evil.example"),
    "an origin of this machine": other_headers(origin="http://localhost:3000"),
    "discovery": sent("server/discover"),
    "a completion": sent(
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "f__greet"},
            "argument": {"name": "name", "value": "a"},
        },
    ),
    "an unknown method": sent("nonesuch/method"),
    "a method of the other era": sent("logging/setLevel", {"level": "info"}),
    "ping": sent("ping"),
    "a prompt with a number": sent("prompts/get", {"name": "f__greet", "arguments": {"name": 1}}),
    "a cursor that is a number": sent("tools/list", {"cursor": 1}),
}


async def test_about_everything_else_the_sdk_has_the_word(lanes: Lanes) -> None:
    for request in NOT_SO.values():
        await lanes.same(*request)


async def test_headers_that_are_there_twice_are_for_the_sdk_to_judge(lanes: Lanes) -> None:
    body, headers = ECHO
    for name in (*headers, "origin"):
        value = headers.get(name, "http://localhost")
        twice: Any = [*headers.items(), *[(name, value)] * (1 if name in headers else 2)]
        await lanes.same(body, twice)


async def test_more_headers_than_anybody_needs_are_refused(lanes: Lanes) -> None:
    body, headers = ECHO
    many: Any = [*headers.items(), *[("x-n", "1")] * 300]
    assert (await lanes.same(body, many)).status_code == 431


async def test_long_values_are_not_remembered(lanes: Lanes) -> None:
    body, headers = ECHO
    await lanes.same(body, {**headers, "accept": headers["accept"] + ", text/x" * 100})
    assert lanes.to_the_sdk == ["/mcp"]


async def test_a_client_that_goes_has_its_call_cancelled(lanes: Lanes) -> None:
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:

        async def seen() -> dict[str, int]:
            body, headers = sent("tools/call", {"name": "f__calls_seen"})
            answer = answer_in(await http.post(lanes.fast, content=body, headers=headers))
            counted: dict[str, int] = answer["result"]["structuredContent"]
            return counted

        before = await seen()
        body, headers = sent("tools/call", call("wait_for_ever"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: http.post(lanes.fast, content=body, headers=headers))
            while (await seen())["started"] == before["started"]:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        while (await seen())["cancelled"] == before["cancelled"]:
            await anyio.lowlevel.checkpoint()


async def test_who_swallows_a_cancellation_keeps_nobody(
    serve_http: Serve, shared_features: Any, install_kinds: Callable[..., None]
) -> None:
    began = anyio.Event()

    class Deaf(Plugin):
        """Takes no notice the first time."""

        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
            began.set()
            with suppress(anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()
            await anyio.sleep_forever()

    install_kinds(deaf=Deaf)
    config = {
        "mcpServers": {"f": {"url": shared_features.url}},
        "plugins": [{"name": "deaf", "kind": "deaf"}],
    }
    body, headers = ECHO
    with anyio.fail_after(10):
        async with (
            serve_http(config) as (gateway, url),
            httpx2.AsyncClient(timeout=30, trust_env=False) as http,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(lambda: http.post(url, content=body, headers=headers))
            await began.wait()
            tasks.cancel_scope.cancel()
            with anyio.fail_after(5, shield=True):
                while gateway.dispatcher.generation.requests:
                    await anyio.lowlevel.checkpoint()


async def test_a_client_that_waits_hears_that_somebody_is_there(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "WATCH_SECONDS", 0)
    monkeypatch.setattr(answering, "PING_SECONDS", 0.01)
    body, headers = sent("tools/call", call("wait_for_ever"))
    async with (
        httpx2.AsyncClient(timeout=30, trust_env=False) as http,
        http.stream("POST", lanes.fast, content=body, headers=headers) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == [": ping", "", ": ping"]
