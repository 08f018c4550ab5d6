"""Put a server's question to a client of the handshake era, and read what it answers."""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any

import anyio
from mcp.shared.dispatcher import Outbound
from mcp.shared.exceptions import MCPError

from plugway.jsonrpc import TIMED_OUT, RpcError
from plugway.jsonvalues import is_object

MODES_SINCE = "2025-11-25"
"""The version in which elicitation got its `mode`."""


async def put(
    outbound: Outbound, method: str, params: Mapping[str, Any], *, version: str, limit: float
) -> dict[str, Any]:
    """Ask the client and return its raw result.

    Raises `RpcError` with the client's error, or if it does not answer within `limit` seconds.
    """
    with anyio.move_on_after(limit):
        try:
            return await outbound.send_raw_request(method, _fit(method, params, version) or None)
        except MCPError as error:
            raise RpcError(error.code, error.message, error.data) from None
    raise RpcError(TIMED_OUT, f"The client did not answer {method} within {limit:g} s")


def _fit(method: str, params: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the params as the client's version has them."""
    fitting = {key: value for key, value in params.items() if key != "_meta"}
    meta = params.get("_meta")
    if is_object(meta) and (kept := {key: meta[key] for key in meta if key != _TOKEN}):
        fitting["_meta"] = kept
    if method != "elicitation/create":
        return fitting
    if version < MODES_SINCE:
        fitting.pop("mode", None)
    elif fitting.get("mode") == "url":
        fitting.setdefault("elicitationId", token_urlsafe(12))
    return fitting


_TOKEN = "progressToken"  # noqa: S105 - it is the server's own, for its own hop
