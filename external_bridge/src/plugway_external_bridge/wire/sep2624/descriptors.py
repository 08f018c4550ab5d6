"""What a host of interceptors lists: descriptors, read tolerantly, written without defaults."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from mcp_types.version import KNOWN_PROTOCOL_VERSIONS
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import HOOKS, Hook, Phase
from plugway_external_bridge.wire.plain import as_object, list_or_none

EXTENSION = "io.modelcontextprotocol/interceptors"
LIST = "interceptors/list"
ANY = "*"

Kind = Literal["validation", "mutation"]
VALIDATION: Final = "validation"
MUTATION: Final = "mutation"

_WIRE = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)
_CUSTOM_EVENTS = frozenset({"resources/templates/list", "completion/complete"})
"""Events that plugway has and the proposal has not; `*` means them only between plugways."""


def declared(capabilities: Mapping[str, Any]) -> bool:
    """Whether a server says that it has interceptors; silence proves nothing in the older era."""
    extensions = as_object(capabilities.get("extensions"))
    experimental = as_object(capabilities.get("experimental"))
    return (
        EXTENSION in extensions
        or "interceptors" in extensions
        or EXTENSION in experimental
        or "interceptor" in capabilities
    )


def _plain_mode(value: object) -> object:
    return "active" if value == "enforce" else value


class Binding(BaseModel):
    """Events that an interceptor wants to see in one phase."""

    model_config = _WIRE

    events: tuple[StrictStr, ...]
    phase: Phase


class Hints(BaseModel):
    """Where a mutator wants to stand, by phase; lower first."""

    request: Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)] = 0
    response: Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)] = 0


def _both_hints(value: object) -> object:
    return {"request": value, "response": value} if isinstance(value, int) else value


def _one_phase_each(value: object) -> object:
    """Open `phase: both`, which some hosts send, into two entries."""
    entries = list_or_none(value)
    if entries is None:
        return value
    opened: list[object] = []
    for entry in entries:
        both = as_object(entry).get("phase") == "both"
        phases = [{**as_object(entry), "phase": phase} for phase in Phase]
        opened += phases if both else [entry]
    return opened


class Compatibility(BaseModel):
    """The protocol revisions that an interceptor is made for."""

    model_config = _WIRE

    min_protocol: StrictStr | None = None
    max_protocol: StrictStr | None = None


class Descriptor(BaseModel):
    """One interceptor, as its host lists it."""

    model_config = _WIRE

    name: Annotated[StrictStr, Field(min_length=1)]
    type: Kind
    hooks: Annotated[tuple[Binding, ...], BeforeValidator(_one_phase_each)]
    version: str | None = None
    description: str | None = None
    mode: Annotated[Literal["active", "audit"], BeforeValidator(_plain_mode)] = "active"
    fail_open: StrictBool = False
    priority_hint: Annotated[Hints, BeforeValidator(_both_hints)] = Hints()
    compat: Compatibility = Compatibility()
    config_schema: dict[str, Any] | None = None

    def wants(self, event: str, phase: Phase) -> bool:
        """Whether the interceptor is bound to the event in this phase."""
        return any(
            binding.phase is phase and _matches(binding.events, event) for binding in self.hooks
        )

    def is_bound(self, event: str) -> bool:
        """Whether the interceptor is bound to the event in any phase."""
        return any(_matches(binding.events, event) for binding in self.hooks)

    def covered(self, *, among_plugways: bool) -> list[Hook]:
        """Return the hooks that the interceptor can be called in."""
        return [
            hook
            for hook in HOOKS.values()
            if any(
                binding.phase is hook.phase
                and _matches(binding.events, hook.event, custom=among_plugways)
                for binding in self.hooks
            )
        ]

    def to_wire(self) -> dict[str, Any]:
        """Return the descriptor with defaults left out, as conformance asks."""
        wire = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
        hints = self.priority_hint
        if "priorityHint" in wire and hints.request == hints.response:
            wire["priorityHint"] = hints.request
        return wire

    def unusable(self) -> str | None:
        """Say why the interceptor is not for the protocol revisions that plugway speaks."""
        known = KNOWN_PROTOCOL_VERSIONS
        low, high = self.compat.min_protocol, self.compat.max_protocol
        if low is not None and low > known[-1]:
            return f"it needs MCP {low} or newer"
        if high is not None and high < known[0]:
            return f"it needs MCP {high} or older"
        return None


def _matches(events: Iterable[str], event: str, *, custom: bool = True) -> bool:
    for pattern in events:
        if pattern == event:
            return True
        if pattern == ANY and (custom or event not in _CUSTOM_EVENTS):
            return True
        if pattern.endswith("/*") and event.startswith(pattern[:-1]):
            return True
    return False


def read_descriptor(raw: object) -> Descriptor:
    """Read one entry of a listing; raises `WireError` for what this bridge can't use."""
    try:
        descriptor = Descriptor.model_validate(raw)
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
        raise WireError(f"unknown or malformed: {', '.join(fields) or 'the entry'}") from error
    if (reason := descriptor.unusable()) is not None:
        raise WireError(reason)
    return descriptor


def bindings(hooks: Iterable[str]) -> tuple[Binding, ...]:
    """Return the bindings of a plugin with these hooks; one that has them all is bound to `*`."""
    names = set(hooks)
    if names.issuperset(HOOKS):
        return tuple(Binding(events=(ANY,), phase=phase) for phase in Phase)
    events = {
        phase: tuple(h.event for h in HOOKS.values() if h.phase is phase and h.name in names)
        for phase in Phase
    }
    return tuple(Binding(events=found, phase=phase) for phase, found in events.items() if found)


def supported_events(descriptors: Iterable[Descriptor]) -> list[str]:
    """Return the sorted union of all events, for the capability."""
    return sorted({e for found in descriptors for binding in found.hooks for e in binding.events})
