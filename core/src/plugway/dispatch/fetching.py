"""Requests about one tool, prompt or resource: pre chain, server, post chain."""

import logging
from collections.abc import Mapping
from typing import Any

from plugway.dispatch.asking import ask_server, without_words
from plugway.dispatch.exchange import Request
from plugway.dispatch.routing import Parts, find
from plugway.dispatch.shaping import answer_denied, without_hop_meta
from plugway.executor.chain import Chain
from plugway.federation.catalog import Target
from plugway.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from plugway.limits import (
    check_size,
    read_error,
    read_request,
    read_result,
    rpc_error,
)
from plugway.methods import MAX_RENAMES, Fetch
from plugway_hookspecs import Deny, Operation, Outcome, Payload, Respond, ServerError

About = tuple[str, str, Mapping[str, Any] | None]
"""What a request is about: name, server, definition."""

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
    if parts.chains.chain(fetch.pre) or parts.chains.chain(fetch.post):
        return await _Guarded(parts, fetch, request, operation).answer(params, target)
    return await ask_server(parts, fetch, request, params, target)


class _Guarded:
    """One request that plugins see: pre chain, server, post chain."""

    def __init__(self, parts: Parts, fetch: Fetch, request: Request, operation: Operation) -> None:
        self.parts = parts
        self.fetch = fetch
        self.request = request
        self.operation = operation
        self.pre: Chain[Any] = parts.chains.chain(fetch.pre)
        self.post: Chain[Any] = parts.chains.chain(fetch.post)
        self.limit = parts.max_payload_bytes
        self.renames = 0
        """How often it has been renamed to what it is called now."""
        self.raw: dict[str, Any] = {}
        """The server's result as it came."""
        self.read: Payload | None = None
        """The same as plugins see it, once one has to; the two are only replaced together."""

    async def answer(self, params: dict[str, Any], target: Target) -> dict[str, Any]:
        operation, rounds = self.operation, self.parts.rounds
        asked_for = operation.name
        rounds.resume(operation, params)
        payload = read_request(self.fetch, params, self.limit)
        outcome, about = await self._pass(payload, params, target)
        self._name(about)
        if isinstance(outcome.verdict, Deny):
            return self._denied(outcome)
        operation.request = outcome.payload
        result = await self._after(outcome.verdict)
        rounds.keep(operation, result, asked_for)
        renamed = operation.name != asked_for  # so there is somebody who guards what was asked for
        guarded = renamed or self.pre.guards(operation) or self.post.guards(operation)
        if guarded and result.get("cacheScope") == "public":
            return {**result, "cacheScope": "private"}  # in a shared cache it would pass no guard
        return result

    async def _pass(
        self, payload: Payload, params: dict[str, Any], target: Target
    ) -> tuple[Outcome[Any], About]:
        """Run the pre chain and ask the server; without a verdict its result is in `raw`.

        Returns what came of it, and what it turned out to be about.
        """
        operation = self.operation
        about = here = self._named()

        async def ask(final: Payload) -> Outcome[Any]:
            nonlocal about
            about = here
            if self._renames(final):
                try:
                    outcome, about = await self._pass_again(final)
                finally:
                    self._name(here)
                operation.request = outcome.payload
                return outcome
            operation.request = final
            sent = params if final is payload else self._within_limit(final, "request for")
            return await self._ask(final, sent, target)

        outcome: Outcome[Any]
        if self.pre.wraps:
            outcome = await self.pre(payload, operation, ask)
            if operation.request is None:
                about = here  # what a wrapper tried before is not what came of it
        else:
            outcome = await self.pre(payload, operation)
            if outcome.verdict is None:
                return await ask(outcome.payload), about
        answered = isinstance(outcome.verdict, Respond) and about is here
        if answered and self._renames(outcome.payload):
            return await self._pass_again(outcome.payload)  # who guards the new name has a say
        return outcome, about

    def _renames(self, payload: Payload) -> bool:
        return bool(getattr(payload, self.fetch.kind.identifier) != self.operation.name)

    async def _pass_again(self, payload: Payload) -> tuple[Outcome[Any], About]:
        """Let what a plugin renamed pass the pre chain again, under the new name.

        Names decide who is asked, so those who guard the new one have to be.
        """
        operation = self.operation
        if self.renames == MAX_RENAMES:
            log.error(
                "request %s: plugins rename it for ever, %r too", operation.id, operation.name
            )
            message = f"Plugins renamed the request more than {MAX_RENAMES} times"
            log_hint = f"the gateway's log has it under {operation.id}"
            raise RpcError(INTERNAL_ERROR, f"{message}; {log_hint}")
        name = str(getattr(payload, self.fetch.kind.identifier))
        target = await find(self.parts, self.fetch.kind, name, operation)
        self.renames += 1
        try:
            return await self._pass(payload, payload.to_wire(), target)
        finally:
            self.renames -= 1

    async def _ask(self, final: Payload, params: dict[str, Any], target: Target) -> Outcome[Any]:
        """Send the request; what plugins see of the answer is in the outcome, the rest in `raw`."""
        wrapped, request = self.pre.wraps, self.request
        if (request.on_progress or request.on_log) and self._guards_result():
            request = without_words(request)
        try:
            raw = await ask_server(self.parts, self.fetch, request, params, target)
        except ServerError as error:
            if not (wrapped or self.post):
                raise
            seen = read_error(self.fetch, error, target.member.name, self.limit)
            return Outcome(final, Respond(seen))
        if not wrapped:
            self.raw = raw
            return Outcome(final)
        read = self._read(raw)  # what can't be read must not come to stand for what was
        self.raw, self.read = raw, read
        return Outcome(final, Respond(read))

    def _guards_result(self) -> bool:
        operation = self.operation
        return self.post.guards(operation) or (self.pre.wraps and self.pre.guards(operation))

    def _read(self, raw: dict[str, Any]) -> Payload:
        return read_result(self.fetch, raw, self.operation.server, self.limit)

    async def _after(self, answer: Respond | None) -> dict[str, Any]:
        """Run the post chain; what nobody changes goes on as it came."""
        if answer is None and not self.post:
            return self.raw
        if answer is None:
            self.read = payload = self._read(self.raw)
        else:
            payload = answer.result
        if payload is not self.read:
            self._within_limit(payload, "result of")
        outcome: Outcome[Any] = await self.post(payload, self.operation)
        if isinstance(outcome.verdict, Deny):
            return self._denied(outcome)
        if outcome.payload.error is not None:
            raise rpc_error(outcome.payload.error)
        if outcome.payload is self.read:
            return self.raw
        return self._within_limit(outcome.payload, "result of")

    def _within_limit(self, payload: Payload, what: str) -> dict[str, Any]:
        """Return what plugins made, as it goes on the wire, if it is not too large."""
        wire = payload.to_wire()
        check_size(wire, self.limit, f"The {what} {self.fetch.name}, as plugins made it,")
        return wire

    def _denied(self, outcome: Outcome[Any]) -> dict[str, Any]:
        return answer_denied(outcome, self.operation, as_error=self.parts.deny_as_error)

    def _named(self) -> About:
        return self.operation.name, self.operation.server, self.operation.definition

    def _name(self, about: About) -> None:
        self.operation.name, self.operation.server, self.operation.definition = about
