"""The command `plugway host`: serve configured plugins to other gateways."""

import os
import sys
from contextlib import AsyncExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import anyio
import click
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.host.ending import endable_input, serve_until_signal
from plugway_external_bridge.host.http import HttpServer, bind, make_app
from plugway_external_bridge.host.server import make_server
from plugway_hookspecs import CommandGroup, PluginRunner, PlugwayError, hookimpl
from plugway_hookspecs.runner import Application


@hookimpl
def register_commands(cli: CommandGroup) -> None:
    """Add `plugway host`."""
    cli.add_command(host)


@click.command("host")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration with the plugins to serve.",
)
@click.option("--stdio", is_flag=True, help="Serve on standard input and output.")
@click.option("--host", "address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=9000, show_default=True, help="0 for any that is free.")
@click.option(
    "--token-env",
    metavar="VAR",
    help="The environment variable with the bearer token that callers must send.",
)
@click.pass_context
def host(
    ctx: click.Context,
    config: Path | None,
    *,
    stdio: bool,
    address: str,
    port: int,
    token_env: str | None,
) -> None:
    """Serve the configured plugins to other gateways.

    They are offered as interceptors (SEP-2624) and behind ContextForge's tools, at /mcp.
    """
    application: Application = ctx.obj
    try:
        if stdio:
            code = anyio.run(_serve_stdio, application, config)
        else:
            token = _read_token(token_env)
            code = anyio.run(_serve_http, application, config, address, port, token)
    except (PlugwayError, OSError, ExceptionGroup) as error:
        code = application.report(error)
    ctx.exit(code)


def _read_token(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (token := os.environ.get(variable)):
        raise SetupError(f"--token-env: the environment variable {variable!r} is not set or empty")
    return token


def _make_server(runner: PluginRunner) -> Server[Any]:
    if not runner.plugins():
        raise SetupError("the configuration has no plugin to serve")
    return make_server(runner)


async def _serve_stdio(application: Application, config: Path | None) -> int:
    async with AsyncExitStack() as stack:
        with redirect_stdout(sys.stderr):  # what a plugin prints must not get between messages
            runner = await stack.enter_async_context(application.open_plugins(config))
        server = _make_server(runner)

        async def serve() -> None:
            async with stdio_server() as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())

        with endable_input() as end:
            return await serve_until_signal(serve, end)


async def _serve_http(
    application: Application, config: Path | None, address: str, port: int, token: str | None
) -> int:
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
