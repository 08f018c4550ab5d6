"""`plugway demo`: the whole gateway on real servers, offline, in half a minute."""

import anyio
from rich.console import Console

from plugway.demo.tour import tour


def run_demo(console: Console) -> int:
    """Run the demo on a console; returns the exit code."""
    anyio.run(tour, console)
    return 0
