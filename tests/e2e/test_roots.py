"""Servers remember a client's roots: nobody may work in those of another client."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp_types import ListRootsResult, Root, TextContent
from pydantic import FileUrl

from plugway.gateway import Gateway

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]
SERVER = {"command": sys.executable, "args": [str(Path(__file__).parent / "servers/rooted.py")]}


def client(url: str, folder: str, mode: Any) -> Client:
    async def roots(context: ClientRequestContext) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=FileUrl(f"file:///{folder}"))])

    return Client(url, list_roots_callback=roots, mode=mode, cache=None)


async def asked(who: Client) -> str:
    (block,) = (await who.call_tool("s__roots", {})).content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_every_client_works_in_its_own_roots(serve_http: Serve, mode: str) -> None:
    with anyio.fail_after(60):
        async with (
            serve_http({"mcpServers": {"s": SERVER}}) as (_, url),
            client(url, "a", mode) as a,
            client(url, "b", mode) as b,
        ):
            for _round in range(3):
                assert await asked(a) == "file:///a"
                assert await asked(b) == "file:///b"


async def test_so_do_clients_that_call_at_the_same_time(serve_http: Serve) -> None:
    answers: dict[str, list[str]] = {}

    async def calls(url: str, folder: str) -> None:
        async with client(url, folder, "auto") as who:
            answers[folder] = [await asked(who) for _round in range(3)]

    with anyio.fail_after(60):
        async with (
            serve_http({"mcpServers": {"s": SERVER}}) as (gateway, url),
            anyio.create_task_group() as tasks,
        ):
            for folder in ("a", "b", "c"):
                tasks.start_soon(calls, url, folder)
            await gateway.upstreams["s"].connect()
    assert answers == {folder: [f"file:///{folder}"] * 3 for folder in ("a", "b", "c")}


async def test_a_server_that_may_not_ask_knows_of_none(serve_http: Serve) -> None:
    with anyio.fail_after(60):
        config = {"mcpServers": {"s": {**SERVER, "asks": ["elicitation"]}}}
        async with serve_http(config) as (_, url), client(url, "a", "auto") as a:
            assert await asked(a) == ""
