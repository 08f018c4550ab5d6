"""`plugway read`: a resource through the whole chain."""

import logging

import click

from plugway.cli.app import App
from plugway.cli.calling import call
from plugway.cli.finish import explain_option, finish
from plugway.cli.options import declare


@declare("read")
@click.argument("uri")
@explain_option
def command(app: App, uri: str, *, explain: bool) -> int:
    """Read a resource through the whole chain."""
    app.log(logging.CRITICAL)
    return finish(app, call(app, "resources/read", uri, lambda _: {}), explain=explain)
