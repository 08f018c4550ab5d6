"""A server with an extension of its own, and with tasks: calls of `work` go on after the answer."""

from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.stdio import stdio_server

TASKS = "io.modelcontextprotocol/tasks"
VENDOR = "com.example/search"
TASK = {"resultType": "task", "taskId": "t-1", "status": "working", "ttl": None}


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    """List the one tool."""
    return types.ListToolsResult(tools=[types.Tool(name="work", input_schema={"type": "object"})])


async def never(context: Any, params: Any) -> types.CallToolResult:
    """Stand for the calls that the middleware answers."""
    raise AssertionError


server = Server("extended", on_list_tools=list_tools, on_call_tool=never)
server.extensions.update({TASKS: {}, VENDOR: {"since": 1}})


async def answer(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Answer what is no part of MCP's core."""
    params = ctx.params or {}
    match ctx.method:
        case "tools/call":
            return dict(TASK)
        case "tasks/get":
            return {**TASK, "asked": params["taskId"], "resultType": "complete"}
        case "com.example/search":
            return {"resultType": "complete", "found": [None, 2**70, {"q": params["q"]}]}
        case _:
            return await call_next(ctx)


server.middleware.append(answer)


async def main() -> None:
    """Serve over stdio."""
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
