"""The kind `pii_filter`: what the hooks do with what is found."""

from collections import Counter
from typing import Any, TypeVar

from plugway_builtin_plugins.parts import Part, entries, parts, show
from plugway_builtin_plugins.patterns import compile_pattern
from plugway_builtin_plugins.payload_plugin import PayloadPlugin
from plugway_builtin_plugins.pii_filter.detectors import DETECTORS, Detector
from plugway_builtin_plugins.pii_filter.masking import Masker
from plugway_builtin_plugins.pii_filter.scanner import Scanner
from plugway_builtin_plugins.pii_filter.settings import Settings
from plugway_builtin_plugins.selections import REQUESTS, RESULTS, hooks_of
from plugway_builtin_plugins.shapes import Kind
from plugway_builtin_plugins.texts import number_text, read_texts
from plugway_builtin_plugins.walk import Leaf, rewrite, rewrite_entries, rewrite_payload
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
        if not self._masker.scanner.may_hit(read_texts([*parts(payload), *entries(payload)])):
            return None
        review = _Review(self._masker, "mask" if self._lenient(hook) else self._uris)
        masked = rewrite_entries(rewrite_payload(payload, review.visit), review.entry)
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


class _Review:
    """One look at one payload: masks its leaves and remembers what was found."""

    def __init__(self, masker: Masker, uris: str) -> None:
        self._masker = masker
        self._uris = uris
        self.counts: Counter[str] = Counter()
        self.blocked: Counter[str] = Counter()
        self.paths: list[str] = []
        self.hidden = 0

    def entry(self, part: Part) -> Any:
        """Mask an entry of a list; return None for one that may not be seen."""
        inner = _Review(self._masker, self._uris)
        masked = rewrite(part.value, part.shape, inner.visit, part.path)
        self.counts += inner.counts
        self.hidden += bool(inner.blocked)
        return None if inner.blocked else masked

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
