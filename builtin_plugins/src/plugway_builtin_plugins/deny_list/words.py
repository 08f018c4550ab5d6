"""Find words as people see them, whatever they are made of."""

import unicodedata
from collections.abc import Iterable

from plugway_builtin_plugins.globs import escape
from plugway_builtin_plugins.patterns import Pattern, PatternError

_INSIDE = r"\p{L}\p{M}\p{N}_"
_UNSPACED = Pattern(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)
_WORD = Pattern(f"[{_INSIDE}]")
_MEMORY = 64 << 20
"""Bytes; enough for some ten thousand words."""
_INVISIBLE = frozenset({"\N{COMBINING GRAPHEME JOINER}", "\N{HANGUL FILLER}"})
SEPARATOR = "\0"
"""What to join texts with so that no phrase is found across two of them."""


def plain(text: str) -> str:
    """Return `text` with compatible characters unified and invisible ones left out (NFKC)."""
    if text.isascii():
        return text
    unified = unicodedata.normalize("NFKC", text)
    return "".join(filter(_is_visible, unified))


def fold(text: str) -> str:
    """Return `text` as `plain` does, and without differences of case."""
    return plain(plain(text).casefold())


def _is_visible(character: str) -> bool:
    if character.isascii():
        return True
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    hidden = selector or character in _INVISIBLE or unicodedata.category(character) == "Cf"
    return not hidden


def split_phrase(phrase: str) -> list[str]:
    """Return the folded words of a phrase; raises `PatternError` if there is none."""
    words = fold(phrase).split()
    if not words:
        raise PatternError(f"the word {phrase!r} is empty: remove it")
    return words


def compile_words(words: Iterable[str]) -> Pattern:
    """Return a pattern that finds any of the words or phrases in a folded text.

    No letters may touch a word, except in scripts that are written without blanks.
    """
    # one border per group, not per word: a class of all letters makes thousands of instructions
    groups: dict[tuple[str, str], list[str]] = {}
    for word in words:
        parts = split_phrase(word)
        borders = _border(parts[0][0], "^"), _border(parts[-1][-1], "$")
        groups.setdefault(borders, []).append(r"\s+".join(map(escape, parts)))
    choices = (f"{before}(?:{'|'.join(group)}){after}" for (before, after), group in groups.items())
    return Pattern("|".join(choices), captures=False, memory=_MEMORY)


def _border(character: str, edge: str) -> str:
    """Return what has to be next to a word on the side where it ends in `character`."""
    borderless = not _WORD.search(character) or _UNSPACED.search(character)
    return "" if borderless else f"(?:{edge}|[^{_INSIDE}])"
