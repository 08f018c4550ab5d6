"""Where commands write, and how rows of text line up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

ENDLESS = 100_000
"""The width where nobody looks: lines that a program reads are never folded."""

LAST_COLUMN = 20
"""What the last column gets at least, on a narrow terminal."""


class CommandConsole(Console):
    """A console that leaves it to the command what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """Raise what rich has caught."""
        raise BrokenPipeError


def console(file: IO[str]) -> Console:
    """Return a console: with colours on a terminal, plain and unfolded anywhere else."""
    found = CommandConsole(file=file, highlight=False, markup=False)
    if found.is_terminal:
        return found
    return CommandConsole(file=file, highlight=False, markup=False, width=ENDLESS)


Cell = str | Text


def printable(text: str) -> str:
    """Return somebody else's text without what could steer the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _cell(cell: Cell) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.plain = printable(text.plain)
    return text


@dataclass(slots=True)
class Row:
    """One line of columns, and the lines that stand under it."""

    cells: Sequence[Cell]
    details: list[Cell] = field(default_factory=list[Cell])


def print_rows(
    out: Console,
    rows: Sequence[Row],
    *,
    header: Sequence[str] = (),
    least: Sequence[int] = (),
    indent: int = 2,
) -> None:
    """Print rows whose columns line up; the last column takes the space that is left.

    `least` are the columns' smallest widths, for rows that are printed one by one.
    """
    head = [[Text(name, "dim") for name in header]] if header else []
    table = [*head, *([_cell(cell) for cell in row.cells] for row in rows)]
    details = [*([[]] if header else []), *(row.details for row in rows)]
    widths = _widths(out, table, least, indent)
    for cells, below in zip(table, details, strict=True):
        _print_lines(out, cells, widths, indent)
        for detail in below:
            _print_lines(out, [_cell(detail)], [], indent + 2)


def _print_lines(out: Console, cells: Sequence[Text], widths: Sequence[int], indent: int) -> None:
    """Print one row, folded where a cell is wider than its column."""
    last = max(out.width - indent - sum(widths) - 2 * len(widths), LAST_COLUMN)
    columns = [*widths, last]
    folded = [
        cell.wrap(out, width, overflow="fold") or [Text()]
        for cell, width in zip(cells, columns, strict=True)
    ]
    for number in range(max(map(len, folded))):
        line = Text(" " * indent)
        for lines, width in zip(folded, columns, strict=True):
            part = lines[number].copy() if number < len(lines) else Text()
            part.rstrip()
            line.append_text(part)
            if lines is not folded[-1]:
                line.append(" " * (width - part.cell_len + 2))
        line.rstrip()
        out.print(line, no_wrap=True, overflow="ignore", crop=False)


def _widths(
    out: Console, table: Sequence[Sequence[Text]], least: Sequence[int], indent: int
) -> list[int]:
    """Return the width of every column but the last; wide ones give way on a narrow terminal."""
    columns = len(table[0]) - 1 if table else 0
    widths = [max(row[index].cell_len for row in table) for index in range(columns)]
    for index, width in enumerate(least):
        widths[index] = max(widths[index], width)
    room = out.width - indent - 2 * columns - LAST_COLUMN
    while widths and sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    return widths


def plural(count: int, noun: str) -> str:
    """Return `1 tool` or `2 tools`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def milliseconds(nanoseconds: int) -> str:
    """Return a duration as people read it: `3 µs`, `1.2 ms`, `340 ms`."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1000:.0f} µs"
    value = nanoseconds / 1_000_000
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
