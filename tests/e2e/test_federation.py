"""Several servers behind one gateway: what is dead or slow is missing, and comes back."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from plugway.gateway import Gateway

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]
UNAVAILABLE = "plugway/unavailable"
DEAD = {"url": "http://127.0.0.1:9/mcp", "connect_timeout": 2}


async def listed(client: Any) -> tuple[set[str], list[str]]:
    result = await client.list_tools()
    meta: dict[str, Any] = result.meta or {}
    missing: list[dict[str, str]] = meta.get(UNAVAILABLE, [])
    return {tool.name.partition("__")[0] for tool in result.tools}, [m["server"] for m in missing]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_dead_server_is_reported_as_missing_and_the_others_stay(
    connect: Any, stdio_features: Any, shared_features: Any, mode: str
) -> None:
    servers = {"one": stdio_features, "two": {"url": shared_features.url}, "dead": DEAD}
    with anyio.fail_after(30):
        async with connect({"mcpServers": servers}, front="http", mode=mode) as client:
            assert await listed(client) == ({"one", "two"}, ["dead"])
            for server in ("one", "two"):
                result = await client.call_tool(f"{server}__add", {"a": 1, "b": 1})
                assert result.structured_content == {"result": 2}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_that_restarts_comes_back_by_itself(
    serve_http: Serve, stdio_features: Any, features: Any, era: str
) -> None:
    servers = {"steady": stdio_features, "flaky": {"url": features.url, "era": era}}
    features.start()
    with anyio.fail_after(60):
        async with (
            serve_http({"mcpServers": servers}) as (gateway, url),
            Client(url, cache=None) as client,
        ):
            assert await listed(client) == ({"steady", "flaky"}, [])
            features.stop()
            with pytest.raises(MCPError, match="flaky"):
                await client.call_tool("flaky__add", {"a": 1, "b": 1})
            result = await client.call_tool("steady__add", {"a": 1, "b": 1})
            assert result.structured_content == {"result": 2}
            assert await listed(client) == ({"steady"}, ["flaky"])
            back = anyio.Event()
            gateway.catalog.subscribe(lambda _method: back.set())
            features.start()
            await back.wait()
            assert await listed(client) == ({"steady", "flaky"}, [])
            result = await client.call_tool("flaky__add", {"a": 2, "b": 2})
            assert result.structured_content == {"result": 4}


async def test_a_server_without_a_prefix_keeps_its_own_names(
    connect: Any, stdio_features: Any, shared_features: Any
) -> None:
    servers = {
        "plain": {**stdio_features, "prefix": ""},
        "other": {"url": shared_features.url},
    }
    with anyio.fail_after(30):
        async with connect({"mcpServers": servers}, front="http", mode="auto") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"add", "other__add"} <= names
            result = await client.call_tool("add", {"a": 1, "b": 2})
            assert result.structured_content == {"result": 3}
            memo = await client.read_resource("memo://by-name/y")
            assert memo.contents[0].text == "memo of y"


async def test_a_server_that_is_not_exposed_offers_nothing_to_clients(
    connect: Any, stdio_features: Any, shared_features: Any
) -> None:
    servers = {"open": stdio_features, "hidden": {"url": shared_features.url, "expose": False}}
    with anyio.fail_after(30):
        async with connect({"mcpServers": servers}, front="http", mode="auto") as client:
            assert await listed(client) == ({"open"}, [])
            with pytest.raises(Exception, match="Unknown tool"):
                await client.call_tool("hidden__add", {"a": 1, "b": 1})
