"""Five calls through a running gateway, by the official SDK's client, in both protocol eras."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.to_thread
from mcp import Client
from rich.console import Console
from rich.text import Text

from plugway.config import load
from plugway.demo.setup import surroundings
from plugway.demo.show import show_call, show_config, show_next
from plugway.downstream.http import HttpServer, http_app
from plugway.gateway import Gateway, open_gateway
from plugway.jsonrpc import RpcError
from plugway_hookspecs import Operation

Era = Literal["auto", "legacy"]

CALLS: list[tuple[str, Era, tuple[str, dict[str, Any]]]] = [
    ("Untouched", "auto", ("rates__convert", {"amount": 100, "currency": "USD"})),
    (
        "Personal data masked on the way in and on the way out",
        "legacy",
        ("crm__find_customer", {"name": "Ada", "note": "asked by joe.doe@example.com"}),
    ),
    (
        "Denied by a native plugin",
        "legacy",
        ("crm__delete_customer", {"customer_id": 1}),
    ),
    (
        "Denied by an external plugin, in another process",
        "auto",
        ("rates__send_report", {"text": "Bluebird ships in May"}),
    ),
    (
        "Answered by a plugin; the server was not asked again",
        "auto",
        ("rates__convert", {"amount": 100, "currency": "USD"}),
    ),
]


async def tour(console: Console) -> None:
    """Start everything, make the calls, show the chains, stop everything."""
    with console.status("starting two MCP servers, a plugin host and the gateway …"):
        async with surroundings() as around, _serving(around.config) as (gateway, url):
            show_config(console, around.text)
            async with (
                Client(url, mode="auto") as modern,
                Client(url, mode="legacy") as legacy,
            ):
                await _show_federation(console, modern, url)
                finished: list[Operation] = []

                def note(operation: Operation, _: RpcError | None) -> None:
                    if operation.method == "tools/call":
                        finished.append(operation)

                gateway.dispatcher.listen(note)
                clients = {"auto": modern, "legacy": legacy}
                for number, (title, era, call) in enumerate(CALLS, start=1):
                    result = await clients[era].call_tool(*call)
                    show_call(console, number, title, call, result, finished[-1])
    show_next(console)


async def _show_federation(console: Console, client: Client, url: str) -> None:
    tools = await client.list_tools()
    prompts = await client.list_prompts()
    resources = await client.list_resources()
    counts = f"{len(tools.tools)} tools, {len(prompts.prompts)} prompts"
    console.print()
    offer = f"{counts}, {len(resources.resources)} resources"
    console.print(Text.assemble("One endpoint, ", (url, "bold"), f": {offer}:"))
    console.print(Text("    " + ", ".join(tool.name for tool in tools.tools), "dim"))


@asynccontextmanager
async def _serving(config: Any) -> AsyncGenerator[tuple[Gateway, str]]:
    loaded = await anyio.to_thread.run_sync(load, config)
    async with open_gateway(loaded) as gateway, anyio.create_task_group() as tasks:
        settings = gateway.config.gateway
        server = HttpServer(http_app(gateway.edge, settings, gateway.registry), settings.host, 0)
        tasks.start_soon(server.serve)
        await server.listening.wait()
        yield gateway, f"http://127.0.0.1:{server.port}{settings.path}"
        server.stop()
