"""How help looks: headings and names stand out on a terminal."""

from collections.abc import Iterable

import click


class HelpFormatter(click.HelpFormatter):
    """click's formatter, with colours; click drops them where nobody would see them."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line."""
        super().write_usage(prog, args, click.style(prefix or "Usage:", bold=True) + " ")

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        super().write_heading(click.style(heading, bold=True))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write options or commands with what they are for."""
        coloured = [(click.style(first, fg="cyan"), second) for first, second in rows]
        super().write_dl(coloured, col_max, col_spacing)


class HelpContext(click.Context):
    """A context whose help uses our formatter."""

    formatter_class = HelpFormatter
