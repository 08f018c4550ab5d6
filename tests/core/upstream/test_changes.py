"""Hearing of changes from a modern server whose stream is interrupted."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from plugway.config import ServerConfig
from plugway.upstream import open_upstreams
from plugway_hookspecs import ServerError

Serve = Callable[..., AbstractAsyncContextManager[str]]
CHANGED = "notifications/tools/list_changed"


async def test_after_an_interruption_everything_counts_as_changed(
    http_server: Serve, sdk_server: ModuleType
) -> None:
    events, receive = anyio.create_memory_object_stream[str](10)
    app = sdk_server.server.streamable_http_app()
    with events, receive, anyio.fail_after(10):
        async with (
            http_server(app) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as upstreams,
        ):
            upstreams["a"].on_list_changed(lambda event, _: events.send_nowait(event))
            await upstreams["a"].connect()
            assert await receive.receive() == "connected"
            heard = ""
            while not heard:  # the stream opens after the connect
                await upstreams["a"].request("tools/call", {"name": "change"})
                with anyio.move_on_after(0.2):
                    heard = await receive.receive()
            sdk_server.listening.close()
            assert await receive.receive() == CHANGED


async def test_a_server_that_refuses_to_be_listened_to_is_asked_once(raw_http: Serve) -> None:
    asked: list[str] = []

    def server(method: str, headers: dict[str, str], message: Any) -> bytes:
        asked.append(message["method"])
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "server/discover":
            capabilities = {"tools": {"listChanged": True}}
            answer["result"] = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities}
        else:
            answer["error"] = {"code": -32601, "message": "unknown"}
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        return head.encode() + b"\r\nconnection: close\r\n\r\n" + body

    with anyio.fail_after(10):
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            await ups["a"].connect()
            while "subscriptions/listen" not in asked:
                await checkpoint()
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ServerError, match="unknown"):
                await ups["a"].request("x")
    assert asked == ["server/discover", "subscriptions/listen", "x"]
