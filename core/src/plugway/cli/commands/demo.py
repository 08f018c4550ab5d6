"""`plugway demo`: the whole gateway at work."""

from plugway.cli.app import App
from plugway.cli.options import declare
from plugway.demo import run_demo


@declare("demo")
def command(app: App) -> int:
    """See the whole gateway at work on real servers, offline, in half a minute."""
    return run_demo(app.out)
