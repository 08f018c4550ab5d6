"""What is checked before any plugin sees a payload: that it is JSON, neither too large nor deep."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import orjson

from plugway.jsonrpc import INVALID_PARAMS, TOO_LARGE, UPSTREAM_ERROR, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import Ask, Exchange, Subscription
from plugway_hookspecs import NotJsonError, Payload, ServerError
from plugway_hookspecs.frozen import MAX_DEPTH

_NOT_JSON = (
    "something of another type than MCP has there, or what JSON can't carry, "
    f"nests more than {MAX_DEPTH} levels or has too many pieces"
)


MAX_CONTAINERS = 200_000
"""Objects and arrays in one payload: freezing takes up to two microseconds for each of them."""


def wire_size(value: Any) -> int:
    """Return the bytes that a JSON value takes on the wire.

    Raises `NotJsonError` for what is nested too deeply to be written, in too many pieces, or an
    integer too long.
    """
    data = _encode(value)
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS and _pieces(value) > MAX_CONTAINERS:
        raise NotJsonError(f"more than {MAX_CONTAINERS} objects and arrays", "")
    return len(data)


def _encode(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, lone surrogates, hundreds of levels
        pass
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        raise NotJsonError(f"more than {MAX_DEPTH} levels of nesting", "") from None
    except ValueError:  # Python writes no integer of more than 4300 digits
        raise NotJsonError("an integer of thousands of digits", "") from None
    return text.encode(errors="surrogatepass")


def _pieces(value: Any) -> int:
    """Count the objects and arrays in a JSON value; brackets in strings are none."""
    found, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            found += 1
            waiting += each.values() if is_object(each) else each
    return found


def check_size(value: Any, limit: int, what: str) -> None:
    """Raise an `RpcError` that says how large `what` is and how large it may be, in bytes."""
    refuse_size(wire_size(value), limit, what)


def refuse_size(size: int, limit: int, what: str) -> None:
    """Raise an `RpcError` if `what` takes more bytes than are allowed."""
    if size > limit:
        raise RpcError(TOO_LARGE, f"{what} is {size} bytes; at most {limit} are allowed")


def read_request(method: Exchange | Subscription, params: Mapping[str, Any], limit: int) -> Payload:
    """Return the payload of a client's params; raises `RpcError`."""
    try:
        check_size(params, limit, f"The request for {method.name}")
        return _payload(method.request, params)
    except NotJsonError as error:
        raise RpcError(INVALID_PARAMS, f"Invalid params: {error}") from None


def read_question(ask: Ask, params: Mapping[str, Any], server: str, limit: int) -> Payload:
    """Return the payload of what a server asks; raises `RpcError`, without the server's words."""
    try:
        check_size(params, limit, f"What server {server!r} asks by {ask.name}")
        return _payload(ask.request, params)
    except NotJsonError:
        message = f"Server {server!r} asked {ask.name} with {_NOT_JSON}"
        raise RpcError(UPSTREAM_ERROR, message) from None


def read_answer(ask: Ask, result: Mapping[str, Any], limit: int) -> Payload:
    """Return the payload of the client's answer to a server's question; raises `RpcError`."""
    try:
        check_size(result, limit, f"The client's answer to {ask.name}")
        return _payload(ask.result, result)
    except NotJsonError as error:
        message = f"The client's answer to {ask.name} is not what MCP has there: {error}"
        raise RpcError(INVALID_PARAMS, message) from None


def _payload(kind: type[Payload], wire: Mapping[str, Any]) -> Payload:
    """Read a payload; raises `NotJsonError` for a required field that is missing as well."""
    for key in _required(kind):
        if wire.get(key) is None:
            raise NotJsonError("nothing where there must be something", key)
    return kind.from_wire(wire)


_known: dict[type[Any], tuple[str, ...]] = {}


def _required(kind: type[Payload]) -> tuple[str, ...]:
    """Return the keys that there must be on the wire."""
    keys = _known.get(kind)
    if keys is None:
        keys = tuple(kind.WIRE[field.name] for field in fields(kind) if field.default is MISSING)
        _known[kind] = keys
    return keys


def read_result(exchange: Exchange, result: Mapping[str, Any], server: str, limit: int) -> Payload:
    """Return the payload of a server's result; raises `RpcError`, without the server's words."""
    try:
        check_size(result, limit, f"The result of {exchange.name}")
        return exchange.result.from_wire(result)
    except NotJsonError:
        raise bad_result(server, exchange.name, _NOT_JSON) from None


def read_error(exchange: Exchange, error: ServerError, server: str, limit: int) -> Payload:
    """Return the payload of a server's error, which guards see as well; raises `RpcError`."""
    described = {"code": error.code, "message": error.message, "data": error.data}
    try:
        check_size(described, limit, f"The error of {exchange.name}")
        return exchange.result().replace(error=described)
    except NotJsonError:
        raise bad_result(server, exchange.name, _NOT_JSON) from None


def bad_result(server: str, method: str, why: str) -> RpcError:
    """Turn a server's unusable answer into the client's error."""
    return RpcError(UPSTREAM_ERROR, f"Server {server!r} answered {method} with {why}")


def rpc_error(described: Any) -> RpcError:
    """Return the error that a payload's `error` describes, whatever plugins made of it."""
    error: Mapping[str, Any] = described if is_object(described) else {}
    code, message = error.get("code"), error.get("message")
    return RpcError(
        code if type(code) is int else UPSTREAM_ERROR,
        message if isinstance(message, str) else "The server answered with an error",
        error.get("data"),
    )
