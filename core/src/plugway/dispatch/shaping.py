"""What a result looks like to a client of either era: the one place where eras differ."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types
from mcp_types.methods import CACHEABLE_METHODS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from plugway.federation.catalog import Unavailable
from plugway.foreign import about
from plugway.jsonrpc import DENIED, RpcError
from plugway.jsonvalues import is_object
from plugway_hookspecs import Deny, Operation, Outcome
from plugway_hookspecs.frozen import EMPTY

META_DENIED = "plugway/denied"
META_UNAVAILABLE = "plugway/unavailable"

_TRACE_KEYS = ("traceparent", "tracestate", "baggage")
_HOP_KEYS = frozenset(
    {
        "progressToken",
        *_TRACE_KEYS,
        mcp_types.PROTOCOL_VERSION_META_KEY,
        mcp_types.CLIENT_INFO_META_KEY,
        mcp_types.CLIENT_CAPABILITIES_META_KEY,
        mcp_types.LOG_LEVEL_META_KEY,
    }
)
_MODERN_ONLY = ("resultType", "ttlMs", "cacheScope")

log = logging.getLogger(__name__)


def is_modern(version: str) -> bool:
    """Whether a protocol version is one without handshake and sessions."""
    return version in MODERN_PROTOCOL_VERSIONS


def without_hop_meta(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params without the `_meta` keys that belong to the client's own connection."""
    meta = params.get("_meta")
    if not is_object(meta):
        return {key: value for key, value in params.items() if key != "_meta"}
    kept = {key: value for key, value in meta.items() if key not in _HOP_KEYS}
    if kept:
        return {**params, "_meta": kept}
    return {key: value for key, value in params.items() if key != "_meta"}


def trace_context(params: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the W3C trace context that a request came with: in `_meta` (SEP-414) or as headers."""
    meta = params.get("_meta")
    given = meta if is_object(meta) and "traceparent" in meta else headers
    if not any(key in given for key in _TRACE_KEYS):
        return EMPTY
    found = {key: given[key] for key in _TRACE_KEYS if isinstance(given.get(key), str)}
    return found or EMPTY


def shape(
    method: str, result: dict[str, Any], *, modern: bool, server_info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the result as the client's era has it; everything the era does not forbid stays."""
    given = result.get("_meta")
    meta = dict(given) if is_object(given) else {}
    meta.pop(mcp_types.SERVER_INFO_META_KEY, None)
    if modern:
        meta[mcp_types.SERVER_INFO_META_KEY] = server_info
        shaped = {"resultType": "complete", **result, "_meta": meta}
        if method in CACHEABLE_METHODS and shaped["resultType"] == "complete":
            _fill_cache_hints(shaped)
        return shaped
    shaped = {key: value for key, value in result.items() if key not in _MODERN_ONLY}
    if meta:
        shaped["_meta"] = meta
    else:
        shaped.pop("_meta", None)
    if method == "tools/call" and not isinstance(shaped.get("structuredContent", {}), dict):
        del shaped["structuredContent"]
    if method == "tools/list":
        shaped["tools"] = [_legacy_tool(tool) for tool in shaped.get("tools", ())]
    return shaped


def _fill_cache_hints(result: dict[str, Any]) -> None:
    ttl = result.get("ttlMs")
    if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl < 0:
        result["ttlMs"] = 0
    if result.get("cacheScope") not in {"public", "private"}:
        result["cacheScope"] = "private"


def _legacy_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out an output schema that handshake-era clients refuse together with the whole list."""
    schema = tool.get("outputSchema")
    if schema is None or (is_object(schema) and schema.get("type") == "object"):
        return tool
    return {key: value for key, value in tool.items() if key != "outputSchema"}


def answer_denied(outcome: Outcome[Any], operation: Operation, *, as_error: bool) -> dict[str, Any]:
    """Return or raise what a deny is for the client, and mark the operation as denied.

    The deny's details stay in the record.
    """
    deny = outcome.verdict
    assert isinstance(deny, Deny)  # noqa: S101 - for the type checker
    operation.denied = True
    log.info(
        "%s denied by %r: %s",
        *(about(operation), outcome.plugin, deny.code),
    )
    if operation.method == "tools/call" and not as_error:
        return denied_result(deny, operation.id)
    data = {"code": deny.code, "request": operation.id}
    raise RpcError(deny.mcp_error_code or DENIED, f"Denied: {deny.reason}", data)


def denied_result(deny: Deny, request_id: str) -> dict[str, Any]:
    """Return the tool result that a denied call becomes: readable for the model, no details."""
    return {
        "content": [{"type": "text", "text": f"Denied: {deny.reason}"}],
        "isError": True,
        "_meta": {META_DENIED: {"code": deny.code, "request": request_id}},
    }


def unavailable_meta(unavailable: Sequence[Unavailable]) -> dict[str, Any]:
    """Return the `_meta` of a list that names the servers missing from it, and quotes none."""
    missing = [{"server": each.server, "reason": each.kind} for each in unavailable]
    return {META_UNAVAILABLE: missing}
