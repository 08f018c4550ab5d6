"""`plugway serve`: run the gateway."""

import gc
import json
import logging
import signal
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
from pydantic import ValidationError
from rich.text import Text

from plugway.cli.app import App, CommandLineError
from plugway.cli.endpoints import check_endpoint
from plugway.cli.failures import INTERRUPTED
from plugway.cli.inspection import count, server_row, start
from plugway.cli.listening import listen
from plugway.cli.options import declare, file_path
from plugway.cli.output import plural, print_rows
from plugway.cli.reloading import Reloads, hangups
from plugway.cli.running import InterruptedRunError, Interrupts
from plugway.cli.standard_streams import endable_stdin, stdout_goes_to
from plugway.cli.watching import state
from plugway.config import Config, GatewayConfig, load
from plugway.config.exposure import stands_for_all
from plugway.downstream.http import HttpServer, http_app
from plugway.downstream.routes import report_unserved
from plugway.downstream.stdio import serve_stdio
from plugway.federation.catalog import Member
from plugway.gateway import VERSION, Gateway, open_gateway
from plugway.upstream import Upstream


@declare("serve")
@click.argument("file", required=False, type=file_path, metavar="[CONFIG]")
@click.option("--stdio", is_flag=True, help="Serve one client on standard input and output.")
@click.option("--endpoint", metavar="NAME", help="With --stdio: serve this endpoint, not all.")
@click.option("--host", help="The address to listen on; beyond 127.0.0.1 a token is needed.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 for any that is free.")
@click.option("--path", help="The path of the MCP endpoint.")
@click.option("--no-reload", is_flag=True, help="Don't watch the configuration; SIGHUP reloads it.")
def command(
    app: App,
    file: Path | None,
    host: str | None,
    port: int | None,
    path: str | None,
    endpoint: str | None,
    *,
    stdio: bool,
    no_reload: bool,
) -> int:
    """Run the gateway, over HTTP or standard input and output.

    When the configuration changes it is taken over, unless something is wrong with it.
    Prints the endpoint and what to put into your client's configuration. Ctrl-C or SIGTERM ends it:
    requests that are under way get two seconds, then every server that it started is stopped.
    """
    if file is not None:
        app.config_file = file
    app.log(logging.INFO)
    given = {"host": host, "port": port, "path": path}
    overrides = {key: value for key, value in given.items() if value is not None}
    file = app.find_config()
    seen = None if no_reload else state(file)
    config = _with(load(file), overrides)
    if endpoint is not None:
        check_endpoint(config, endpoint)
        if not stdio:
            message = f"over HTTP, the endpoint {endpoint!r} is at {config.gateway.path}/{endpoint}"
            raise CommandLineError(f"--endpoint is for --stdio: {message}")
    reloads = Reloads(file, lambda: _with(load(file), overrides), seen)
    for note in config.notes:
        app.err.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
    run = partial(_over_stdio, endpoint or "") if stdio else _over_http
    try:
        app.run(lambda interrupts: run(app, config, reloads, interrupts))
    except InterruptedRunError as error:
        return 0 if error.number == signal.SIGTERM else INTERRUPTED
    return 0


def _with(config: Config, overrides: dict[str, Any]) -> Config:
    """Return the configuration with what the command line says about the gateway."""
    said = config.gateway.model_dump(exclude_unset=True) | overrides
    try:
        gateway = GatewayConfig.model_validate(said)
    except ValidationError as error:
        raise config.invalid(error, GatewayConfig, "gateway") from None
    return config.model_copy(update={"gateway": gateway})


async def _over_stdio(
    endpoint: str, app: App, config: Config, reloads: Reloads, interrupts: Interrupts
) -> None:
    if sys.stdin.isatty():
        message = "speaking MCP on standard input and output, as clients expect it; Ctrl-D ends it"
        app.err.print(Text(message, "dim"))
    with stdout_goes_to(sys.stderr.fileno()) as client, hangups() as signals:
        async with (
            open_gateway(config, one_client=True) as gateway,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(reloads.follow, gateway, signals, interrupts)
            report_unserved(gateway.registry)
            with stdout_goes_to(client), redirect_stdout(app.stdout), endable_stdin() as end:
                interrupts.stop = end
                await serve_stdio(gateway.edge, endpoint)
            tasks.cancel_scope.cancel()


async def _over_http(app: App, config: Config, reloads: Reloads, interrupts: Interrupts) -> None:
    settings = config.gateway
    if app.out.is_terminal and not app.verbose:  # the greeting says it, too
        logging.getLogger("plugway.upstream.opening").setLevel(logging.ERROR)
    with listen(settings.host, settings.port) as listening, hangups() as signals:
        async with open_gateway(config) as gateway:
            server = HttpServer(
                http_app(gateway.edge, settings, gateway.registry), settings.host, settings.port
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_greet, app, gateway, server)
                tasks.start_soon(_settle, server)
                tasks.start_soon(reloads.follow, gateway, signals, interrupts)
                interrupts.stop = server.stop
                await server.serve([listening])
                tasks.cancel_scope.cancel()


async def _settle(server: HttpServer) -> None:
    """Spare the collector of garbage what is there to stay: a look at all of it takes 50 ms."""
    await server.listening.wait()
    gc.collect()
    gc.freeze()


async def _greet(app: App, gateway: Gateway, server: HttpServer) -> None:
    """Say where the gateway is and how to connect, then what its servers offer."""
    await server.listening.wait()
    settings = gateway.config.gateway
    url = f"http://{_host(settings.host)}:{server.port}{settings.path}"
    entry: dict[str, Any] = {"type": "http", "url": url}
    if settings.token is not None:
        entry["headers"] = {"Authorization": "Bearer <gateway.token>"}
    snippet = {"mcpServers": {settings.name: entry}}
    servers, plugins = len(gateway.config.servers), len(gateway.registry.instances)
    if app.as_json:
        app.document({"url": url, "servers": servers, "plugins": plugins, "client": snippet})
        return
    counts = f"{plural(servers, 'server')}, {plural(plugins, 'plugin')}"
    app.out.print(Text.assemble(f"plugway {VERSION} at ", (url, "bold green"), f"  ({counts})"))
    app.out.print("\nPut this into your client's configuration:\n")
    app.out.print(Text(json.dumps(snippet, indent=2), "cyan"), soft_wrap=True)
    if stands_for_all(settings.host):
        app.out.print("\nOn other machines, with this one's name as the host.")
    app.out.print()
    members = gateway.catalog.members
    longest = max((len(member.name) for member in members), default=0)
    async with anyio.create_task_group() as tasks:
        for member in members:
            upstream = gateway.upstreams[member.name]
            tasks.start_soon(_introduce, app, upstream, member, longest)


def _host(listening: str) -> str:
    """Return the host as a URL has it; this machine itself where it listens on all addresses."""
    host = listening
    if stands_for_all(listening):
        host = "::1" if ":" in listening else "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def _introduce(app: App, upstream: Upstream, member: Member, longest: int) -> None:
    report = await start(upstream, exposed=True)
    if not report.failure:
        await count(member, report)
    print_rows(app.out, [server_row(report)], least=[1, longest, 17, 7])
