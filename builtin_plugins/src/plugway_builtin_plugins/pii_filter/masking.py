"""Replace what was found, until nothing is found any more."""

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping

from plugway_builtin_plugins.pii_filter.detectors import Detector
from plugway_builtin_plugins.pii_filter.folding import fold
from plugway_builtin_plugins.pii_filter.rulings import NO_RULING, Ruling
from plugway_builtin_plugins.pii_filter.scanner import Hit, Scanner
from plugway_builtin_plugins.pii_filter.settings import Strategy

_ROUNDS = 5
_HASH_DIGITS = 12
_NOTHING: Counter[str] = Counter()
_SEPARATED = frozenset({"credit_card", "iban", "phone", "ssn"})


class Masker:
    """Masks texts by the strategies of their types."""

    def __init__(
        self,
        scanner: Scanner,
        strategies: Mapping[str, Strategy],
        default: Strategy,
        key: bytes | None = None,
    ) -> None:
        """Mask by `strategies`; types that only other plugins know by the `default`.

        `key` is what `hash` is keyed with; without one, a random one.
        """
        self.scanner = scanner
        self._strategies = strategies
        self._default: Strategy = default
        self._key = key or secrets.token_bytes(32)

    def mask(
        self, text: str, key: str = "", ruling: Ruling = NO_RULING
    ) -> tuple[str, Counter[str]]:
        """Return `text` masked, and how many findings of which types were in it.

        Masking can make new findings of what was apart before; it goes on until there are none.
        """
        counts, label = _NOTHING, ""
        for _ in range(_ROUNDS):
            hits = self._find(text, key, ruling)
            if not hits:
                return text, counts
            counts = counts + Counter(hit.detector.name for hit in hits)
            text, label = self._replace(text, hits), hits[-1].detector.label
        return label, counts

    def blocks(self, counts: Counter[str]) -> bool:
        """Tell whether a type among those found must not pass at all."""
        return any(self._strategy(name) == "block" for name in counts)

    def replacement(self, found: str, hit: Hit) -> str:
        """Return what takes the place of a finding."""
        strategy, detector = self._strategy(hit.detector.name), hit.detector
        if strategy == "remove":
            return ""
        if strategy == "hash":
            return f"{detector.label[:-1]}:{self._digest(detector.name, found)}]"
        if strategy == "partial" and not hit.clipped:
            return detector.hint(fold(found)) if detector.hint else _labelled_hint(found, detector)
        return detector.label

    def _find(self, text: str, key: str, ruling: Ruling) -> list[Hit]:
        hits = self.scanner.find(text, key)
        if ruling is NO_RULING:
            return hits
        kept = [hit for hit in hits if ruling.keeps(hit, text)]
        more = list(ruling.more(text))
        return self.scanner.separate([*kept, *more], text) if more else kept

    def _strategy(self, name: str) -> Strategy:
        return self._strategies.get(name, self._default)

    def _replace(self, text: str, hits: list[Hit]) -> str:
        pieces: list[str] = []
        last = 0
        for hit in hits:
            pieces += text[last : hit.start], self.replacement(text[hit.start : hit.end], hit)
            last = hit.end
        return "".join([*pieces, text[last:]])

    def _digest(self, name: str, found: str) -> str:
        """Return the same digits for the same datum, however it is written."""
        canonical = fold(found).casefold()
        if name in _SEPARATED:
            canonical = "".join(filter(str.isalnum, canonical))
        message = f"{name}\0{canonical}".encode(errors="replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:_HASH_DIGITS]


def _labelled_hint(found: str, detector: Detector) -> str:
    """Return a hint that is recognised as a mask, whatever the pattern of a custom type matches."""
    ending = found[-2:]
    if len(found) < 6 or "[" in ending or "]" in ending:
        return detector.label
    return f"{detector.label[:-1]}:*{ending}]"
