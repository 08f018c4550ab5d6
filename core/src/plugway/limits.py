"""How large and how deep a payload may be before any plugin sees it."""

import json
from typing import Any

import orjson

from plugway.jsonrpc import INVALID_PARAMS, TOO_LARGE, UPSTREAM_ERROR, RpcError
from plugway_hookspecs import NotJsonError


def wire_size(value: Any) -> int:
    """Return the bytes that a JSON value takes on the wire."""
    try:
        return len(orjson.dumps(value))
    except TypeError:  # integers beyond 64 bits
        return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def check_size(value: Any, limit: int, what: str) -> None:
    """Raise an `RpcError` that says how large `what` is and how large it may be, in bytes."""
    size = wire_size(value)
    if size > limit:
        raise RpcError(TOO_LARGE, f"{what} is {size} bytes; at most {limit} are allowed")


def bad_params(error: NotJsonError | TypeError) -> RpcError:
    """Turn a payload that can't be read from a client's params into its error."""
    return RpcError(INVALID_PARAMS, f"Invalid params: {error}")


def bad_result(server: str, method: str, why: str) -> RpcError:
    """Turn a server's unusable answer into the client's error."""
    return RpcError(UPSTREAM_ERROR, f"Server {server!r} answered {method} with {why}")
