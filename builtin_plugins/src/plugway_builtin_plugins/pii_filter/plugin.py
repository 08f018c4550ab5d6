"""The kind `pii_filter`: what the hooks do with what is found."""

from collections import Counter
from typing import TypeVar

from plugway_builtin_plugins.parts import entries, parts
from plugway_builtin_plugins.patterns import compile_pattern
from plugway_builtin_plugins.payload_plugin import AsyncPayloadPlugin
from plugway_builtin_plugins.pii_filter.detectors import DETECTORS, Detector
from plugway_builtin_plugins.pii_filter.hooks import PiiFindings, PiiHooks
from plugway_builtin_plugins.pii_filter.masking import Masker
from plugway_builtin_plugins.pii_filter.review import Review, collect
from plugway_builtin_plugins.pii_filter.rulings import NO_RULING, Ruling, rule
from plugway_builtin_plugins.pii_filter.scanner import Scanner
from plugway_builtin_plugins.pii_filter.settings import Settings
from plugway_builtin_plugins.selections import (
    ANSWERS,
    LISTS,
    QUESTIONS,
    REQUESTS,
    RESULTS,
    hooks_of,
)
from plugway_builtin_plugins.texts import read_texts
from plugway_builtin_plugins.walk import rewrite_entries, rewrite_payload
from plugway_hookspecs import Context, Deny, HookRegistrar, Host, Payload, PluginError, hookimpl

P = TypeVar("P", bound=Payload)

_SHOWN_PATHS = 20
_CHANNELS = {
    "request": REQUESTS,
    "result": RESULTS,
    "list": LISTS,
    "server's question": QUESTIONS,
    "client's answer": ANSWERS,
}
"""What a hook sees, as the client reads it."""


class PiiFilter(AsyncPayloadPlugin):
    """Masks or blocks personal data and credentials in requests, results, lists and questions.

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
        self._off = frozenset(each.name for each in DETECTORS if each.name not in strategies)
        self._host: Host | None = None
        self._masker = Masker(
            Scanner(
                [each for each in DETECTORS if each.name in strategies],
                [Detector(each.name, each.pattern) for each in config.custom],
                [compile_pattern(source) for source in config.allow],
            ),
            strategies,
            config.mask,
            config.key.get_secret_value().encode() if config.key else None,
        )

    @staticmethod
    @hookimpl
    def register_hooks(registrar: HookRegistrar) -> None:
        """Add `pii_found`."""
        registrar.add(PiiHooks)

    @hookimpl
    def plugin_startup(self, host: Host) -> None:
        """Remember where hooks are fired."""
        self._host = host

    async def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Mask what may pass when it is masked, deny what may not."""
        texts = read_texts([*parts(payload), *entries(payload)])
        suspicious = self._masker.scanner.may_hit(texts)
        ruling: Ruling | Deny = NO_RULING
        if self._host is not None and self._host.implemented("pii_found", context):
            found = collect(payload, self._masker, self._uris) if suspicious else []
            shown = PiiFindings([each._asdict() for each in found], texts.values, hook)
            ruling = await self._ask(self._host, shown, context)
        if isinstance(ruling, Deny):
            return ruling
        if not suspicious and not ruling.added:
            return None
        return self._apply(payload, context, hook, ruling)

    async def _ask(self, host: Host, payload: PiiFindings, context: Context) -> Ruling | Deny:
        """Let others drop and add findings."""
        outcome = await host.fire("pii_found", payload, context)
        if isinstance(outcome.verdict, Deny):
            return outcome.verdict
        if outcome.payload is payload:
            return NO_RULING
        try:
            ruling = rule(payload.findings, outcome.payload.findings, self._off)
        except ValueError as error:
            message = f"plugins left what is no finding: {error}"
            raise PluginError(message, plugin=self.name, hook="pii_found") from None
        if ruling.dropped:
            context.annotate("dropped", dict(Counter(each.type for each in ruling.dropped)))
        return ruling

    def _apply(self, payload: P, context: Context, hook: str, ruling: Ruling) -> P | Deny | None:
        review = Review(self._masker, "mask" if self._lenient(hook) else self._uris, ruling)
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


def _deny(hook: str, review: Review) -> Deny:
    channel = next(channel for channel, hooks in _CHANNELS.items() if hook in hooks)
    return Deny(
        f"the {channel} contains personal data that may not pass: {', '.join(review.blocked)}",
        code="pii_detected",
        details={"types": dict(review.blocked), "paths": review.paths[:_SHOWN_PATHS]},
    )
