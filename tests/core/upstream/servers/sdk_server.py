"""A server of both eras, made with the SDK: `sdk_server.py stdio`, or `sdk_server.py http PORT`."""

import os
import sys
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError

Context = ServerRequestContext[Any, Any]

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string", "x-mcp-header": "Text"}},
}
TOOLS = [{"name": "echo", "inputSchema": SCHEMA, "x-unknown": {"kept": None}}]

bus = InMemorySubscriptionBus()
listening = ListenHandler(bus)
cancelled: list[str] = []


async def echo(_context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "content": [{"type": "hologram", "of": arguments, "nothing": None}],
        "structuredContent": {"big": 2**80, "list": [None, 1, 1.5, True]},
        "x-unknown": {"kept": None},
    }


async def progress(context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    for step in (1, 2, 3):
        await context.session.report_progress(step, 3, f"step {step}")
    return {"content": []}


async def log(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    meta = (context.params or {}).get("_meta", {})
    if context.protocol_version < "2026" or types.LOG_LEVEL_META_KEY in meta:
        params = types.LoggingMessageNotificationParams(
            level="info", logger="tests", data=arguments
        )
        notification = types.LoggingMessageNotification(params=params)
        await context.session.send_notification(notification, context.request_id)
    return {"content": []}


async def block(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    await context.session.report_progress(1)
    try:
        await anyio.sleep_forever()
    finally:
        cancelled.append(arguments["key"])
    return {"content": []}


async def which_were_cancelled(_context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    return {"content": [], "cancelled": cancelled}


async def received(context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    headers = dict(context.request.headers) if context.request else {}
    return {"content": [], "params": dict(context.params or {}), "headers": headers}


async def change(context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    await bus.publish(ToolsListChanged())
    if context.protocol_version < "2026":
        await context.session.send_tool_list_changed()
    return {"content": []}


async def ask(context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        await context.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
    except MCPError as error:
        return {"content": [], "code": error.code}
    return {"content": []}


async def die(_context: Context, _arguments: dict[str, Any]) -> dict[str, Any]:
    os._exit(1)


HANDLERS = {
    "echo": echo,
    "progress": progress,
    "log": log,
    "block": block,
    "cancelled": which_were_cancelled,
    "received": received,
    "change": change,
    "ask": ask,
    "die": die,
}


async def call(context: Context, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if name not in HANDLERS:
        raise MCPError(-32602, f"no tool {name!r}", {"why": [1, None]})
    return await HANDLERS[name](context, arguments)


async def answer(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Answer past the SDK's own checks, which drop what they don't know."""
    context = ctx
    params = dict(context.params or {})
    if context.method == "tools/list":
        result: dict[str, Any] = {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private"}
    elif context.method == "tools/call":
        result = await call(context, params["name"], params.get("arguments") or {})
    else:
        return await call_next(context)
    return {"resultType": "complete", **result} if context.protocol_version >= "2026" else result


async def _unused(*_: Any) -> Any:
    raise AssertionError("answered by the middleware")


def schema_of(_name: str) -> dict[str, Any]:
    return SCHEMA


server: Server[Any] = Server(
    "both",
    version="1.2",
    instructions="Be kind.",
    on_list_tools=_unused,
    on_call_tool=_unused,
    on_subscriptions_listen=listening,
    get_tool_input_schema=schema_of,
)
server.middleware.append(answer)


async def over_stdio() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        anyio.run(over_stdio)
    else:
        import uvicorn

        app = server.streamable_http_app()
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", ws="none")
