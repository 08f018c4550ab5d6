"""A small MCP server: a shop, for the tests of the command line.

Over stdio, or with `shop.py FD` over HTTP on a socket that is inherited.
"""

import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("shop")


class Customer(BaseModel):
    name: str
    email: str


@server.tool()
def find(name: str, limit: int = 1) -> Customer:
    """Find a customer.

    This line is not part of the summary.
    """
    return Customer(name=name, email=f"{name.lower()}@example.com" * limit)


@server.tool()
def delete(number: int) -> str:
    """Delete a customer."""
    return f"{number} deleted"


@server.tool()
def kind_of(value: str | int | list[int]) -> str:
    """Say which type came."""
    return type(value).__name__


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("nothing works here")


@server.tool()
def steer() -> str:
    """Answer with what would steer a terminal."""
    return "before\x1b[2Jafter"


@server.tool()
async def grow(count: int, context: Context) -> str:
    """Report progress."""
    for done in range(1, count + 1):
        await context.report_progress(done, count)
    return "grown"


@server.tool()
async def wait(file: str) -> str:
    """Open a file for writing, then wait for ever."""
    async with await anyio.open_file(file, "w"):
        pass
    await anyio.sleep_forever()
    return "never"


@server.prompt()
def greet(name: str, times: str = "1") -> str:
    """Greet somebody."""
    return f"Greet {name} {times} times."


@server.resource("shop://about")
def about() -> str:
    """Say what this is."""
    return "a shop"


if __name__ == "__main__":
    sys.stderr.write("the shop is open\n")
    if len(sys.argv) > 1:
        config = uvicorn.Config(server.streamable_http_app(), log_level="error")
        uvicorn.Server(config).run([socket.socket(fileno=int(sys.argv[1]))])
    else:
        server.run("stdio")
