"""The command `plugway host`: serve configured plugins to other gateways."""

import os
from pathlib import Path

import click

from plugway_external_bridge.errors import SetupError
from plugway_hookspecs import CommandGroup, PlugwayError, hookimpl
from plugway_hookspecs.runner import Application


@hookimpl
def register_commands(cli: CommandGroup) -> None:
    """Add `plugway host`."""
    cli.add_command(host)


@click.command("host")
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration with the plugins to serve.",
)
@click.option("--stdio", is_flag=True, help="Serve on standard input and output.")
@click.option("--host", "address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9000,
    show_default=True,
    help="0 for any that is free.",
)
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
    import anyio  # noqa: PLC0415 - the help of `plugway` has to be quick

    from plugway_external_bridge.host.running import serve_http, serve_stdio  # noqa: PLC0415

    application: Application = ctx.obj
    try:
        if stdio:
            code = anyio.run(serve_stdio, application, config)
        else:
            token = _read_token(token_env)
            code = anyio.run(serve_http, application, config, address, port, token)
    except (PlugwayError, OSError, ExceptionGroup) as error:
        code = application.report(error)
    ctx.exit(code)


def _read_token(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not (token := os.environ.get(variable)):
        raise SetupError(f"--token-env: the environment variable {variable!r} is not set or empty")
    return token
