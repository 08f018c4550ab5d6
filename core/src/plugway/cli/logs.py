"""Logs, on standard error, where they can't get between a program and its output."""

import logging
import sys


def write_logs(level: int, *, verbose: bool) -> None:
    """Write what the gateway logs at `level` and above, and others' warnings with it."""
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    others = logging.INFO if verbose else max(level, logging.WARNING)
    logging.basicConfig(
        stream=sys.stderr, level=others, format=form, datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("plugway").setLevel(logging.DEBUG if verbose else level)
    # it logs every change in a watched folder, also those that a log in that folder makes itself
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
