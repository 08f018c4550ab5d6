"""`plugway prompt`: a prompt through the whole chain."""

import logging

import click

from plugway.cli.app import App
from plugway.cli.arguments import add_pairs, read_object
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
    keys = [pair.partition("=")[0] for pair in pairs]
    schema = {"properties": dict.fromkeys(keys, _STRINGS)}
    arguments = add_pairs(read_object(text), pairs, schema)
    called = call(app, "prompts/get", name, lambda _: {"arguments": arguments})
    return finish(app, called, explain=explain)
