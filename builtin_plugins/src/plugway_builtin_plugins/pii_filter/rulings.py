"""What other plugins ruled about the findings in one message."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from plugway_builtin_plugins.patterns import compile_pattern
from plugway_builtin_plugins.pii_filter.detectors import Detector
from plugway_builtin_plugins.pii_filter.scanner import Hit

_TYPE = compile_pattern(r"^[a-z][a-z0-9_]{0,39}$")


class Finding(NamedTuple):
    """A text that is personal data of a type."""

    type: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Ruling:
    """What to leave alone, and what to look for besides."""

    dropped: frozenset[Finding] = frozenset()
    added: frozenset[Finding] = frozenset()

    def keeps(self, hit: Hit, text: str) -> bool:
        """Whether a hit still counts."""
        return Finding(hit.detector.name, text[hit.start : hit.end]) not in self.dropped

    def more(self, text: str) -> Iterator[Hit]:
        """Yield where the texts that were added are in `text`."""
        for added in sorted(self.added):
            start = text.find(added.text)
            while start >= 0:
                end = start + len(added.text)
                yield Hit(start, end, Detector(added.type, ""))
                start = text.find(added.text, end)


Findings = Iterable[Mapping[str, Any]]
NO_RULING = Ruling()


def rule(found: Findings, left: Findings, off: frozenset[str] = frozenset()) -> Ruling:
    """Compare what was found with what the plugins made of it; types that are `off` stay off.

    Raises `ValueError`, without any text in it, for what is no finding.
    """
    before = frozenset(map(_read, found))
    after = frozenset(finding for finding in map(_read, left) if finding.type not in off)
    return Ruling(before - after, after - before)


def _read(given: Mapping[str, Any]) -> Finding:
    kind, text = given.get("type"), given.get("text")
    if set(given) != {"type", "text"} or not isinstance(kind, str) or not isinstance(text, str):
        raise ValueError("a finding has a 'type' and a 'text', and nothing else")
    if not _TYPE.search(kind):
        raise ValueError("the type of a finding has lower-case letters, digits and '_'")
    if not text.strip():
        raise ValueError("the text of a finding is empty")
    return Finding(kind, text)
