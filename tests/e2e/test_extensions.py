"""Extensions of MCP between a client and the server that has them."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from plugway.gateway import Gateway

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]
SERVER = {"command": sys.executable, "args": [str(Path(__file__).parent / "servers/extended.py")]}
TASKS = "io.modelcontextprotocol/tasks"
VENDOR = "com.example/search"


async def ask(url: str, method: str, params: dict[str, Any], name: str = "") -> Any:
    """Send one request of the stateless era, and return the message that answers it."""
    meta: dict[str, Any] = {
        PROTOCOL_VERSION_META_KEY: "2026-07-28",
        CLIENT_INFO_META_KEY: {"name": "raw", "version": "0"},
        CLIENT_CAPABILITIES_META_KEY: {"extensions": {TASKS: {}, VENDOR: {}}},
    }
    body: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {**params, "_meta": meta},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        **({"mcp-name": name} if name else {}),
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.post(url, json=body, headers=headers)).json()


async def test_an_extension_works_through_the_gateway(serve_http: Serve) -> None:
    with anyio.fail_after(30):
        async with serve_http({"mcpServers": {"x": SERVER}}) as (gateway, url):
            await gateway.upstreams["x"].connect()
            described = (await ask(url, "server/discover", {}))["result"]
            assert described["capabilities"]["extensions"] == {TASKS: {}, VENDOR: {"since": 1}}
            found = (await ask(url, "com.example/search", {"q": None}))["result"]
            assert found["found"] == [None, 2**70, {"q": None}]
            started = (await ask(url, "tools/call", {"name": "x__work"}, "x__work"))["result"]
            assert (started["resultType"], started["taskId"]) == ("task", "x__t-1")
            task = (await ask(url, "tasks/get", {"taskId": "x__t-1"}, "x__t-1"))["result"]
            assert (task["taskId"], task["asked"]) == ("x__t-1", "t-1")


async def test_an_extension_gets_round_no_guard(serve_http: Serve) -> None:
    guard = {"name": "deny", "kind": "deny_list", "config": {"words": ["s3cret"]}}
    with anyio.fail_after(30):
        config = {"mcpServers": {"x": SERVER}, "plugins": [guard]}
        async with serve_http(config) as (gateway, url):
            await gateway.upstreams["x"].connect()
            described = (await ask(url, "server/discover", {}))["result"]
            assert "extensions" not in described["capabilities"]
            assert (await ask(url, "com.example/search", {"q": 1}))["error"]["code"] == -32601
            answer = await ask(url, "tasks/get", {"taskId": "x__t-1"}, "x__t-1")
            assert answer["error"]["code"] == -32601
