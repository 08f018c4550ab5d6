"""What the protocol calls the parts of a payload, and back; headers are never part of one.

Their payloads have no room for the unknown fields of a request, and for one of a resource's
contents only. `whole` is for two plugways: then `extra` and all `contents` are there too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import Hook
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_external_bridge.wire.plain import as_object, object_or_none
from plugway_hookspecs import Payload
from plugway_hookspecs.frozen import EMPTY

Wire = dict[str, Any]


def encode(hook: Hook, payload: Payload, name: str, *, whole: bool) -> Wire:
    """Return the payload as `invoke_hook` takes it; `name` is the tool, the prompt or the URI.

    Raises `WireError` for what can't be said so.
    """
    wire = payload_to_wire(payload)
    extra = {"extra": getattr(payload, "extra", EMPTY)} if whole else {}
    match hook.name:
        case "tool_pre_invoke":
            return {"name": wire["name"], "args": wire.get("arguments", {}), **extra}
        case "prompt_pre_fetch":
            return {"prompt_id": wire["name"], "args": wire.get("arguments", {}), **extra}
        case "resource_pre_fetch":
            return {"uri": wire["uri"], "metadata": {}, **extra}
        case "tool_post_invoke":
            return {"name": name, "result": wire}
        case "prompt_post_fetch":
            return {"prompt_id": name, "result": wire}
        case _:
            return {"uri": name, "content": wire if whole else _only_content(wire)}


def _only_content(wire: Wire) -> Any:
    contents = wire.get("contents", ())
    if len(contents) != 1:
        raise WireError(f"a resource with {len(contents)} contents, where there is room for one")
    return contents[0]


def decode(
    hook: Hook, fields: Mapping[str, Any], base: Payload | None, *, failed: bool, whole: bool
) -> Payload:
    """Read such a payload; what it has no room for stays as `base` has it.

    Raises `WireError`. `failed` says that `error` in a result is the server's JSON-RPC error.
    """
    known = {} if base is None else payload_to_wire(base)
    if whole:
        known = as_object(fields.get("extra"))
    wire = _DECODERS[hook.name](fields, known, whole)
    meta: Mapping[str, Any] = getattr(base, "meta", EMPTY)
    return payload_from_wire(hook.payload, wire, meta=meta, failed=failed)


def named(fields: Mapping[str, Any]) -> str:
    """Return the tool, the prompt or the URI that a payload is about."""
    return next((str(fields[key]) for key in ("name", "prompt_id", "uri") if fields.get(key)), "")


Decoder = Callable[[Mapping[str, Any], Wire, bool], Wire]


def _call(key: str) -> Decoder:
    def read(fields: Mapping[str, Any], known: Wire, _: bool) -> Wire:
        wire = {**known, "name": fields.get(key), "arguments": fields.get("args")}
        if wire["arguments"] is None:
            wire["arguments"] = {}
        return wire

    return read


def _fetch(fields: Mapping[str, Any], known: Wire, _: bool) -> Wire:
    return {**known, "uri": fields.get("uri")}


def _result(fields: Mapping[str, Any], _: Wire, __: bool) -> Wire:
    result = object_or_none(fields.get("result"))
    if result is None:
        raise WireError("a 'result' that is no JSON object")
    return result


def _contents(fields: Mapping[str, Any], known: Wire, whole: bool) -> Wire:
    content = object_or_none(fields.get("content"))
    if content is None:
        raise WireError("a 'content' that is no JSON object")
    return content if whole else {**known, "contents": [content]}


_DECODERS: Mapping[str, Decoder] = {
    "tool_pre_invoke": _call("name"),
    "prompt_pre_fetch": _call("prompt_id"),
    "resource_pre_fetch": _fetch,
    "tool_post_invoke": _result,
    "prompt_post_fetch": _result,
    "resource_post_fetch": _contents,
}
