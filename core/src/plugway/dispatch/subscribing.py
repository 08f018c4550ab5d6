"""Subscriptions to a resource on their way to its server: who may hear of what."""

from collections.abc import Mapping
from typing import Any

from plugway.dispatch.passing import Passage, RenamedForEverError
from plugway.dispatch.routing import Parts, find
from plugway.dispatch.shaping import answer_denied
from plugway.federation.catalog import Target
from plugway.jsonrpc import INVALID_PARAMS, RpcError
from plugway.limits import check_size, read_request
from plugway.methods import SUBSCRIPTION, Kind
from plugway_hookspecs import Deny, Operation, Outcome, Payload


async def before_subscribing(
    parts: Parts, params: Mapping[str, Any], operation: Operation
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
    target = await find(parts, Kind.RESOURCE, uri, operation)
    chain = parts.chains.chain(SUBSCRIPTION.pre)
    if not chain:
        return params, target
    payload = read_request(SUBSCRIPTION, params, parts.max_payload_bytes)

    async def look_up(name: str) -> Target:
        return await find(parts, Kind.RESOURCE, name, operation)

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
