"""What `invoke_hook` answers: an envelope of a result or an error, as JSON in a text block."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.operations import json_only
from plugway_external_bridge.wire.plain import as_list, as_object, object_or_none
from plugway_hookspecs import Deny


@dataclass(frozen=True, slots=True)
class Reply:
    """What a plugin said; `violation` is set where processing must not continue."""

    modified: dict[str, Any] | None = None
    violation: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    context: dict[str, Any] | None = None


def read_reply(result: Mapping[str, Any]) -> Reply:
    """Read the result of the tool call; raises `WireError` for an error and for anything else."""
    if result.get("isError"):
        raise WireError("a tool error")
    for candidate in _candidates(result):
        # the server's own library may wrap the envelope once more
        for envelope in (candidate, as_object(candidate.get("result"))):
            if (reply := _read_envelope(envelope)) is not None:
                return reply
    raise WireError("nothing that is a hook's result")


def _read_envelope(envelope: dict[str, Any]) -> Reply | None:
    if "continue_processing" in envelope:  # some servers send the bare result
        return _read_result(envelope, None)
    inner = as_object(envelope.get("result"))
    if "continue_processing" in inner:
        return _read_result(inner, object_or_none(envelope.get("context")))
    if object_or_none(envelope.get("error")) is not None:
        raise WireError("an error: the plugin failed there")
    return None


def _candidates(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    structured = as_object(result.get("structuredContent"))
    yield structured
    for block in as_list(result.get("content")):
        match block:
            case {"type": "text", "text": str() as text}:
                yield as_object(parse(text))
            case _:
                continue


def parse(text: str) -> object:
    """Return the JSON value in a text, or None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_result(result: dict[str, Any], context: dict[str, Any] | None) -> Reply:
    goes_on = result["continue_processing"]
    if not isinstance(goes_on, bool):
        raise WireError("a 'continue_processing' that is neither true nor false")
    modified = object_or_none(result.get("modified_payload"))
    if modified is None and result.get("modified_payload") is not None:
        raise WireError("a 'modified_payload' that is no JSON object")
    return Reply(
        modified=modified,
        violation=None if goes_on else as_object(result.get("violation")),
        metadata=as_object(result.get("metadata")),
        context=context,
    )


def read_violation(violation: Mapping[str, Any], plugin: str) -> Deny:
    """Return the deny that a violation is; a malformed field never makes it less of a deny."""

    def text(key: str) -> str:
        value = violation.get(key)
        return value if isinstance(value, str) else ""

    def number(key: str) -> int | None:
        value = violation.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    headers = as_object(violation.get("http_headers")).items()
    return Deny(
        text("reason") or text("description") or f"refused by {plugin!r}",
        code=text("code") or "denied",
        description=text("description"),
        details=json_only(as_object(violation.get("details"))),
        http_status=number("http_status_code"),
        mcp_error_code=number("mcp_error_code"),
        http_headers={key: value for key, value in headers if isinstance(value, str)},
    )


def violation_to_wire(deny: Deny) -> dict[str, Any]:
    """Return the violation that a deny is."""
    return {
        "reason": deny.reason,
        "description": deny.description,
        "code": deny.code,
        "details": deny.details,
        "mcp_error_code": deny.mcp_error_code,
        "http_status_code": deny.http_status,
        "http_headers": deny.http_headers or None,
    }


def reply_to_wire(plugin: str, reply: Reply) -> dict[str, Any]:
    """Return the envelope of a result."""
    envelope: dict[str, Any] = {
        "plugin_name": plugin,
        "result": {
            "continue_processing": reply.violation is None,
            "modified_payload": reply.modified,
            "violation": reply.violation,
            "metadata": reply.metadata,
        },
    }
    if reply.context is not None:
        envelope["context"] = reply.context
    return envelope


def error_to_wire(plugin: str, message: str, code: int) -> dict[str, Any]:
    """Return the envelope of an error; `message` says nothing of an exception's text."""
    error: dict[str, Any] = {
        "message": message,
        "plugin_name": plugin,
        "code": "",
        "details": {},
        "mcp_error_code": code,
    }
    return {"plugin_name": plugin, "error": error}
