"""Configured plugins as interceptors: what `interceptors/list` and `interceptor/invoke` answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from plugway_external_bridge.errors import SetupError, WireError
from plugway_external_bridge.host.calls import Answer, call_plugin
from plugway_external_bridge.wire import sep2624
from plugway_external_bridge.wire.hooks import Hook
from plugway_external_bridge.wire.operations import (
    HOST_META,
    PLUGWAY,
    OperationWire,
    make_operation,
    read_operation,
)
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_external_bridge.wire.plain import as_object
from plugway_hookspecs import (
    CompletionRequest,
    Mode,
    OnError,
    Payload,
    PluginError,
    PluginInfo,
    PluginRunner,
    thaw,
)

_KINDS: Mapping[Mode, tuple[sep2624.Kind, ...]] = {
    Mode.ENFORCE: (sep2624.MUTATION, sep2624.VALIDATION),
    Mode.TRANSFORM: (sep2624.MUTATION,),
}
"""What a plugin is published as, by its mode; a validation where nothing is said."""
_SUFFIXES = {sep2624.MUTATION: ".mutate", sep2624.VALIDATION: ".validate"}


@dataclass(frozen=True, slots=True)
class Published:
    """One interceptor, and the plugin behind it."""

    descriptor: sep2624.Descriptor
    plugin: str


class InterceptorHost:
    """Serves the plugins of a runner as interceptors.

    A plugin that may both deny and modify is two interceptors, `NAME.mutate` and `NAME.validate`;
    every other one has its own name. The names of the pairs are in the listing's `_meta`, so that
    another plugway calls such a plugin once, and takes its verdict from the mutation.
    """

    def __init__(self, runner: PluginRunner) -> None:
        """Publish the runner's plugins; raises `SetupError` where two would have one name."""
        self._runner = runner
        self._published: dict[str, Published] = {}
        self._pairs: dict[str, str] = {}
        for info in runner.plugins():
            published = [Published(each, info.name) for each in _describe(info)]
            for each in published:
                name = each.descriptor.name
                if name in self._published:
                    other = self._published[name].plugin
                    message = f"plugins {other!r} and {info.name!r} would both be {name!r}"
                    raise SetupError(f"{message}: rename one of them")
                self._published[name] = each
            if len(published) == 2:
                mutation, validation = published
                self._pairs[mutation.descriptor.name] = validation.descriptor.name

    @property
    def capability(self) -> dict[str, Any]:
        """What the server declares about its interceptors."""
        descriptors = [each.descriptor for each in self._published.values()]
        return {"supportedEvents": sep2624.supported_events(descriptors)}

    def listing(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `interceptors/list`; `event` selects those bound to it in either phase."""
        event = params.get("event")
        listed = [
            each.descriptor.to_wire()
            for each in self._published.values()
            if event is None or each.descriptor.is_bound(str(event))
        ]
        return {"interceptors": listed, "_meta": {HOST_META: {"pairs": self._pairs}}}

    async def invoke(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `interceptor/invoke`; a verdict is a result, `MCPError` everything else."""
        started = time.perf_counter()
        try:
            call = sep2624.Invocation.model_validate(params)
        except ValidationError as error:
            raise sep2624.invalid_params(error) from error
        published = self._published.get(call.name)
        if published is None:
            raise sep2624.unknown_interceptor(call.name)
        if not published.descriptor.wants(call.event, call.phase):
            raise sep2624.not_hooked(published.descriptor, call)
        if call.config:
            raise sep2624.refused(call.name, "the plugin is configured on its host")
        result = await self._answer(published, call)
        return {**result, "durationMs": round((time.perf_counter() - started) * 1000, 3)}

    async def _answer(self, published: Published, call: sep2624.Invocation) -> dict[str, Any]:
        hook = call.hook
        if hook is None:
            return _unexamined(published.descriptor, call)
        shape = sep2624.shape_of(hook, call.payload)
        timeout = None if call.timeout_ms is None else call.timeout_ms / 1000
        told = call.context.get(PLUGWAY)
        try:
            about = _read_foreign(call) if told is None else read_operation(told)
            sent = sep2624.unwrap(hook, call.payload, shape)
            payload = payload_from_wire(hook.payload, sent, failed=about.failed)
            operation = make_operation(_with_name(about, payload), event=hook.event)
        except WireError as error:
            raise sep2624.refused(call.name, str(error)) from error
        try:
            answer = await call_plugin(
                self._runner, published.plugin, hook, payload, operation, timeout=timeout
            )
        except KeyError as error:
            raise sep2624.unknown_interceptor(call.name) from error
        except PluginError as error:
            raise sep2624.failed(call.name) from error
        except TimeoutError as error:
            raise sep2624.timed_out(call) from error
        result = _to_result(published.descriptor, call, hook, shape, answer)
        added = answer.additions()
        if told is not None and (states := answer.states()):
            added["states"] = states
        return {**result, "info": {PLUGWAY: added}} if added else result


def _describe(info: PluginInfo) -> list[sep2624.Descriptor]:
    """Return the descriptors of one plugin, the mutation first."""
    bindings = sep2624.bindings(info.hooks)
    if not bindings or info.mode is Mode.DISABLED:
        return []
    kinds = _KINDS.get(info.mode, (sep2624.VALIDATION,))
    schema = info.config_schema if info.config_schema.get("properties") else None
    return [
        sep2624.Descriptor(
            name=f"{info.name}{_SUFFIXES[kind]}" if len(kinds) > 1 else info.name,
            type=kind,
            hooks=bindings,
            version=info.version or None,
            description=info.description or None,
            mode="audit" if info.mode in {Mode.AUDIT, Mode.BACKGROUND} else "active",
            fail_open=info.on_error is OnError.IGNORE,
            priority_hint=_hints(info.priority if kind == sep2624.MUTATION else 0),
            config_schema=None if schema is None else thaw(schema),
        )
        for kind in kinds
    ]


def _hints(priority: int) -> sep2624.Hints:
    return sep2624.Hints(request=priority, response=priority)


def _read_foreign(call: sep2624.Invocation) -> OperationWire:
    """Make what can be made of the proposal's own context; `trace` ids are correlation, no more."""
    principal = as_object(call.context.get("principal"))
    known = {
        "id": str(call.context.get("traceId") or call.context.get("sessionId") or ""),
        "principal": {"user": principal.get("id"), "claims": as_object(principal.get("claims"))},
    }
    return read_operation(known)


def _with_name(about: OperationWire, payload: Payload) -> OperationWire:
    """Name the tool, prompt or resource as the payload does, where nobody else said it."""
    if about.name:
        return about
    if isinstance(payload, CompletionRequest):
        within = "prompts/get" if payload.of_prompt else "resources/read"
        return about.model_copy(update={"name": payload.about, "within": within})
    name = getattr(payload, "name", None) or getattr(payload, "uri", None) or ""
    return about.model_copy(update={"name": name})


def _unexamined(descriptor: sep2624.Descriptor, call: sep2624.Invocation) -> dict[str, Any]:
    """Answer for an event that `*` means and plugway has no hook for: nobody would see it there."""
    if descriptor.type == sep2624.MUTATION:
        name, phase = call.name, call.phase
        return sep2624.mutation_result(name, phase, modified=False, payload=call.payload)
    result = sep2624.validation_result(call.name, call.phase, None)
    text = f"not examined: plugway has no hook for {call.event} in phase {call.phase.value}"
    return {**result, "severity": "info", "messages": [{"message": text, "severity": "info"}]}


def _to_result(
    descriptor: sep2624.Descriptor,
    call: sep2624.Invocation,
    hook: Hook,
    shape: sep2624.Shape,
    answer: Answer,
) -> dict[str, Any]:
    name, phase = call.name, call.phase
    if descriptor.type == sep2624.VALIDATION:
        return sep2624.validation_result(name, phase, answer.refusal)
    modified = answer.modified and answer.outcome.verdict is None
    payload: dict[str, Any] = call.payload
    if modified:
        payload = sep2624.wrap(hook, payload_to_wire(answer.outcome.payload), shape)
    return sep2624.mutation_result(name, phase, modified=modified, payload=payload)
