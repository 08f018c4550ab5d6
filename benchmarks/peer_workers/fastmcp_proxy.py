# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""fastmcp's proxy at its best: `fastmcp_proxy.py PORT HOW SERVERS`, as JSON like `mcpServers`.

With a URL it makes a client for every call, which costs ten times as much. `reuse` has one
connected client for all calls, `stateful` one for each session in front. It runs where fastmcp is;
here the checkers don't know it.
"""

import json
import sys
from contextlib import AsyncExitStack
from functools import partialmethod
from typing import Any

import uvicorn
import uvloop
from fastmcp import Client, FastMCP
from fastmcp.server import create_proxy
from fastmcp.server.providers.proxy import FastMCPProxy, StatefulProxyClient
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

# the SDK stops at 10,000 sessions, and fastmcp has no setting for it
StreamableHTTPSessionManager.__init__ = partialmethod(
    StreamableHTTPSessionManager.__init__, max_sessions=None
)


async def proxy(server: dict[str, Any], how: str, stack: AsyncExitStack) -> FastMCP:
    target = server.get("url") or {"mcpServers": {"up": server}}
    if how == "stateful":
        client = StatefulProxyClient(target, mode="legacy")
        return FastMCPProxy(client_factory=client.new_stateful)
    return create_proxy(await stack.enter_async_context(Client(target)))


async def main(port: int, how: str, servers: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        proxies = {name: await proxy(server, how, stack) for name, server in servers.items()}
        if len(proxies) == 1:
            (front,) = proxies.values()
        else:
            front = FastMCP("front")
            for name, each in proxies.items():
                front.mount(each, namespace=name)
        app = front.http_app(path="/mcp", json_response=True)
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
