"""`plugway demo`: the whole gateway at work."""

from plugway.cli.app import App
from plugway.cli.options import declare
from plugway.cli.output import CommandConsole
from plugway.demo.tour import tour


@declare("demo")
def command(app: App) -> None:
    """See the whole gateway at work on real servers, offline, in half a minute."""
    console = CommandConsole(file=app.err.file if app.as_json else app.stdout)
    app.run(lambda _: tour(console))
    if app.as_json:
        app.document({"ok": True})
