"""Completions of a prompt's or a template's arguments."""

import logging
from dataclasses import replace
from typing import Any

from plugway.dispatch.exchange import Request
from plugway.dispatch.extending import refuse_question
from plugway.dispatch.fetching import Guarded
from plugway.dispatch.routing import Parts, look_up
from plugway.dispatch.shaping import without_hop_meta
from plugway.federation.catalog import Target
from plugway.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import COMPLETION, FETCHES, Kind
from plugway_hookspecs import Operation

_FETCHED_BY = {Kind.PROMPT: "prompts/get", Kind.TEMPLATE: "resources/read"}
KEYS = {Kind.PROMPT: "name", Kind.TEMPLATE: "uri"}
"""Where a reference has the name of what is to be completed."""

log = logging.getLogger(__name__)


async def complete(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Return a server's completions, past the plugins that have a say in them.

    What is guarded by plugins that have none is never sent to its server in pieces: there are no
    completions for it. Raises `RpcError` and what the server's answer raises.
    """
    params = without_hop_meta(request.params)
    ref = params.get("ref")
    kind = kind_of(ref)
    name = ref.get(KEYS[kind]) if is_object(ref) else None
    operation.within = _FETCHED_BY[kind]
    completing = _Completing(parts, kind, request, operation)
    target = await completing.find(name if isinstance(name, str) else "")
    if completing.pre or completing.post:
        return await completing.answer(params, target)
    return await completing.reach(request, params, target)


def kind_of(ref: Any) -> Kind:
    """Return what a reference is about."""
    of_prompt = is_object(ref) and ref.get("type") == "ref/prompt"
    return Kind.PROMPT if of_prompt else Kind.TEMPLATE


def unknown_reference(name: str) -> RpcError:
    """Return the error for what nobody has, so that it can't be completed."""
    return RpcError(INVALID_PARAMS, f"Unknown reference: {name}")


class _Completing(Guarded):
    """One completion on its way."""

    identifier = "about"

    def __init__(self, parts: Parts, kind: Kind, request: Request, operation: Operation) -> None:
        super().__init__(parts, COMPLETION, request, operation)
        self.kind = kind

    async def find(self, name: str) -> Target:
        parts, operation, caller = self.parts, self.operation, self.request.caller
        target = await look_up(parts, self.kind, name, operation, caller)
        if target is None and self.kind is Kind.TEMPLATE:
            target = await look_up(parts, Kind.RESOURCE, name, operation, caller)
        if target is None:
            raise unknown_reference(name)
        return target

    async def reach(
        self,
        request: Request,
        params: dict[str, Any],
        target: Target,
    ) -> dict[str, Any]:
        operation, server = self.operation, target.member
        ref = params["ref"]
        if kind_of(ref) is not self.kind:
            message = "Plugins made a prompt's completion a template's, or the reverse"
            raise RpcError(INTERNAL_ERROR, message)
        if "completions" not in server.source.capabilities:
            raise RpcError(METHOD_NOT_FOUND, f"Server {server.name!r} completes nothing")
        if silent := self._without_say():
            what = "request %s: no completions, %s guard %r and have no hook for them"
            log.info(what, operation.id, ", ".join(sorted(silent)), operation.name)
            return {"completion": {"values": []}}
        sent = {**params, "ref": {**ref, KEYS[self.kind]: target.inward}}
        upstream = self.parts.upstreams[server.name]
        result = await upstream.request(COMPLETION.name, sent, caller=request.caller)
        refuse_question(server.name, COMPLETION.name, result)
        return result

    def _without_say(self) -> set[str]:
        """Return the plugins that guard the fetching of what is completed, and not this."""
        operation, chain = self.operation, self.parts.chains.chain
        fetch = FETCHES[_FETCHED_BY[self.kind]]
        # which of a template's resources a condition will match is not known yet
        template = self.kind is Kind.TEMPLATE
        fetching = None if template else replace(operation, method=fetch.name, within="")
        guarding = chain(fetch.pre).guardians(fetching) | chain(fetch.post).guardians(fetching)
        if not guarding:
            return guarding
        return guarding - self.pre.guardians(operation) - self.post.guardians(operation)
