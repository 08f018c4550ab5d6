"""Payloads on their way to another process and back, checked when they arrive."""

from collections.abc import Mapping
from typing import Any, TypeVar

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.plain import as_object, object_or_none
from plugway_hookspecs import NotJsonError, Payload
from plugway_hookspecs.frozen import EMPTY

P = TypeVar("P", bound=Payload)


def payload_to_wire(payload: Payload) -> dict[str, Any]:
    """Return the MCP params or result object, without `_meta`: that belongs to one hop.

    Where the server answered with a JSON-RPC error, the error is under `error`.
    """
    wire = payload.to_wire()
    wire.pop("_meta", None)
    error = getattr(payload, "error", None)
    if error is not None:
        wire["error"] = error
    return wire


def payload_from_wire(
    kind: type[P], wire: object, *, meta: Mapping[str, Any] = EMPTY, failed: bool = False
) -> P:
    """Read a payload, and give it the `_meta` it had; raises `WireError` for another shape.

    `failed` says that `error`, where present, is the server's JSON-RPC error.
    """
    given = object_or_none(wire)
    if given is None:
        raise WireError(f"a payload that is no JSON object, where a {kind.__name__} belongs")
    fields = dict(given)
    fields.pop("_meta", None)
    error = _read_error(fields.pop("error", None)) if failed else None
    try:
        payload = kind.from_wire(fields)
        changes: dict[str, Any] = {} if meta is EMPTY else {"meta": meta}
        if error is not None:
            changes["error"] = error
        return payload.replace(**changes) if changes else payload
    except (NotJsonError, TypeError) as problem:
        raise WireError(f"a payload that is no {kind.__name__}: {problem}") from problem


def _read_error(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    error = as_object(value)
    code, message = error.get("code"), error.get("message")
    if isinstance(code, int) and not isinstance(code, bool) and isinstance(message, str):
        return error
    raise WireError("an error without an integer 'code' and a text 'message'")
