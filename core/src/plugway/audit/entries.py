"""The lines of the audit file: what a request came to, without a word of its payload."""

import logging
import re
from datetime import UTC, datetime
from typing import Any

import orjson
from opentelemetry import trace

from plugway.executor.record import StepRecord, lines
from plugway.foreign import describe
from plugway.jsonrpc import RpcError
from plugway.plain import plain_text, plain_value
from plugway_hookspecs import Finding, Operation

VERSION = 1
"""The version of the schema; it changes when a field goes or gets another meaning."""

NAME, WORDS = 512, 1000
"""How many characters a name may have in a line, and a sentence."""
MAX_FINDINGS = 50
"""How many findings one turn of a plugin may have in a line."""

_WRITTEN_IN_TIME, _WITHHELD = b'"withheld":false}\n', b'"withheld":true}\n'
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

log = logging.getLogger(__name__)


def request_entry(
    operation: Operation,
    error: RpcError | None,
    *,
    cancelled: bool,
    began_ns: int,
    duration_ns: int,
) -> bytes:
    """Return the line of a request; `began_ns` is in nanoseconds since 1970."""
    turns = _turns(operation)
    entry: dict[str, Any] = {
        "v": VERSION,
        "event": "request",
        "time": _timestamp(began_ns),
        **_asked(operation),
        "outcome": _outcome(operation, error, cancelled=cancelled),
        "error": None if error is None else plain_value(error.code, NAME),
        "duration_us": duration_ns / 1000,
        "plugins": turns or [],
        **({} if turns is not None else {"incomplete": True}),
        "withheld": False,
    }
    return _line(entry)


def refusals_entry(count: int, since_ns: int) -> bytes:
    """Return the line that stands for requests that were refused before anything was asked."""
    entry = {"v": VERSION, "event": "refused", "time": _timestamp(since_ns), "count": count}
    return _line(entry)


def withheld(line: bytes) -> bytes:
    """Return a request's line for one whose client got an error instead of the answer."""
    kept = line.removesuffix(_WRITTEN_IN_TIME)
    return line if kept == line else kept + _WITHHELD


def _line(entry: dict[str, Any]) -> bytes:
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _timestamp(nanoseconds: int) -> str:
    time = datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC)
    return time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _asked(operation: Operation) -> dict[str, Any]:
    """Say who asked for what."""
    client, principal = operation.client, operation.principal
    return {
        "id": operation.id,
        "method": plain_text(operation.method, NAME),
        "name": plain_text(operation.name, NAME),
        "server": operation.server,
        "user": _optional(principal.user),
        "tenant": _optional(principal.tenant),
        "client": {
            "name": plain_text(client.name, NAME),
            "version": plain_text(client.version, NAME),
            "transport": client.transport,
        },
        "trace": _trace_id(operation),
    }


def _optional(name: str | None) -> str | None:
    return None if name is None else plain_text(name, NAME)


def _trace_id(operation: Operation) -> str | None:
    """Return the id of the trace that the gateway's spans are in, or that the client asked for."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return trace.format_trace_id(span.trace_id)
    match = _TRACEPARENT.fullmatch(operation.trace.get("traceparent", ""))
    return match[1] if match else None


def _outcome(operation: Operation, error: RpcError | None, *, cancelled: bool) -> str:
    if cancelled:
        return "cancelled"
    if operation.denied:
        return "denied"
    return "ok" if error is None else "error"


def _turns(operation: Operation) -> list[dict[str, Any]] | None:
    """Say what plugins did; None where what one of them gave to the record can't be read."""
    try:
        return [_turn(step) for step in lines(operation)]
    except Exception as error:  # noqa: BLE001 - foreign objects
        what = "request %s: the audit line leaves out what plugins did; reading their record %s"
        log.error(what, operation.id, describe(error))  # noqa: TRY400
        return None


def _turn(step: StepRecord) -> dict[str, Any]:
    return {
        "plugin": step.plugin,
        "hook": step.hook,
        "mode": step.mode,
        "requested": step.requested,
        "applied": step.applied,
        "modified": step.modified,
        "duration_us": step.duration_ns / 1000,
        "detail": step.detail and plain_text(step.detail, WORDS),
        "code": step.code and plain_text(step.code, NAME),
        "findings": [_finding(found) for found in step.findings[:MAX_FINDINGS]],
        "more_findings": max(len(step.findings) - MAX_FINDINGS, 0),
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {"key": plain_text(found.key, NAME), "value": plain_value(found.value, NAME)}
