"""Completions of a prompt's or a template's arguments, which pass no hook."""

import logging
from dataclasses import replace
from typing import Any

from plugway.dispatch.exchange import Request
from plugway.dispatch.routing import Parts, look_up
from plugway.dispatch.shaping import without_hop_meta
from plugway.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import FETCHES, Kind
from plugway_hookspecs import Operation

_FETCHED_BY = {Kind.PROMPT: "prompts/get", Kind.TEMPLATE: "resources/read"}

log = logging.getLogger(__name__)


async def complete(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Return a server's completions, unless plugins guard what they are for.

    What is guarded is never sent to its server in pieces: there are no completions for it. Raises
    `RpcError` and what the server's answer raises.
    """
    params = without_hop_meta(request.params)
    ref = params.get("ref")
    ref = ref if is_object(ref) else {}
    of_prompt = ref.get("type") == "ref/prompt"
    kind, key = (Kind.PROMPT, "name") if of_prompt else (Kind.TEMPLATE, "uri")
    name = str(ref.get(key, ""))
    target = await look_up(parts, kind, name, operation)
    if target is None and kind is Kind.TEMPLATE:
        target = await look_up(parts, Kind.RESOURCE, name, operation)
    if target is None:
        raise RpcError(INVALID_PARAMS, f"Unknown reference: {name}")
    if "completions" not in target.member.source.capabilities:
        raise RpcError(METHOD_NOT_FOUND, f"Server {target.member.name!r} completes nothing")
    if _guarded(parts, kind, operation):
        log.info("request %s: no completions, plugins guard %r", operation.id, operation.name)
        return {"completion": {"values": []}}
    return await parts.upstreams[target.member.name].request(
        "completion/complete", {**params, "ref": {**ref, key: target.inward}}
    )


def _guarded(parts: Parts, kind: Kind, operation: Operation) -> bool:
    """Whether plugins would guard the fetching of what is to be completed."""
    fetch = FETCHES[_FETCHED_BY[kind]]
    # which of a template's resources a condition will match is not known yet
    fetching = None if kind is Kind.TEMPLATE else replace(operation, method=fetch.name)
    chains = parts.chains.chain(fetch.pre), parts.chains.chain(fetch.post)
    return any(chain.guards(fetching) for chain in chains)
