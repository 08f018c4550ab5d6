"""Look at one payload of `pii_filter`: collect what is in it, or mask it."""

from collections import Counter
from typing import Any

from plugway_builtin_plugins.parts import Part, entries, show
from plugway_builtin_plugins.pii_filter.masking import Masker
from plugway_builtin_plugins.pii_filter.rulings import NO_RULING, Finding, Ruling
from plugway_builtin_plugins.shapes import Kind
from plugway_builtin_plugins.texts import number_text
from plugway_builtin_plugins.walk import Leaf, rewrite, rewrite_payload
from plugway_hookspecs import Payload


def collect(payload: Payload, masker: Masker, uris: str) -> list[Finding]:
    """Return what would be masked in a payload, each finding once."""
    found: dict[Finding, None] = {}

    def visit(leaf: Leaf) -> Any:
        text = _text(leaf, uris)
        if text is not None:
            for hit in masker.scanner.find(text, leaf.key):
                found[Finding(hit.detector.name, text[hit.start : hit.end])] = None
        return leaf.value

    rewrite_payload(payload, visit)
    for part in entries(payload):
        rewrite(part.value, part.shape, visit, part.path)
    return list(found)


class Review:
    """One look at one payload: masks its leaves and remembers what was found."""

    def __init__(self, masker: Masker, uris: str, ruling: Ruling = NO_RULING) -> None:
        self._masker = masker
        self._uris = uris
        self._ruling = ruling
        self.counts: Counter[str] = Counter()
        self.blocked: Counter[str] = Counter()
        self.paths: list[str] = []
        self.hidden = 0

    def entry(self, part: Part) -> Any:
        """Mask an entry of a list; return None for one that may not be seen."""
        inner = Review(self._masker, self._uris, self._ruling)
        masked = rewrite(part.value, part.shape, inner.visit, part.path)
        self.counts += inner.counts
        self.hidden += bool(inner.blocked)
        return None if inner.blocked else masked

    def visit(self, leaf: Leaf) -> Any:
        """Return what takes a leaf's place."""
        value = leaf.value
        text = _text(leaf, self._uris)
        if text is None:
            return value
        masked, counts = self._masker.mask(text, leaf.key, self._ruling)
        if not counts:
            return value
        self._note(leaf, counts)
        if isinstance(value, str):
            return value if masked == value else masked
        return masked or None

    def _note(self, leaf: Leaf, counts: Counter[str]) -> None:
        self.counts += counts
        rigid = leaf.kind is Kind.REFERENCE and self._uris == "block"
        if rigid or self._masker.blocks(counts):
            self.blocked += counts
            self.paths.append(show(leaf.path))


def _text(leaf: Leaf, uris: str) -> str | None:
    """Return what there is to read in a leaf, or None."""
    value = leaf.value
    if isinstance(value, bool) or (leaf.kind is Kind.REFERENCE and uris == "ignore"):
        return None
    return value if isinstance(value, str) else number_text(value)
