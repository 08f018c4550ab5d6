"""Running a host: plugins, server and transport opened in order, and closed in the reverse one."""

import sys
from contextlib import AsyncExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import click
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.host.ending import endable_input, serve_until_signal
from plugway_external_bridge.host.http import HttpServer, bind, make_app
from plugway_external_bridge.host.server import make_server
from plugway_hookspecs import PluginRunner
from plugway_hookspecs.runner import Application


def _make_server(runner: PluginRunner) -> Server[Any]:
    if not runner.plugins():
        raise SetupError("the configuration has no plugin to serve")
    return make_server(runner)


async def serve_stdio(application: Application, config: Path | None) -> int:
    """Serve on standard input and output; returns the process's exit code."""
    async with AsyncExitStack() as stack:
        with redirect_stdout(sys.stderr):  # what a plugin prints must not get between messages
            runner = await stack.enter_async_context(application.open_plugins(config))
        server = _make_server(runner)

        async def serve() -> None:
            async with stdio_server() as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())

        with endable_input() as end:
            return await serve_until_signal(serve, end)


async def serve_http(
    application: Application, config: Path | None, address: str, port: int, token: str | None
) -> int:
    """Serve over HTTP; returns the process's exit code.

    Raises `SetupError` where the address is open to others and there is no token, `OSError` where
    it can't be had.
    """
    with bind(address, port, token=token) as listening:
        async with application.open_plugins(config) as runner:
            server = HttpServer(make_app(_make_server(runner), address, token=token))
            where, actual = listening.getsockname()[:2]
            name = f"[{where}]" if ":" in where else where
            plugins = ", ".join(info.name for info in runner.plugins())

            async def serve() -> None:
                click.echo(f"serving {plugins} at http://{name}:{actual}/mcp", err=True)
                await server.serve(sockets=[listening])

            return await serve_until_signal(serve, server.stop)
