"""`plugway call`: a tool call through the whole chain, and `--explain` to see the chain at work."""

import logging
from collections.abc import Mapping
from typing import Any

import click

from plugway.cli.app import App
from plugway.cli.arguments import add_pairs, read_object
from plugway.cli.calling import call
from plugway.cli.finish import explain_option, finish
from plugway.cli.options import declare


@declare("call")
@click.argument("tool")
@click.option("--args", "text", metavar="JSON", help="The arguments: an object, @FILE, or @-.")
@click.option("-a", "pairs", multiple=True, metavar="KEY=VALUE", help="One argument; repeatable.")
@explain_option
def command(app: App, tool: str, text: str | None, pairs: tuple[str, ...], *, explain: bool) -> int:
    """Call a tool through the whole chain.

    Values of -a are JSON where the tool's schema does not say string. --explain shows every plugin,
    what it decided and what it changed: the contents of the call appear on your terminal.
    """
    app.log(logging.CRITICAL)
    given = read_object(text)

    def params(definition: Mapping[str, Any]) -> dict[str, Any]:
        return {"arguments": add_pairs(given, pairs, definition.get("inputSchema") or {})}

    return finish(app, call(app, "tools/call", tool, params), explain=explain)
