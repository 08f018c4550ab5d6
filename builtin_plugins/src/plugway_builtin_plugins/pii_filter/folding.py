"""Make look-alike characters comparable without moving any: one character stays one character."""

import unicodedata

_REMEMBERED = 10_000
_MINUS = "\N{MINUS SIGN}"


class _Folding(dict[int, int]):
    """A table for `str.translate` that works out each character when it is met first."""

    def __missing__(self, code: int) -> int:
        folded = ord(_fold(chr(code)))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


def _fold(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or character == _MINUS:
        return "-"
    if category == "Cs":
        return "?"
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain.isascii() else character


_FOLDING = _Folding()


def fold(text: str) -> str:
    """Return `text` with digits, dashes, spaces and letters of other shapes as their ASCII ones.

    The result is as long as `text`, so that what is found in one is found there in the other.
    """
    return text if text.isascii() else text.translate(_FOLDING)
