"""`plugway prompt`: a prompt through the whole chain."""

import logging
from collections.abc import Mapping
from typing import Any

import click

from plugway.cli.app import App
from plugway.cli.arguments import read_arguments
from plugway.cli.calling import call
from plugway.cli.finish import explain_option, finish
from plugway.cli.options import declare

_STRINGS = {"type": "string"}
"""What the protocol says about every argument of a prompt."""


@declare("prompt")
@click.argument("name")
@click.option("--args", "text", metavar="JSON", help="The arguments: an object, @FILE, or @-.")
@click.option("-a", "pairs", multiple=True, metavar="KEY=VALUE", help="One argument; repeatable.")
@explain_option
def command(app: App, name: str, text: str | None, pairs: tuple[str, ...], *, explain: bool) -> int:
    """Get a prompt through the whole chain."""
    app.log(logging.CRITICAL)

    def params(_: Mapping[str, Any]) -> dict[str, Any]:
        keys = [pair.partition("=")[0] for pair in pairs]
        schema = {"properties": dict.fromkeys(keys, _STRINGS)}
        return {"arguments": read_arguments(text, pairs, schema)}

    return finish(app, call(app, "prompts/get", name, params), explain=explain)
