"""The command line's top: global options, and which commands there are."""

from pathlib import Path

import click

from plugway.cli.app import App
from plugway.cli.lazy import Builtin, LazyGroup
from plugway.cli.options import CONFIG_HELP, VERBOSE_HELP, file_path

COMMANDS = {
    "Start": {
        "init": Builtin("init", "Write a configuration; import the servers you already use."),
        "serve": Builtin("serve", "Run the gateway, over HTTP or standard input and output."),
        "demo": Builtin("demo", "See the whole gateway at work on real servers, offline."),
    },
    "Look": {
        "check": Builtin("check", "Start every server and plugin once and say what is wrong."),
        "plugins": Builtin("plugins", "Show the chains as they run, and what is missing in them."),
        "tools": Builtin("tools", "List the tools that clients see; also prompts and resources."),
        "audit": Builtin("audit", "Show what the audit file has about past requests."),
        "hooks": Builtin("hooks", "List what a plugin can hook into."),
        "schema": Builtin("schema", "Print the JSON Schema of the configuration."),
    },
    "Try": {
        "call": Builtin("call", "Call a tool through the whole chain."),
        "prompt": Builtin("prompt", "Get a prompt through the whole chain."),
        "read": Builtin("read", "Read a resource through the whole chain."),
    },
}

EXIT_CODES = {
    "0": "done; also when SIGTERM ends `serve` in good order",
    "1": "it ran, and something is wrong",
    "2": "the configuration or the command line is wrong",
    "3": "a plugin denied the call",
    "130": "interrupted (Ctrl-C); 143 for SIGTERM",
}


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - start-up must be quick

        click.echo(f"plugway {version('plugway')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    sections=COMMANDS,
    exit_codes=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("-c", "--config", type=file_path, envvar="PLUGWAY_CONFIG", help=CONFIG_HELP)
@click.option("-v", "--verbose", is_flag=True, help=VERBOSE_HELP)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_obj
def root(app: App, config: Path | None, *, verbose: bool) -> None:
    """Run an MCP gateway whose every decision is a plugin."""
    app.config_file = config
    app.verbose = verbose
