"""Find personal data in texts: one pass over clean ones, and hits that never overlap."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import NamedTuple

from plugway_builtin_plugins.patterns import Match, Pattern
from plugway_builtin_plugins.pii_filter.detectors import Detector
from plugway_builtin_plugins.pii_filter.folding import fold
from plugway_builtin_plugins.texts import Texts

_SHORTEST = 6
"""Characters in `a@b.io`; nothing that the built-in detectors find inside a text is shorter."""
_TOLD_BY = 64
"""Characters, the last ones of a key, that tell what is under it."""
_REMEMBERED_KEYS = 4096
_HUMP = Pattern(r"([a-z0-9])([A-Z])")
_LABEL = Pattern(r"\[[A-Z][A-Z0-9_]*(?::(?:[0-9a-f]{12}|\*[^\[\]]{2}))?\]")


class Hit(NamedTuple):
    """Personal data at `text[start:end]`."""

    start: int
    end: int
    detector: Detector
    clipped: bool = False
    """Whether a better hit took a part of it."""


class _Compiled(NamedTuple):
    detector: Detector
    pattern: Pattern
    key: Pattern | None
    value: Pattern | None
    custom: bool


class Scanner:
    """Finds what its detectors look for, except what the allowed patterns match completely."""

    def __init__(
        self,
        builtin: Sequence[Detector],
        custom: Sequence[Detector] = (),
        allowed: Sequence[Pattern] = (),
    ) -> None:
        """Compile everything; earlier detectors win ties, custom ones come first."""
        self._custom = [_compile(detector, custom=True) for detector in custom]
        self._all = [*self._custom, *(_compile(each, custom=False) for each in builtin)]
        self._order = {each.detector.name: rank for rank, each in enumerate(self._all)}
        self._labels = frozenset(each.detector.label for each in self._all)
        self._allowed = tuple(allowed)
        # an alternation, no RE2 set: a set that runs out of memory says that nothing matched
        sources = "|".join(f"(?:{detector.pattern})" for detector in builtin)
        self._any = Pattern(sources, captures=False) if sources else None
        self._by_key = lru_cache(_REMEMBERED_KEYS)(self._find_key)

    def may_hit(self, texts: Texts) -> bool:
        """Tell whether anything in a payload needs a closer look; False is final."""
        if self._any is not None and self._any.search(fold("\n".join(texts.values))):
            return True
        if any(self._expected(key) for key in texts.keys):
            return True
        return any(custom.pattern.search(text) for custom in self._custom for text in texts.values)

    def find(self, text: str, key: str = "") -> list[Hit]:
        """Return the hits in a text, from left to right; `key` is where the text was found."""
        folded = fold(text)
        hits = [*self._whole(folded, key), *self._inside(text, folded)]
        if self._allowed:
            hits = [hit for hit in hits if not self._is_allowed(text[hit.start : hit.end])]
        if hits and "[" in text:
            labels = self._labels_in(text)
            hits = [hit for hit in hits if not _contained(hit, labels)]
        if len(hits) > 1:
            hits = self.separate(hits, folded)
        return hits

    def _inside(self, text: str, folded: str) -> Iterator[Hit]:
        builtin = len(text) >= _SHORTEST and self._any is not None and self._any.search(folded)
        for each in self._all if builtin else self._custom:
            # what operators write they write for the text as it is
            read = text if each.custom else folded
            for match in each.pattern.finditer(read):
                start, end = _candidate(match, each.pattern.groups)
                for found in each.detector.confirm(read, start, end) if end > start else ():
                    yield Hit(*found, each.detector)

    def _whole(self, folded: str, key: str) -> Iterator[Hit]:
        expected = self._expected(key) if key else None
        if expected is None or expected.value is None:
            return
        stripped = folded.strip()
        if expected.value.fullmatch(stripped):
            start = folded.index(stripped)
            for found in expected.detector.confirm(folded, start, start + len(stripped)):
                yield Hit(*found, expected.detector)

    def _expected(self, key: str) -> _Compiled | None:
        return self._by_key(key[-_TOLD_BY:])

    def _find_key(self, key: str) -> _Compiled | None:
        name = snake_case(key)
        for each in self._all:
            if each.key is not None and each.key.fullmatch(name):
                return each
        return None

    def _is_allowed(self, found: str) -> bool:
        return any(pattern.fullmatch(found) for pattern in self._allowed)

    def _labels_in(self, text: str) -> list[tuple[int, int]]:
        """Return where a text was masked before, so that masking it again changes nothing."""
        spans = ((match.start(), match.end()) for match in _LABEL.finditer(text))
        return [
            (start, end)
            for start, end in spans
            if text[start : end - 1].partition(":")[0] + "]" in self._labels
        ]

    def _rank(self, name: str) -> int:
        return self._order.get(name, -1)  # who adds a finding of a type of its own knows best

    def separate(self, hits: Iterable[Hit], text: str) -> list[Hit]:
        """Let the longest hits win, then the most specific; of the others keep what sticks out."""
        ranked = sorted(
            hits,
            key=lambda hit: (hit.start - hit.end, self._rank(hit.detector.name), hit.start),
        )
        taken: list[Hit] = []
        for hit in ranked:
            for rest in list(_uncovered(hit, taken)):
                if not rest.clipped or any(map(str.isalnum, text[rest.start : rest.end])):
                    taken.insert(bisect_left(taken, rest.start, key=attrgetter("start")), rest)
        return taken


def _compile(detector: Detector, *, custom: bool) -> _Compiled:
    return _Compiled(
        detector,
        Pattern(detector.pattern),
        Pattern(detector.key) if detector.key else None,
        Pattern(detector.value) if detector.value else None,
        custom,
    )


def _candidate(match: Match, groups: int) -> tuple[int, int]:
    for group in range(1, groups + 1):
        if match.start(group) >= 0:
            return match.start(group), match.end(group)
    return match.start(), match.end()


def _contained(hit: Hit, spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a hit lies within one of the spans, which are in order and apart."""
    index = bisect_right(spans, hit.start, key=itemgetter(0))
    return index > 0 and hit.end <= spans[index - 1][1]


def _uncovered(hit: Hit, taken: Sequence[Hit]) -> Iterator[Hit]:
    """Yield the parts of a hit that no hit in `taken` (in order, apart) covers."""
    start, index = hit.start, bisect_left(taken, hit.start, key=attrgetter("start"))
    if index and taken[index - 1].end > start:
        start = taken[index - 1].end
    while start < hit.end:
        end = min(taken[index].start, hit.end) if index < len(taken) else hit.end
        if end > start:
            clipped = (start, end) != (hit.start, hit.end)
            yield Hit(start, end, hit.detector, hit.clipped or clipped)
        if index == len(taken):
            return
        start = max(start, taken[index].end)
        index += 1


def snake_case(key: str) -> str:
    """Return a key, such as `dateOfBirth`, as `date_of_birth`."""
    spaced: list[str] = []
    last = 0
    for hump in _HUMP.finditer(key):
        spaced.append(key[last : hump.start() + 1])
        last = hump.start() + 1
    words = "_".join([*spaced, key[last:]])
    return "".join(character if character.isalnum() else "_" for character in words).lower()
