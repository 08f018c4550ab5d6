"""Whatever a client or a server sends: one clear error for that caller, nobody else affected."""

import json
from typing import Any

import anyio
import httpx2
import pytest

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": MODERN,
}


class Raw:
    """A client that sends what it is told to."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self.http, self.url = http, url

    async def send(self, body: bytes, **headers: str) -> httpx2.Response:
        return await self.http.post(self.url, content=body, headers={**HEADERS, **headers})

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        headers = {"Mcp-Method": method}
        if (name := params.get("name", params.get("uri"))) is not None:
            headers["Mcp-Name"] = str(name)
        response = await self.send(json.dumps(message).encode(), **headers)
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture
async def raw(serve_http: Any, shared_features: Any) -> Any:
    async with (
        serve_http({"mcpServers": {"up": {"url": shared_features.url}}}) as (_, url),
        httpx2.AsyncClient(timeout=20) as http,
    ):
        yield Raw(http, url)


def assert_clean(text: str) -> None:
    for word in ("Traceback", 'File "', "site-packages", "pydantic"):
        assert word not in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe\xfd",
        b'{"jsonrpc": "2.0", "id": 1}',
        b'{"jsonrpc": "1.0", "id": 1, "method": "tools/list"}',
        b'{"jsonrpc": "2.0", "id": {}, "method": "tools/list"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": 7}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []}',
        b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ],
    ids=range(13),
)
async def test_a_malformed_message_gets_a_json_rpc_error_and_the_next_one_is_served(
    raw: Raw, body: bytes
) -> None:
    response = await raw.send(body, **{"Mcp-Method": "tools/list"})
    assert 400 <= response.status_code < 500
    assert_clean(response.text)
    assert "error" in response.json()
    answer = await raw.ask("tools/call", {"name": "up__add", "arguments": {"a": 1, "b": 2}})
    assert answer["result"]["structuredContent"] == {"result": 3}


async def test_a_body_over_the_limit_is_refused(raw: Raw) -> None:
    response = await raw.send(b" " * (5 * 1024 * 1024))
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no/such/method", {}, -32601),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": 7, "arguments": {}}, -32020),
        ("tools/call", {"name": "up__add", "arguments": [1]}, -32602),
        ("tools/call", {"name": "up__nothing", "arguments": {}}, -32602),
        ("tools/call", {"name": "nobody__add", "arguments": {}}, -32602),
        ("prompts/get", {"name": "up__nothing"}, -32602),
        ("resources/read", {"uri": "nowhere://x"}, -32602),
        ("resources/read", {"uri": "up+memo://missing/x"}, -32602),
        ("tools/list", {"cursor": "made-up"}, -32602),
        ("initialize", {}, -32601),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "up__no"},
                "argument": {"name": "a", "value": ""},
            },
            -32602,
        ),
    ],
)
async def test_a_request_that_makes_no_sense_gets_the_specs_error(
    raw: Raw, method: str, params: dict[str, Any], code: int
) -> None:
    with anyio.fail_after(10):
        answer = await raw.ask(method, params)
    assert answer["error"]["code"] == code, answer
    assert_clean(json.dumps(answer))


async def test_header_and_body_must_agree(raw: Raw) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    response = await raw.send(json.dumps(message).encode(), **{"Mcp-Method": "tools/call"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32020


async def test_a_web_page_cannot_reach_the_gateway(raw: Raw) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    body = json.dumps(message).encode()
    foreign = await raw.send(body, **{"Mcp-Method": "tools/list", "Origin": "https://evil.example"})
    assert foreign.status_code == 403
    rebound = await raw.send(body, **{"Mcp-Method": "tools/list", "Host": "evil.example"})
    assert rebound.status_code == 421


async def test_without_the_token_nothing_is_served(serve_http: Any, stdio_features: Any) -> None:
    config = {"mcpServers": {"up": stdio_features}, "gateway": {"token": "let-me-in"}}
    async with (
        serve_http(config) as (_, url),
        httpx2.AsyncClient() as http,
    ):
        client = Raw(http, url)
        refused = await client.send(b"{}")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        wrong = await client.send(b"{}", Authorization="Bearer guess")
        assert wrong.status_code == 401
        let_in = await client.send(b"{}", Authorization="Bearer let-me-in")
        assert let_in.status_code == 400
        health = url.replace("/mcp", "/health")
        assert (await http.get(health)).status_code == 200
        assert (await http.post(health)).status_code == 401


async def test_a_tools_own_error_arrives_as_its_result(raw: Raw) -> None:
    answer = await raw.ask("tools/call", {"name": "up__fail", "arguments": {}})
    assert answer["result"]["isError"]
    assert "the tool's own words" in answer["result"]["content"][0]["text"]
