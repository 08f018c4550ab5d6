"""Subscriptions to resources: which server has what, and who may hear of it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plugway.dispatch.exchange import Caller, Request
from plugway.dispatch.passing import Passage, RenamedForEverError
from plugway.dispatch.routing import Parts, find
from plugway.dispatch.shaping import answer_denied, without_hop_meta
from plugway.federation.catalog import Target
from plugway.foreign import NAME
from plugway.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from plugway.jsonvalues import is_array, is_object
from plugway.limits import check_size, read_request
from plugway.methods import SUBSCRIPTION, Kind
from plugway_hookspecs import Deny, Operation, Outcome, Payload, PlugwayError

MAX_URIS = 1000
"""How many resources one stream may be about."""

log = logging.getLogger(__name__)


async def subscribe(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Follow one resource for a client with a session (until 2025-11-25).

    Raises `RpcError` and what the server's answer raises.
    """
    await _watch(parts, request, request.params, operation)
    return {}


async def unsubscribe(_parts: Parts, request: Request, _operation: Operation) -> dict[str, Any]:
    """Follow a resource no longer for a client with a session."""
    uri = request.params.get("uri")
    if request.watches is not None and isinstance(uri, str):
        request.watches.remove(uri)
    return {}


async def listen(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Return the notifications that a client of the stateless era gets on its stream.

    What it asks for and does not get is left out: a resource that is not there, or denied to it.
    """
    asked = request.params.get("notifications")
    honored = dict(asked) if is_object(asked) else {}
    uris = honored.pop("resourceSubscriptions", None)
    if not is_array(uris):
        return {"notifications": honored}
    if len(uris) > MAX_URIS:
        message = f"Invalid params: at most {MAX_URIS} resourceSubscriptions on one stream"
        raise RpcError(INVALID_PARAMS, message)
    followed: list[str] = []
    for uri in dict.fromkeys(each for each in uris if isinstance(each, str)):
        about = replace(operation, within=SUBSCRIPTION.name)
        try:
            await _watch(parts, request, {"uri": uri}, about)
        except PlugwayError as error:
            log.info("request %s: %r is not followed: %s", operation.id, uri[:NAME], error)
        else:
            followed.append(uri)
    return {"notifications": {**honored, "resourceSubscriptions": followed}}


async def _watch(
    parts: Parts, request: Request, params: Mapping[str, Any], operation: Operation
) -> None:
    if request.watches is None:
        raise RpcError(METHOD_NOT_FOUND, "The client can't be told of changes")
    _, target = await before_subscribing(parts, without_hop_meta(params), operation, request.caller)
    server, uri = target.member.name, str(params.get("uri"))
    await request.watches.add(uri, server, target.inward, request.principal)


async def before_subscribing(
    parts: Parts, params: Mapping[str, Any], operation: Operation, caller: Caller | None = None
) -> tuple[Mapping[str, Any], Target]:
    """Return the params of a subscription past the plugins, and the server that has the resource.

    `params` is that of `resources/subscribe`; for `subscriptions/listen` there is one call, with an
    operation of its own, for each URI. Raises `RpcError` for what is denied, unknown or malformed.
    """
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise RpcError(INVALID_PARAMS, "Invalid params: uri must be a string")
    if operation.method != SUBSCRIPTION.name:
        operation.within = SUBSCRIPTION.name
    target = await find(parts, Kind.RESOURCE, uri, operation, caller)
    chain = parts.chains.chain(SUBSCRIPTION.pre)
    if not chain:
        return params, target
    payload = read_request(SUBSCRIPTION, params, parts.max_payload_bytes)

    async def look_up(name: str) -> Target:
        return await find(parts, Kind.RESOURCE, name, operation, caller)

    async def arrive(final: Payload, where: Target) -> Outcome[Any]:
        nonlocal target
        target = where
        return Outcome(final)

    try:
        passage = Passage(chain, operation, Kind.RESOURCE.identifier, look_up, arrive)
        outcome = await passage.run(payload, target)
    except RenamedForEverError as error:
        raise error.explain(operation) from None
    if isinstance(outcome.verdict, Deny):
        answer_denied(outcome, operation, as_error=True)
    if outcome.payload is payload:
        return params, target
    wire = outcome.payload.to_wire()
    what = f"The request for {SUBSCRIPTION.name}, as plugins made it,"
    check_size(wire, parts.max_payload_bytes, what)
    return wire, target
