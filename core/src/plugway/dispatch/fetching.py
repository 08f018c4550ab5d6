"""Requests that plugins see: pre chain, server, post chain."""

from abc import ABC, abstractmethod
from typing import Any

import anyio

from plugway.dispatch.asking import ask_server, without_words
from plugway.dispatch.exchange import Request
from plugway.dispatch.inputs import DeniedQuestionError
from plugway.dispatch.passing import Passage, RenamedForEverError
from plugway.dispatch.routing import Parts, find
from plugway.dispatch.shaping import answer_denied, without_hop_meta
from plugway.executor.chain import Chain
from plugway.federation.catalog import Target
from plugway.jsonrpc import INVALID_PARAMS, RpcError
from plugway.limits import (
    check_size,
    read_error,
    read_request,
    read_result,
    rpc_error,
)
from plugway.methods import Exchange, Fetch
from plugway_hookspecs import Deny, Operation, Outcome, Payload, Respond, ServerError


async def fetch_one(
    parts: Parts, fetch: Fetch, request: Request, operation: Operation
) -> dict[str, Any]:
    """Return the result of one request; raises `RpcError` and what the server's answer raises."""
    params = without_hop_meta(request.params)
    name = params.get(fetch.kind.identifier)
    if not isinstance(name, str):
        raise RpcError(INVALID_PARAMS, f"Invalid params: {fetch.kind.identifier} must be a string")
    target = await find(parts, fetch.kind, name, operation, request.caller)
    try:
        if parts.chains.chain(fetch.pre) or parts.chains.chain(fetch.post):
            return await _GuardedFetch(parts, fetch, request, operation).answer(params, target)
        return await ask_server(parts, fetch, request, operation, params, target)
    except DeniedQuestionError as denied:  # without its answer the request leads nowhere
        return answer_denied(denied.outcome, operation, as_error=parts.deny_as_error)


class Guarded(ABC):
    """One request that plugins see: pre chain, server, post chain."""

    identifier: str
    """The attribute of the payload that names what the request is about."""

    def __init__(
        self, parts: Parts, exchange: Exchange, request: Request, operation: Operation
    ) -> None:
        """Prepare to answer `request`."""
        self.parts = parts
        self.exchange = exchange
        self.request = request
        self.operation = operation
        self.pre: Chain[Any] = parts.chains.chain(exchange.pre)
        self.post: Chain[Any] = parts.chains.chain(exchange.post)
        self.limit = parts.max_payload_bytes
        self.raw: dict[str, Any] = {}
        """The server's result as it came."""
        self.read: Payload | None = None
        """The same as plugins see it, once one has to; the two are only replaced together."""

    @abstractmethod
    async def find(self, name: str) -> Target:
        """Find the server that has a name, and have the operation be about it."""

    @abstractmethod
    async def reach(
        self, request: Request, params: dict[str, Any], target: Target
    ) -> dict[str, Any]:
        """Return the server's result; raises what its answer raises."""

    async def answer(self, params: dict[str, Any], target: Target) -> dict[str, Any]:
        """Answer as one round of a request, of which there may have been others."""
        give_back = self.parts.rounds.resume(self.operation, params)
        if give_back is None:
            return await self._answer(params, target)
        answered = False
        try:
            result = await self._answer(params, target)
            answered = True
        finally:
            if not (answered or self.operation.denied):
                give_back()
        return result

    async def _answer(self, params: dict[str, Any], target: Target) -> dict[str, Any]:
        operation, rounds = self.operation, self.parts.rounds
        asked_for = operation.name
        outcome = await self._pass(params, target)
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

    async def _pass(self, params: dict[str, Any], target: Target) -> Outcome[Any]:
        """Run the pre chain and ask the server; without a verdict its result is in `raw`."""
        operation = self.operation
        payload = read_request(self.exchange, params, self.limit)

        async def ask(final: Payload, target: Target) -> Outcome[Any]:
            sent = params if final is payload else self._within_limit(final, "request for")
            return await self._ask(final, sent, target)

        try:
            passage = Passage(self.pre, operation, self.identifier, self.find, ask)
            return await passage.run(payload, target)
        except RenamedForEverError as error:
            raise error.explain(operation) from None

    async def _ask(self, final: Payload, params: dict[str, Any], target: Target) -> Outcome[Any]:
        """Send the request; what plugins see of the answer is in the outcome, the rest in `raw`."""
        wrapped, request = self.pre.wraps, self.request
        if (request.on_progress or request.on_log) and self._guards_result():
            request = without_words(request)
        deadline = self.operation.deadline
        if deadline is not None and anyio.current_time() >= deadline:
            await anyio.sleep_forever()  # until its scope, which a plugin that blocks kept waiting
        try:
            raw = await self.reach(request, params, target)
        except ServerError as error:
            if not (wrapped or self.post):
                raise
            seen = read_error(self.exchange, error, target.member.name, self.limit)
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
        return read_result(self.exchange, raw, self.operation.server, self.limit)

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
        check_size(wire, self.limit, f"The {what} {self.exchange.name}, as plugins made it,")
        return wire

    def _denied(self, outcome: Outcome[Any]) -> dict[str, Any]:
        return answer_denied(outcome, self.operation, as_error=self.parts.deny_as_error)


class _GuardedFetch(Guarded):
    """One tool, prompt or resource that plugins guard."""

    def __init__(self, parts: Parts, fetch: Fetch, request: Request, operation: Operation) -> None:
        super().__init__(parts, fetch, request, operation)
        self.fetch = fetch
        self.identifier = fetch.kind.identifier

    async def find(self, name: str) -> Target:
        return await find(self.parts, self.fetch.kind, name, self.operation, self.request.caller)

    async def reach(
        self, request: Request, params: dict[str, Any], target: Target
    ) -> dict[str, Any]:
        return await ask_server(self.parts, self.fetch, request, self.operation, params, target)
