"""An MCP server for the soak, on the SDK, in both eras: `soak_server.py NAME [SOCKET]`, else stdio.

Whatever it says has its name and the caller's token in it, so that a wrong answer shows.
"""

import socket
import sys
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any]
NAME = sys.argv[1]
TOOLS = ("echo", "count", "hang", "hanging", "ask", "touch")

bus = InMemorySubscriptionBus()
followers: dict[str, dict[str, ServerSession]] = {}
"""By URI and session: what is sent outside a request goes to any of a session's requests."""
hanging: set[str] = set()


def text(*words: object) -> types.CallToolResult:
    said = " ".join(map(str, (NAME, *words)))
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)])


async def list_tools(_: Context, __: object) -> types.ListToolsResult:
    schema = {"type": "object"}
    tools = [types.Tool(name=name, description=name, input_schema=schema) for name in TOOLS]
    return types.ListToolsResult(tools=tools)


async def call_tool(
    context: Context, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    arguments = params.arguments or {}
    token = str(arguments.get("token", ""))
    match params.name:
        case "count":
            for number in range(1, int(arguments["up_to"]) + 1):
                await context.session.report_progress(number, None, f"{NAME} {token} {number}")
        case "hang":
            await hang(token)
        case "hanging":
            return text(len(hanging))
        case "ask":
            return await ask(context, params, token)
        case "touch":
            await touch(arguments["uri"])
        case _:
            pass
    return text(token)


async def hang(token: str) -> None:
    hanging.add(token)
    try:
        await anyio.sleep_forever()
    finally:
        hanging.discard(token)


async def ask(
    context: Context, params: types.CallToolRequestParams, token: str
) -> types.CallToolResult | types.InputRequiredResult:
    """Ask the client for the answer to the token, in the manner of its era."""
    schema: Any = {"type": "object", "properties": {"answer": {"type": "string"}}}
    form = types.ElicitRequestFormParams(message=f"{NAME} {token}", requested_schema=schema)
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if not params.input_responses:
            asked: types.InputRequests = {"q": types.ElicitRequest(params=form)}
            return types.InputRequiredResult(input_requests=asked, request_state=token)
        answer = params.input_responses["q"]
        if params.request_state != token:
            return text(token, "has the state of", params.request_state)
    else:
        answer = await context.session.elicit_form(
            form.message, schema, related_request_id=context.request_id
        )
    content = answer.content if isinstance(answer, types.ElicitResult) else None
    return text(token, (content or {}).get("answer"))


async def touch(uri: str) -> None:
    """Tell everybody who follows a resource that it has changed."""
    await bus.publish(ResourceUpdated(uri=uri))
    for session in list(followers.get(uri, {}).values()):
        await session.send_resource_updated(uri)


async def read(_: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    content = types.TextResourceContents(uri=params.uri, text=f"{NAME} {params.uri}")
    return types.ReadResourceResult(contents=[content])


def session_of(context: Context) -> str:
    return str(context.request.headers.get("mcp-session-id")) if context.request else ""


async def subscribe(context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    followers.setdefault(str(params.uri), {})[session_of(context)] = context.session
    return types.EmptyResult()


async def unsubscribe(
    context: Context, params: types.UnsubscribeRequestParams
) -> types.EmptyResult:
    followers.get(str(params.uri), {}).pop(session_of(context), None)
    return types.EmptyResult()


async def list_resources(_: Context, __: object) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=[types.Resource(name="r", uri="soak://r")])


async def list_templates(_: Context, __: object) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(name="any", uri_template="soak://{token}")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def list_prompts(_: Context, __: object) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[types.Prompt(name="greet")])


async def prompt(_: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    said = f"{NAME} {(params.arguments or {}).get('token')}"
    content = types.TextContent(type="text", text=said)
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])


server: Server[Any] = Server(
    NAME,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_resources,
    on_list_resource_templates=list_templates,
    on_read_resource=read,
    on_subscribe_resource=subscribe,
    on_unsubscribe_resource=unsubscribe,
    on_subscriptions_listen=ListenHandler(bus),
    on_list_prompts=list_prompts,
    on_get_prompt=prompt,
)


async def over_stdio() -> None:
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        app = server.streamable_http_app(session_idle_timeout=30)
        config = uvicorn.Config(app, log_level="critical")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
    else:
        anyio.run(over_stdio)
