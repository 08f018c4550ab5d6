"""The MCP server that both dialects are served by, in both protocol eras."""

from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    RequestParams,
)

from plugway_external_bridge.host.contextforge import ContextForgeHost
from plugway_external_bridge.host.interceptors import InterceptorHost
from plugway_external_bridge.wire import sep2624
from plugway_hookspecs import PluginRunner

Request = ServerRequestContext[Any, Any]


def make_server(runner: PluginRunner) -> Server[Any]:
    """Return a server for the plugins of a runner; raises `SetupError` for a clash of names."""
    interceptors = InterceptorHost(runner)
    tools = ContextForgeHost(runner)

    async def list_tools(_: Request, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tools.tools)

    async def call_tool(_: Request, params: CallToolRequestParams) -> CallToolResult:
        if tools.schema(params.name) is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await tools.call(params.name, params.arguments or {})

    async def list_interceptors(context: Request, _: RequestParams) -> dict[str, Any]:
        return interceptors.listing(context.params or {})

    async def invoke(context: Request, _: RequestParams) -> dict[str, Any]:
        return await interceptors.invoke(context.params or {})

    async def advertise(ctx: Request, call_next: CallNext) -> HandlerResult:
        """Put the extension back into the older handshake's result: the SDK's model drops it."""
        result = await call_next(ctx)
        if ctx.method == "initialize" and isinstance(result, dict):
            result["capabilities"]["extensions"] = server.extensions
        return result

    server: Server[Any] = Server(
        "plugway-host",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=tools.schema,
    )
    server.add_request_handler(sep2624.LIST, RequestParams, list_interceptors)
    for method in sep2624.INVOKE_NAMES:
        server.add_request_handler(method, RequestParams, invoke)
    server.extensions = {sep2624.EXTENSION: interceptors.capability}
    server.middleware.append(advertise)
    return server
