"""Apply rules to values and to whole payloads."""

from collections.abc import Sequence
from typing import Any

from plugway_builtin_plugins.deny_list.settings import Rule
from plugway_builtin_plugins.deny_list.words import SEPARATOR, compile_words, fold, plain
from plugway_builtin_plugins.globs import compile_globs
from plugway_builtin_plugins.parts import Part
from plugway_builtin_plugins.patterns import compile_pattern
from plugway_builtin_plugins.texts import number_text, read_texts
from plugway_builtin_plugins.walk import Leaf, first_leaf
from plugway_hookspecs import spellings


class CompiledRule:
    """A rule that is ready to be applied."""

    def __init__(self, rule: Rule, place: str, reason: str = "") -> None:
        """`place` is what the rule is called if it has no name, `reason` what it falls back on."""
        self.label = rule.name or place
        self.reason = rule.reason or reason or f"denied by rule {self.label!r}"
        self._words = compile_words(rule.words) if rule.words else None
        self._globs = compile_globs(rule.globs) if rule.globs else None
        self._patterns = [compile_pattern(source) for source in rule.patterns]

    def find(self, where: Sequence[Part]) -> Leaf | None:
        """Return the first leaf in these parts that matches."""
        texts = set(read_texts(where).values)
        worded = self._words is not None and self._words.search(fold(SEPARATOR.join(texts)))
        if worded or any(map(self._fits, texts)):
            return first_leaf(where, self.matches)
        return None

    def matches(self, leaf: Leaf) -> bool:
        """Tell whether a scalar or a key matches; globs are for values only."""
        text = _text(leaf.value)
        if self._words is not None and self._words.search(fold(text)):
            return True
        return self._fits(text, is_key=leaf.is_key)

    def _fits(self, text: str, *, is_key: bool = False) -> bool:
        globs = None if is_key else self._globs
        if globs is not None and any(map(globs.fullmatch, spellings(text))):
            return True
        return any(pattern.search(text) for pattern in self._patterns) or (
            not text.isascii() and any(pattern.search(plain(text)) for pattern in self._patterns)
        )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(value)
