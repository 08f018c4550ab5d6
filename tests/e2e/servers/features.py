"""An MCP server on the official SDK with one of everything: `features.py [SOCKET]`, else stdio."""

import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import Completion

server = MCPServer("features", instructions="One of everything.")
seen = {"cancelled": 0, "started": 0}


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(structured_output=False)
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
async def count(up_to: int, context: Context) -> str:
    """Count, and report progress."""
    for number in range(1, up_to + 1):
        await context.report_progress(number, up_to, f"at {number}")
    return "done"


@server.tool(structured_output=False)
async def wait_for_ever() -> str:
    """Wait until the caller gives up."""
    seen["started"] += 1
    try:
        await anyio.sleep_forever()
    finally:
        seen["cancelled"] += 1
    return "never"


@server.tool()
def calls_seen() -> dict[str, int]:
    """Return how many waiting calls were started and cancelled."""
    return seen


@server.tool(structured_output=False)
def fail() -> str:
    """Raise an error."""
    raise ToolError("the tool's own words")


@server.tool(structured_output=False)
async def grow(name: str, context: Context) -> str:
    """Offer one more tool, and say so to everybody who listens."""
    server.add_tool(lambda: "new here", name=name, description="Says that it is new.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return name


@server.prompt()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Say hello to {name}."


@server.resource("memo://today", mime_type="text/plain")
def today() -> str:
    """Return today's memo."""
    return "nothing to do"


@server.resource("memo://by-name/{name}")
def by_name(name: str) -> str:
    """Return a memo by name."""
    return f"memo of {name}"


@server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # untyped in mcp 2.3
async def complete(ref: object, argument: object, context: object) -> Completion:
    """Complete any argument."""
    return Completion(values=["alpha", "beta"], has_more=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        config = uvicorn.Config(server.streamable_http_app(), log_level="error")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    else:
        server.run("stdio")
