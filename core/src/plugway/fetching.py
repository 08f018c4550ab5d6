"""Requests about one tool, prompt or resource: pre chain, server, post chain."""

import logging
from collections.abc import Mapping
from typing import Any

from plugway.catalog import Target
from plugway.chain import Chain
from plugway.exchange import Progress, Request
from plugway.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from plugway.jsonvalues import is_array, is_object
from plugway.limits import bad_result, read_error, read_request, read_result, rpc_error
from plugway.methods import Fetch
from plugway.naming import outward_result
from plugway.routing import Parts, find
from plugway.shaping import answer_denied, without_hop_meta
from plugway_hookspecs import Deny, Operation, Outcome, Payload, Respond, ServerError

MAX_RENAMES = 3
"""How often plugins may send one request to another name."""

log = logging.getLogger(__name__)


async def fetch_one(
    parts: Parts, fetch: Fetch, request: Request, operation: Operation
) -> dict[str, Any]:
    """Return the result of one request; raises `RpcError` and what the server's answer raises."""
    params = without_hop_meta(request.params)
    name = params.get(fetch.kind.identifier)
    if not isinstance(name, str):
        raise RpcError(INVALID_PARAMS, f"Invalid params: {fetch.kind.identifier} must be a string")
    target = await find(parts, fetch.kind, name, operation)
    pre, post = parts.chains.chain(fetch.pre), parts.chains.chain(fetch.post)
    if not pre and not post:
        return await _ask(parts, fetch, request, params, target)
    payload = read_request(fetch, params, parts.max_payload_bytes)
    outcome, target = await _before(parts, fetch, pre, payload, operation, target)
    if isinstance(outcome.verdict, Deny):
        return answer_denied(outcome, operation, as_error=parts.deny_as_error)
    operation.request = outcome.payload
    answer: Payload | dict[str, Any]
    if isinstance(outcome.verdict, Respond):
        answer = outcome.verdict.result
    else:
        if outcome.payload is not payload:
            params = outcome.payload.to_wire()
        if (request.on_progress or request.on_log) and post.guards(operation):
            request = _without_words(request)
        answer = await _ask_or_error(parts, fetch, request, params, target, seen=bool(post))
    result = await _after(parts, fetch, post, answer, operation)
    if result.get("cacheScope") == "public" and (pre.guards(operation) or post.guards(operation)):
        return {**result, "cacheScope": "private"}  # out of a shared cache it would pass no guard
    return result


async def _before(
    parts: Parts,
    fetch: Fetch,
    pre: Chain[Any],
    payload: Payload,
    operation: Operation,
    target: Target,
) -> tuple[Outcome[Any], Target]:
    """Run the pre chain; what a plugin renames passes it again under the new name.

    Names decide who is asked, so those who guard the new one have to be.
    """
    for _ in range(1 + MAX_RENAMES):
        outcome: Outcome[Any] = await pre(payload, operation)
        name = str(getattr(outcome.payload, fetch.kind.identifier))
        if name == operation.name or isinstance(outcome.verdict, Deny):
            return outcome, target
        payload = outcome.payload
        target = await find(parts, fetch.kind, name, operation)
    log.error("request %s: plugins rename it for ever, now to %r", operation.id, operation.name)
    message = f"Plugins renamed the request more than {MAX_RENAMES} times"
    raise RpcError(INTERNAL_ERROR, f"{message}; the gateway's log has it under {operation.id}")


async def _ask(
    parts: Parts, fetch: Fetch, request: Request, params: Mapping[str, Any], target: Target
) -> dict[str, Any]:
    """Send the request to its server; return the result in the names that clients use."""
    server = target.member.name
    definition = target.definition or {}
    result = await parts.upstreams[server].request(
        fetch.name,
        {**params, fetch.kind.identifier: target.inward},
        on_progress=request.on_progress,
        on_log=request.on_log,
        log_level=request.log_level,
        tool_schema=definition.get("inputSchema"),
    )
    result = outward_result(target.member.prefix, result)
    items = result.get(fetch.contents, [])
    if not is_array(items) or not all(is_object(item) for item in items):
        raise bad_result(server, fetch.name, f"{fetch.contents} that is no list of objects")
    return result


async def _ask_or_error(
    parts: Parts,
    fetch: Fetch,
    request: Request,
    params: Mapping[str, Any],
    target: Target,
    *,
    seen: bool,
) -> dict[str, Any] | Payload:
    """Send the request; where errors are `seen` by plugins, return them as a payload."""
    try:
        return await _ask(parts, fetch, request, params, target)
    except ServerError as error:
        if not seen:
            raise
        return read_error(fetch, error, target.member.name, parts.max_payload_bytes)


async def _after(
    parts: Parts,
    fetch: Fetch,
    post: Chain[Any],
    answer: Payload | dict[str, Any],
    operation: Operation,
) -> dict[str, Any]:
    """Run the post chain; what nobody changes goes on as it came."""
    if isinstance(answer, Payload):
        payload = answer
    elif post:
        payload = read_result(fetch, answer, operation.server, parts.max_payload_bytes)
    else:
        return answer
    outcome: Outcome[Any] = await post(payload, operation)
    if isinstance(outcome.verdict, Deny):
        return answer_denied(outcome, operation, as_error=parts.deny_as_error)
    if outcome.payload.error is not None:
        raise rpc_error(outcome.payload.error)
    if outcome.payload is payload and not isinstance(answer, Payload):
        return answer
    wire: dict[str, Any] = outcome.payload.to_wire()
    return wire


def _without_words(request: Request) -> Request:
    """Let only the numbers of a server's progress through: no guard sees what it says meanwhile."""
    report = request.on_progress

    async def numbers(progress: float, total: float | None, _: str | None) -> None:
        if report is not None:
            await report(progress, total, None)

    on_progress: Progress | None = numbers if report else None
    return Request(
        request.method,
        request.params,
        request.client,
        request.modern,
        on_progress=on_progress,
    )
