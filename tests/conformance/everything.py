"""An MCP server with every fixture of the official conformance suite, in both eras.

    python everything.py               over standard input and output
    python everything.py --port 3101   over HTTP; 0 for any free port; prints the URL

What it offers follows from what the suite's server scenarios ask for.
"""

import argparse
import itertools
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any

import anyio
import everything_changes
import everything_content as content
import everything_pushing
import everything_rounds as rounds
import uvicorn
from everything_tools import TOOLS, Answer, Context, log_levels, session_id
from mcp.server import Server
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    JSONRPCMessage,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

NAME = "everything"
ENTERED = (everything_changes, everything_pushing, rounds)
"""The modules that enter their tools into the table when they are imported."""
RESOURCE_NOT_FOUND = -32002
"""What says so in sessions; since 2026-07-28 it is -32602."""


class Events(EventStore):
    """The last messages of all streams, for clients that resume one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._kept: deque[tuple[str, str, JSONRPCMessage | None]] = deque(maxlen=1000)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        event = str(next(self._numbers))
        self._kept.append((event, stream_id, message))
        return event

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        kept = list(self._kept)
        found = next((n for n, (event, _, _) in enumerate(kept) if event == last_event_id), None)
        if found is None:
            return None
        stream = kept[found][1]
        for event, of_stream, message in kept[found + 1 :]:
            if of_stream == stream and message is not None:
                await send_callback(EventMessage(message, event))
        return stream


async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[fixture.definition for fixture in TOOLS.values()])


async def call_tool(ctx: Context, params: CallToolRequestParams) -> Answer:
    fixture = TOOLS.get(params.name)
    if fixture is None:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await fixture.run(ctx, params)


def input_schema(name: str) -> Mapping[str, Any] | None:
    fixture = TOOLS.get(name)
    return None if fixture is None else fixture.definition.input_schema


async def list_prompts(_: Context, __: PaginatedRequestParams | None) -> ListPromptsResult:
    prompts = [prompt for prompt, _ in content.PROMPTS.values()]
    return ListPromptsResult(prompts=[*prompts, rounds.ASKING_PROMPT])


async def get_prompt(
    ctx: Context, params: GetPromptRequestParams
) -> GetPromptResult | InputRequiredResult:
    if params.name == rounds.ASKING_PROMPT.name:
        return await rounds.asking_prompt(ctx, params)
    found = content.PROMPTS.get(params.name)
    if found is None:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    prompt, write = found
    return GetPromptResult(description=prompt.description, messages=write(params.arguments or {}))


async def list_resources(_: Context, __: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=list(content.RESOURCES))


async def list_templates(
    _: Context, __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=list(content.TEMPLATES))


async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    uri = str(params.uri)
    found = content.read(uri)
    if found is None:
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
        raise MCPError(code, f"Resource not found: {uri}", {"uri": uri})
    return ReadResourceResult(contents=[found])


async def subscribe(
    _: Context, __: SubscribeRequestParams | UnsubscribeRequestParams
) -> EmptyResult:
    return EmptyResult()


async def complete(_: Context, params: CompleteRequestParams) -> CompleteResult:
    values = [each for each in content.SUGGESTIONS if each.startswith(params.argument.value)]
    return CompleteResult(completion=Completion(values=values, total=len(values), has_more=False))


async def set_level(ctx: Context, params: SetLevelRequestParams) -> EmptyResult:
    log_levels[session_id(ctx)] = params.level
    return EmptyResult()


def make_server() -> Server[Any]:
    """Return the server, not yet on any transport."""
    server: Server[Any] = Server(
        NAME,
        version="1.0.0",
        instructions="Fixtures for conformance tests.",
        cache_hints={"tools/list": CacheHint(ttl_ms=1000, scope="public")},
        get_tool_input_schema=input_schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=subscribe,
        on_subscriptions_listen=ListenHandler(everything_changes.BUS),
        on_completion=complete,
    )
    # not an argument above: there the SDK warns that logging is deprecated
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    security = RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(security, default_audience=NAME))
    return server


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one client until it hangs up."""
    changes = NotificationOptions(tools_changed=True, prompts_changed=True)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options(changes))


def serve_http(server: Server[Any], port: int) -> None:
    """Serve on loopback until the process is ended."""
    app = server.streamable_http_app(event_store=Events(), retry_interval=500)
    with socket.create_server(("127.0.0.1", port)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        # httptools leaves the space after a header value in it, and the suite sends some
        config = uvicorn.Config(app, http="h11", log_level="error")
        uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="serve over HTTP on this port")
    port: int | None = parser.parse_args().port
    server = make_server()
    if port is None:
        anyio.run(serve_stdio, server)
    else:
        serve_http(server, port)


if __name__ == "__main__":
    main()
