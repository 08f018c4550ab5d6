"""Serve one client over standard input and output."""

import anyio
from mcp.server.stdio import stdio_server

from plugway.downstream.edge import Edge


async def serve_stdio(edge: Edge, endpoint: str = "") -> None:
    """Serve until the client closes standard input, at an endpoint or the whole federation."""
    edge.endpoint = endpoint
    async with anyio.create_task_group() as tasks, stdio_server() as (read, write):
        with edge.follow_changes(tasks):
            await edge.server.run(read, write, edge.server.create_initialization_options())
        tasks.cancel_scope.cancel()
