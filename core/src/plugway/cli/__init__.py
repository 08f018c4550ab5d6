"""The command `plugway`."""

from plugway.cli.entry import main

__all__ = ["main"]
