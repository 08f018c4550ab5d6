"""Author a request for one hop: its `_meta` envelope and its HTTP headers.

What the previous hop put into the reserved `_meta` keys ends here; headers are made from the body
and never taken from a caller (2026-07-28, basic/index and transports/streamable-http).
"""

from importlib.metadata import version
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from plugway.mirrored import mirrored
from plugway.upstream.calls import Call
from plugway.upstream.values import as_object

CLIENT_INFO = {"name": "plugway", "version": version("plugway")}
CALL_HEADER = "plugway-call"
"""Carries a call's id to the HTTP transport, which takes it off again."""

_RESERVED = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
_RESERVED_PREFIX = "io.modelcontextprotocol/"


def params_of(
    call: Call, request_id: int, *, protocol_version: str, modern: bool
) -> dict[str, Any]:
    """Return the params to send, with the `_meta` of this hop."""
    params = dict(call.params or {})
    meta = {
        key: value for key, value in as_object(params.get("_meta")).items() if not _reserved(key)
    }
    if call.on_progress is not None:
        meta["progressToken"] = request_id
    if modern:
        meta[PROTOCOL_VERSION_META_KEY] = protocol_version
        meta[CLIENT_INFO_META_KEY] = CLIENT_INFO
        meta[CLIENT_CAPABILITIES_META_KEY] = call.capabilities
        if call.log_level:
            meta[LOG_LEVEL_META_KEY] = call.log_level
    if meta:
        params["_meta"] = meta
    else:
        params.pop("_meta", None)
    return params


def headers_of(call: Call, *, protocol_version: str, modern: bool) -> dict[str, str]:
    """Return the MCP headers for a request over HTTP."""
    headers: dict[str, str] = {}
    if protocol_version:
        headers[MCP_PROTOCOL_VERSION_HEADER] = protocol_version
    if not modern:
        return headers
    headers[MCP_METHOD_HEADER] = call.method
    params = call.params or {}
    key = "taskId" if call.method.startswith("tasks/") else NAME_BEARING_METHODS.get(call.method)
    if key is not None and isinstance(name := params.get(key), str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    schema = call.tool_schema
    if schema and call.method == "tools/call" and (paths := mirrored(schema)):
        headers |= mcp_param_headers(paths, as_object(params.get("arguments")))
    return headers


def _reserved(key: str) -> bool:
    return key in _RESERVED or key.startswith(_RESERVED_PREFIX)
