"""Translate globs to regular expressions."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from plugway_builtin_plugins.patterns import Pattern, PatternError

_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def compile_globs(globs: Iterable[str]) -> Pattern:
    """Return one pattern whose full matches are what any of the globs matches, without case."""
    return Pattern("(?s)" + "|".join(map(_translate, globs)), ignore_case=True, captures=False)


def _translate(glob: str) -> str:
    """Return a glob as RE2.

    `*` and `**` stand for any characters, `?` for one, `[ab]` and `[!ab]` for one of a set or not.
    `**/` also stands for nothing, and a final `/**` also for what it is below of, so that
    `**/.ssh/**` covers `.ssh`.
    """
    if not glob:
        raise PatternError("an empty glob matches nothing: remove it")
    tail = ""
    if glob.endswith("/**") and len(glob) > len("/**"):
        glob, tail = glob.removesuffix("/**"), "(?:/.*)?"
    pieces: list[str] = []
    position = 0
    while position < len(glob):
        piece, position = _next(glob, position)
        pieces.append(piece)
    return "".join(pieces) + tail


def _next(glob: str, position: int) -> tuple[str, int]:
    if glob.startswith("**/", position) and (not position or glob[position - 1] == "/"):
        return "(?:.*/)?", position + 3
    character = glob[position]
    if character == "*":
        return ".*", position + 1
    if character == "?":
        return ".", position + 1
    if character == "[":
        end = glob.find("]", position + 2)
        if end > 0:
            return _one_of(glob[position + 1 : end]), end + 1
    return escape(character), position + 1


def _one_of(characters: str) -> str:
    negated = characters.startswith("!")
    inside = characters[negated:]
    safe = "".join(f"\\{each}" if each in "\\[]^&~" else each for each in inside)
    return f"[{'^' if negated else ''}{safe}]"


def escape(text: str) -> str:
    """Return a regular expression that matches exactly `text`."""
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in text)


def _checked(glob: str) -> str:
    compile_globs([glob])
    return glob


Glob = Annotated[str, AfterValidator(_checked)]
"""A configuration value that is a glob."""
