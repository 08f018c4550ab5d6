"""Verdicts between two plugways: everything that `Deny` and `Respond` say, nothing lost."""

from typing import Any

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import Hook
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_hookspecs import Deny, NotJsonError, Payload, Respond


class _Deny(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reason: StrictStr
    code: StrictStr = "denied"
    description: StrictStr = ""
    details: dict[str, Any] = {}
    http_status: StrictInt | None = None
    mcp_error_code: StrictInt | None = None
    http_headers: dict[str, str] = {}


class _Respond(BaseModel):
    model_config = ConfigDict(extra="ignore")

    result: dict[str, Any]
    meta: dict[str, Any] = {}
    failed: bool = False


class _Verdict(BaseModel):
    model_config = ConfigDict(extra="ignore")

    deny: _Deny | None = None
    respond: _Respond | None = None


def verdict_to_wire(verdict: Deny | Respond) -> dict[str, Any]:
    """Return `{"deny": {...}}` or `{"respond": {...}}`."""
    if isinstance(verdict, Deny):
        fields = {name: getattr(verdict, name) for name in _Deny.model_fields}
        return {"deny": fields}
    payload: Payload = verdict.result
    return {
        "respond": {
            "result": payload_to_wire(payload),
            "meta": getattr(payload, "meta", {}),
            "failed": getattr(payload, "error", None) is not None,
        }
    }


def verdict_from_wire(wire: object, hook: Hook) -> Deny | Respond:
    """Read what `verdict_to_wire` made; raises `WireError` for anything else."""
    try:
        verdict = _Verdict.model_validate(wire)
    except ValidationError as error:
        raise WireError(f"a verdict with {error.error_count()} wrong fields") from error
    if verdict.deny is not None:
        try:
            return Deny(**dict(verdict.deny))
        except NotJsonError as error:
            raise WireError(f"a deny with {error}") from error
    if verdict.respond is None or hook.answer is None:
        raise WireError(f"a verdict that {hook.name} does not know")
    answer = verdict.respond
    result = payload_from_wire(hook.answer, answer.result, meta=answer.meta, failed=answer.failed)
    return Respond(result)
