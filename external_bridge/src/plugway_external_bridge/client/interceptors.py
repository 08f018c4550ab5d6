"""Calling interceptors: a remote interceptor becomes a step of the chain in each of its phases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from logging import Logger
from typing import Any

from plugway_external_bridge.client.link import Link
from plugway_external_bridge.client.listing import Listing
from plugway_external_bridge.client.step import Answer, Step
from plugway_external_bridge.config import ExternalConfig
from plugway_external_bridge.errors import SetupError, WireError
from plugway_external_bridge.wire import sep2624
from plugway_external_bridge.wire.hooks import Hook, Phase
from plugway_external_bridge.wire.operations import (
    PLUGWAY,
    annotate_findings,
    operation_to_wire,
)
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_external_bridge.wire.plain import as_object
from plugway_external_bridge.wire.verdicts import verdict_from_wire
from plugway_hookspecs import Context, Mode, Part, Payload, thaw
from plugway_hookspecs.frozen import EMPTY


@dataclass(frozen=True, slots=True, eq=False)
class Interceptor:
    """One interceptor, ready to be called."""

    descriptor: sep2624.Descriptor
    link: Link
    config: ExternalConfig
    hooks: Sequence[Hook]
    among_plugways: bool
    """Whether the host is a plugway: then it is told more, and its verdicts are read in full."""
    enforces: bool = False
    """Whether this mutation stands for a plugin that may also deny, with all that it says."""

    @property
    def mode(self) -> Mode:
        """What the interceptor may do where the operator does not say it."""
        if self.descriptor.mode == "audit":
            return Mode.AUDIT
        if self.enforces:
            return Mode.ENFORCE
        return Mode.VALIDATE if self.descriptor.type == sep2624.VALIDATION else Mode.TRANSFORM

    async def call(self, hook: Hook, payload: Payload, context: Context) -> Answer:
        """Invoke it in one hook; raises `PluginError` for whatever is not a proper answer."""
        name, config = self.descriptor.name, self.config
        sent = sep2624.wrap(hook, payload_to_wire(payload), config.payload)
        params = sep2624.invoke_params(
            name,
            hook,
            sent,
            config=config.config,
            timeout=config.timeout,
            context=self._describe(payload, context),
        )
        result = await self.link.ask(sep2624.INVOKE, params, hook, config.timeout)
        try:
            if self.descriptor.type == sep2624.VALIDATION:
                validation = sep2624.read_validation(result, name, hook.phase)
                return self._judge(validation, hook, context)
            mutation = sep2624.read_mutation(result, name, hook.phase, sent)
            return self._apply(mutation, hook, payload, context)
        except WireError as error:
            raise self.link.failure(hook, f"interceptor {name!r} returned {error}") from error

    def _judge(self, said: sep2624.Validation, hook: Hook, context: Context) -> Answer:
        verdict = self._read_info(said.info, hook, context)
        if verdict is not None:
            return verdict
        if said.blocks:
            return said.deny(self.descriptor.name)
        if said.messages:
            context.annotate("messages", said.messages)
        return None

    def _apply(
        self, said: sep2624.Mutation, hook: Hook, payload: Payload, context: Context
    ) -> Answer:
        verdict = self._read_info(said.info, hook, context)
        if verdict is not None or not said.modified:
            return verdict
        changed = sep2624.unwrap(hook, said.payload, self.config.payload)
        failed = getattr(payload, "error", None) is not None
        meta = getattr(payload, "meta", EMPTY)
        return payload_from_wire(hook.payload, changed, meta=meta, failed=failed)

    def _describe(self, payload: Payload, context: Context) -> dict[str, Any]:
        described = sep2624.invoke_context(context)
        if self.among_plugways:
            failed = getattr(payload, "error", None) is not None
            states = context.shared.get(self._state_key)
            described[PLUGWAY] = operation_to_wire(context, failed=failed, states=states)
        return described

    def _read_info(self, info: dict[str, Any], hook: Hook, context: Context) -> Answer:
        """Take over what a plugway host adds; another host's additions mean nothing."""
        if not self.among_plugways:
            return None
        own = as_object(info.get(PLUGWAY))
        annotate_findings(context, own.get("findings"))
        if states := as_object(own.get("states")):
            context.shared[self._state_key] = thaw(states)
        verdict = own.get("verdict")
        return None if verdict is None else verdict_from_wire(verdict, hook)

    @property
    def _state_key(self) -> str:
        """Where the plugin's notes wait for its post hook: its two phases are two plugins here."""
        return f"external/{self.link.plugin}/{self.descriptor.name}"


def build_parts(listing: Listing, config: ExternalConfig, link: Link, logger: Logger) -> list[Part]:
    """Return the steps that the listed interceptors become, in the order that SEP-2624 asks for.

    On the way to the upstream mutators come before validators, on the way back after them; mutators
    by their hint for the phase, then by name. Raises `SetupError` where the configuration names
    what is not there.
    """
    found = _select(_read(listing.items, logger), config)
    among_plugways = listing.host is not None
    if among_plugways and config.config:
        raise SetupError("a plugway host's plugins are configured there: remove 'config'")
    pairs = as_object(as_object(listing.host).get("pairs"))
    whole = {name for name, other in pairs.items() if name in found and other in found}
    halves = {pairs[name] for name in whole}
    interceptors = [
        Interceptor(
            descriptor,
            link,
            config,
            descriptor.covered(among_plugways=among_plugways),
            among_plugways,
            enforces=name in whole,
        )
        for name, descriptor in found.items()
        if name not in halves
    ]
    for each in interceptors:
        weaker = "audits" if each.mode is Mode.AUDIT else "fails open"
        if each.mode is Mode.AUDIT or each.descriptor.fail_open:
            asks = f"interceptor {each.descriptor.name!r} {weaker} by its own word"
            logger.warning("%s; 'mode' and 'on_error' in the entry would win", asks)
    wanted = _narrow(interceptors, config, logger)
    return [part for phase in Phase for part in _phase_parts(interceptors, phase, wanted)]


def _read(items: Iterable[object], logger: Logger) -> dict[str, sep2624.Descriptor]:
    found: dict[str, sep2624.Descriptor] = {}
    for item in items:
        try:
            descriptor = sep2624.read_descriptor(item)
        except WireError as error:
            name = as_object(item).get("name", "without a name")
            logger.warning("interceptor %r is left out: %s", name, error)
            continue
        if descriptor.name in found:
            raise SetupError(f"the server lists two interceptors {descriptor.name!r}")
        found[descriptor.name] = descriptor
    return found


def _select(
    found: dict[str, sep2624.Descriptor], config: ExternalConfig
) -> dict[str, sep2624.Descriptor]:
    if config.interceptors is None:
        return found
    if missing := [name for name in config.interceptors if name not in found]:
        offered = ", ".join(sorted(found)) or "none"
        raise SetupError(f"no interceptor {missing[0]!r} that can be used (there are: {offered})")
    return {name: found[name] for name in found if name in config.interceptors}


def _narrow(
    interceptors: Sequence[Interceptor], config: ExternalConfig, logger: Logger
) -> frozenset[str]:
    """Return the names of the hooks to bind; widening is an error."""
    offered = frozenset(hook.name for each in interceptors for hook in each.hooks)
    wanted = offered if config.hooks is None else frozenset(config.hooks)
    if extra := sorted(wanted - offered):
        raise SetupError(f"hooks: no interceptor here is made for {extra[0]!r}")
    if not wanted:
        raise SetupError("the server offers no interceptor for any hook of plugway")
    for each in interceptors:
        if not any(hook.name in wanted for hook in each.hooks):
            logger.info("interceptor %r is bound to no hook", each.descriptor.name)
    return wanted


def _phase_parts(
    interceptors: Sequence[Interceptor], phase: Phase, wanted: frozenset[str]
) -> list[Part]:
    def rank(each: Interceptor) -> tuple[int, str]:
        hints = each.descriptor.priority_hint
        hint = hints.request if phase is Phase.REQUEST else hints.response
        return hint, each.descriptor.name

    mutators = [each for each in interceptors if each.descriptor.type == sep2624.MUTATION]
    validators = [each for each in interceptors if each.descriptor.type == sep2624.VALIDATION]
    mutators.sort(key=rank)
    ordered = mutators + validators if phase is Phase.REQUEST else validators + mutators
    parts: list[Part] = []
    for each in ordered:
        hooks = [hook for hook in each.hooks if hook.phase is phase and hook.name in wanted]
        if hooks:
            parts.append(
                Part(
                    f"{each.descriptor.name}:{phase.value}",
                    Step(hooks, each.call),
                    mode=each.mode,
                    fail_open=each.descriptor.fail_open,
                    description=each.descriptor.description or "",
                )
            )
    return parts
