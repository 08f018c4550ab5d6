r"""What to put in place of a match: text with `\1`, `\g<name>`, and `\n`, `\t`, `\\`."""

import re

from plugway_builtin_plugins.patterns import Match, Pattern

_ESCAPE = re.compile(r"\\(?:(?P<number>[1-9]\d?)|g<(?P<name>\w+)>|(?P<character>.?))", re.DOTALL)
_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


class Template:
    """A replacement, read once."""

    __slots__ = ("_pieces",)

    def __init__(self, source: str, pattern: Pattern) -> None:
        """Read a replacement for matches of `pattern`; raises `ValueError` for what it can't be."""
        self._pieces: list[str | int] = []
        position = 0
        for escape in _ESCAPE.finditer(source):
            self._pieces += [source[position : escape.start()], _read(escape, source, pattern)]
            position = escape.end()
        self._pieces.append(source[position:])

    def expand(self, match: Match, text: str) -> str:
        """Return what takes the place of a match in `text`; absent groups are empty."""
        return "".join(
            piece if isinstance(piece, str) else text[match.start(piece) : match.end(piece)]
            for piece in self._pieces
        )


def _read(escape: re.Match[str], source: str, pattern: Pattern) -> str | int:
    character = escape["character"]
    if character is not None:
        if character not in _CHARACTERS:
            raise ValueError(f"replacement {source!r}: write \\\\ for a backslash")
        return _CHARACTERS[character]
    group = escape["number"] or escape["name"]
    number = int(group) if group.isdigit() else pattern.names.get(group, -1)
    if not 0 <= number <= pattern.groups:
        raise ValueError(f"replacement {source!r}: the pattern has no group {group!r}")
    return number
