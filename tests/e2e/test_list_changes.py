"""Tools that change, by a server or by a reload: clients of both eras hear of it and get them."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp_types import ToolListChangedNotification

from plugway.config import parse
from plugway.gateway import Gateway

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("back", ["stdio", "http"])
async def test_clients_of_both_eras_hear_of_a_new_tool_and_can_call_it(
    serve_http: Serve, stdio_features: Any, features: Any, era: str, back: str
) -> None:
    if back == "http":
        features.start()
    server = stdio_features if back == "stdio" else {"url": features.url}
    config = {"mcpServers": {"up": {**server, "era": era}}}
    heard = {"legacy": anyio.Event(), "modern": anyio.Event()}

    async def on_message(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            heard["legacy"].set()

    async def watch(client: Client, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with client.listen(tools_list_changed=True) as events:
            task_status.started()
            async for _ in events:
                heard["modern"].set()

    with anyio.fail_after(30):
        async with (
            serve_http(config) as (_, url),
            Client(url, mode="auto", cache=None) as modern,
            Client(url, mode="legacy", cache=None, message_handler=on_message) as legacy,
            anyio.create_task_group() as tasks,
        ):
            await tasks.start(watch, modern)
            assert "up__extra" not in {tool.name for tool in (await legacy.list_tools()).tools}
            await modern.call_tool("up__grow", {"name": "extra"})
            await heard["modern"].wait()
            await heard["legacy"].wait()
            for client in (modern, legacy):
                assert "up__extra" in {tool.name for tool in (await client.list_tools()).tools}
                result: Any = await client.call_tool("up__extra", {})
                assert result.content[0].text == "new here"
            tasks.cancel_scope.cancel()


async def test_clients_of_both_eras_hear_of_a_reload_that_changes_what_there_is(
    serve_http: Serve, stdio_features: Any
) -> None:
    config = {"mcpServers": {"one": stdio_features}}
    heard = {"legacy": anyio.Event(), "modern": anyio.Event()}

    async def on_message(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            heard["legacy"].set()

    async def watch(client: Client, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with client.listen(tools_list_changed=True) as events:
            task_status.started()
            async for _ in events:
                heard["modern"].set()

    async def reload(gateway: Gateway, new: dict[str, Any]) -> None:
        text = json.dumps(new)
        await gateway.reload(await anyio.to_thread.run_sync(parse, text))

    with anyio.fail_after(30):
        async with (
            serve_http(config) as (gateway, url),
            Client(url, mode="auto", cache=None) as modern,
            Client(url, mode="legacy", cache=None, message_handler=on_message) as legacy,
            anyio.create_task_group() as tasks,
        ):
            for client in (modern, legacy):
                await client.list_tools()
            await tasks.start(watch, modern)
            hidden = {"name": "hide", "kind": "deny_list", "config": {"tools": ["one__*"]}}
            await reload(gateway, {**config, "plugins": [hidden]})
            await heard["modern"].wait()
            await heard["legacy"].wait()
            for client in (modern, legacy):
                result: Any = await client.call_tool("one__echo", {"text": "x"})
                assert result.is_error
            await reload(gateway, {"mcpServers": {"two": stdio_features}})
            for client in (modern, legacy):
                names = {tool.name for tool in (await client.list_tools()).tools}
                assert {name.partition("__")[0] for name in names} == {"two"}
            tasks.cancel_scope.cancel()
