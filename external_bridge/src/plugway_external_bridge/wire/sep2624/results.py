"""What an interceptor answers: results, read tolerantly, judged strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import Phase
from plugway_external_bridge.wire.operations import json_only
from plugway_external_bridge.wire.plain import as_list, as_object
from plugway_external_bridge.wire.sep2624.descriptors import MUTATION, VALIDATION
from plugway_hookspecs import Deny

_NOT_BLOCKING = frozenset({"info", "warn"})


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validator said."""

    valid: bool
    severity: str
    messages: list[dict[str, Any]]
    suggestions: list[Any]
    info: dict[str, Any]

    @property
    def blocks(self) -> bool:
        """Whether this denies: a missing or unknown severity counts as an error."""
        return not self.valid and self.severity not in _NOT_BLOCKING

    def deny(self, name: str) -> Deny:
        """Return the deny that a blocking validation is; the first error's text is the reason."""
        texts = [
            (str(message["message"]), message.get("severity"))
            for message in self.messages
            if message.get("message")
        ]
        errors = [text for text, severity in texts if severity not in _NOT_BLOCKING]
        reason = next(iter(errors or [text for text, _ in texts]), f"refused by {name!r}")
        details = json_only({"messages": self.messages, "suggestions": self.suggestions})
        return Deny(reason, details={key: value for key, value in details.items() if value})


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a mutator said; `payload` is still in the shape of the wire."""

    modified: bool
    payload: object
    info: dict[str, Any]


def read_validation(result: Mapping[str, Any], name: str, phase: Phase) -> Validation:
    """Read a validator's result, flat or nested; raises `WireError`."""
    body = _body(result, VALIDATION, name, phase)
    valid = body.get("valid")
    if not isinstance(valid, bool) or "modified" in body:
        raise WireError("a result that is no validation")
    return Validation(
        valid=valid,
        severity=str(body.get("severity", "error")),
        messages=[m for m in as_list(body.get("messages")) if isinstance(m, dict)],
        suggestions=as_list(body.get("suggestions")),
        info=as_object(body.get("info")),
    )


def read_mutation(
    result: Mapping[str, Any], name: str, phase: Phase, sent: Mapping[str, Any]
) -> Mutation:
    """Read a mutator's result, flat or nested; raises `WireError`."""
    body = _body(result, MUTATION, name, phase)
    modified = body.get("modified")
    if not isinstance(modified, bool) or "valid" in body:
        raise WireError("a result that is no mutation")
    if "payload" not in body:
        raise WireError("a mutation without a payload")
    if not modified and body["payload"] != sent:
        raise WireError("a mutation that says 'modified: false' and changed the payload")
    return Mutation(modified, body["payload"], as_object(body.get("info")))


def _body(result: Mapping[str, Any], kind: str, name: str, phase: Phase) -> dict[str, Any]:
    for key, expected in (("interceptor", name), ("type", kind), ("phase", phase.value)):
        if result.get(key, expected) != expected:
            raise WireError(f"a result of another {key}")
    return {**result, **as_object(result.get(kind))}


def validation_result(name: str, phase: Phase, reason: str | None) -> dict[str, Any]:
    """Return a validator's result; `reason` is why it denies, or None."""
    result = _result(name, VALIDATION, phase)
    result["valid"] = reason is None
    if reason is not None:
        result["severity"] = "error"
        result["messages"] = [{"message": reason, "severity": "error"}]
    return result


def mutation_result(name: str, phase: Phase, *, modified: bool, payload: Any) -> dict[str, Any]:
    """Return a mutator's result; `payload` is the original where nothing was modified."""
    return {**_result(name, MUTATION, phase), "modified": modified, "payload": payload}


def _result(name: str, kind: str, phase: Phase) -> dict[str, Any]:
    return {"interceptor": name, "type": kind, "phase": phase.value}
