"""The kind `pii_filter`: what the hooks do with what is found."""

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from plugway_builtin_plugins.patterns import compile_pattern
from plugway_builtin_plugins.payload_plugin import PayloadPlugin
from plugway_builtin_plugins.pii_filter.detectors import DETECTORS, Detector
from plugway_builtin_plugins.pii_filter.masking import Masker
from plugway_builtin_plugins.pii_filter.scanner import Scanner
from plugway_builtin_plugins.pii_filter.settings import Settings
from plugway_builtin_plugins.selections import REQUESTS, RESULTS, hooks_of
from plugway_builtin_plugins.shapes import ENTRIES, PAYLOADS, Kind, Shape
from plugway_builtin_plugins.walk import (
    Leaf,
    Path,
    number_text,
    read_texts,
    rewrite,
    rewrite_payload,
    root,
    show,
)
from plugway_hookspecs import Context, Deny, Payload

P = TypeVar("P", bound=Payload)

_SHOWN_PATHS = 20


class PiiFilter(PayloadPlugin):
    """Masks or blocks personal data and credentials in requests, results and lists.

    It reads every text of a message at any depth, keys and numbers included: e-mail addresses,
    telephone, social security, card and account numbers, IP addresses, passport numbers, dates of
    birth, API keys, and what the operator adds.
    """

    class Config(Settings):
        """What goes under `config:` of a `pii_filter`."""

    def __init__(self, config: Config, *, name: str) -> None:
        super().__init__(config, name=name, hooks=hooks_of(config.hooks))
        strategies = config.strategies()
        self._uris = config.uris
        self._masker = Masker(
            Scanner(
                [each for each in DETECTORS if each.name in strategies],
                [Detector(each.name, each.pattern) for each in config.custom],
                [compile_pattern(source) for source in config.allow],
            ),
            strategies,
            config.key.get_secret_value().encode() if config.key else None,
        )

    def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Mask what may pass when it is masked, deny what may not."""
        if not self._masker.scanner.may_hit(read_texts(payload)):
            return None
        review = _Review(self._masker, "mask" if self._lenient(hook) else self._uris)
        masked = self._mask(payload, review)
        if not review.counts:
            return None
        context.annotate("pii", dict(review.counts))
        if review.hidden:
            context.annotate("hidden", review.hidden)
        if review.blocked:
            return _deny(hook, review)
        return None if masked is payload else masked

    def _lenient(self, hook: str) -> bool:
        return hook in RESULTS and self._uris == "block"

    def _mask(self, payload: P, review: "_Review") -> P:
        attribute = ENTRIES.get(type(payload), "")
        rest = rewrite_payload(payload, review.visit, skip=attribute)
        if not attribute:
            return rest
        entries = getattr(payload, attribute)
        shape = PAYLOADS[type(payload)][attribute]
        kept = review.entries(entries, shape, root(payload, attribute))
        return rest if kept is entries else rest.replace(**{attribute: kept})


class _Review:
    """One look at one payload: masks its leaves and remembers what was found."""

    def __init__(self, masker: Masker, uris: str) -> None:
        self._masker = masker
        self._uris = uris
        self.counts: Counter[str] = Counter()
        self.blocked: Counter[str] = Counter()
        self.paths: list[str] = []
        self.hidden = 0

    def entries(self, entries: Sequence[Any], shape: Shape, path: Path) -> Sequence[Any]:
        """Mask the entries of a list one by one, and leave out those that may not be seen."""
        kept: list[Any] = []
        for index, entry in enumerate(entries):
            inner = _Review(self._masker, self._uris)
            masked = rewrite(entry, shape, inner.visit, (*path, index))
            self.counts += inner.counts
            if inner.blocked:
                self.hidden += 1
            else:
                kept.append(masked)
        same = len(kept) == len(entries) and all(map(operator.is_, kept, entries))
        return entries if same else kept

    def visit(self, leaf: Leaf) -> Any:
        """Return what takes a leaf's place."""
        value = leaf.value
        if isinstance(value, bool) or (leaf.kind is Kind.REFERENCE and self._uris == "ignore"):
            return value
        text = value if isinstance(value, str) else number_text(value)
        masked, counts = self._masker.mask(text, leaf.key)
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


def _deny(hook: str, review: _Review) -> Deny:
    channel = "request" if hook in REQUESTS else "result" if hook in RESULTS else "list"
    return Deny(
        f"the {channel} contains personal data that may not pass: {', '.join(review.blocked)}",
        code="pii_detected",
        details={"types": dict(review.blocked), "paths": review.paths[:_SHOWN_PATHS]},
    )
