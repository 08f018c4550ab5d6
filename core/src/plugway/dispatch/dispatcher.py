"""The one choke point: every client's request, of every method, era and transport, goes through it.

It works on plain JSON values: pre chain, route, upstream, post chain, shape for the client's era.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Protocol

import anyio

from plugway.dispatch.completing import complete
from plugway.dispatch.exchange import Ask, Caller, Request
from plugway.dispatch.extending import extend
from plugway.dispatch.fetching import fetch_one
from plugway.dispatch.questions import Questions
from plugway.dispatch.shaping import answer_denied, shape, trace_context, unavailable_meta
from plugway.dispatch.subscribing import listen, subscribe, unsubscribe
from plugway.dispatch.viewing import come_in, go_out
from plugway.foreign import NAME, about, describe, one_line, stack
from plugway.generation import Generation
from plugway.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    TIMED_OUT,
    UPSTREAM_UNAVAILABLE,
    RpcError,
)
from plugway.limits import refuse_size
from plugway.methods import COMPLETION, FETCHES, LISTINGS, SUBSCRIPTION, UNHOOKED, Listing
from plugway.timing import Limit
from plugway.upstream.errors import ServerTimeoutError
from plugway_hookspecs import (
    Client,
    Deny,
    Operation,
    Outcome,
    ServerError,
    ServerUnavailableError,
)

Listener = Callable[[Operation, RpcError | None], None]
"""Takes a finished operation, its record, and the error that the client got, if any."""

_RANDOM = Random()  # noqa: S311 - of the ids of operations, which are no secret
"""Seeded by the operating system, which a UUID would ask every time."""

Handle = Callable[[Request, Operation], Awaitable[dict[str, Any]]]
"""What a request comes to."""


async def _pong(_parts: Generation, _request: Request, _operation: Operation) -> dict[str, Any]:
    return {}


ANSWERS: Mapping[str, Callable[[Generation, Request, Operation], Awaitable[dict[str, Any]]]] = {
    COMPLETION.name: complete,
    SUBSCRIPTION.name: subscribe,
    "resources/unsubscribe": unsubscribe,
    "subscriptions/listen": listen,
    "ping": _pong,
}
"""What answers the methods that neither fetch nor list."""

log = logging.getLogger(__name__)


class Ledger(Protocol):
    """Has every request written down before it is answered."""

    def entry(self, operation: Operation) -> AbstractAsyncContextManager[None]:
        """Return the block that a request runs in, which ends with a result or an `RpcError`.

        Entering it raises `RpcError` where the request must not run, leaving it where its answer
        must not go out.
        """
        ...


class Dispatcher:
    """Handles requests; `handle` is the only way in."""

    def __init__(
        self,
        generation: Generation,
        *,
        server_info: Mapping[str, Any],
        ledger: Ledger | None = None,
    ) -> None:
        """Answer from `generation`; a reload assigns another, for the requests that come then."""
        self.generation = generation
        self.server_info = server_info
        self.ledger = ledger
        self._listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> None:
        """Call `listener` after every request; from then on chains are recorded."""
        self._listeners = (*self._listeners, listener)

    async def handle(self, request: Request) -> dict[str, Any]:
        """Return the result of one request, shaped for the client's era.

        Raises `RpcError`, and nothing else but cancellation: whatever goes wrong, a client reads a
        sentence that was written for it.
        """
        operation = self._operation(request)
        return await self._observed(request, operation, self._handle)

    async def ask(
        self,
        server: str,
        method: str,
        params: Mapping[str, Any],
        *,
        client: Client,
        caller: Caller,
        put: Ask,
    ) -> dict[str, Any]:
        """Put what a server asks, outside of any request, to a client by `put`.

        Raises `RpcError` as `handle` does.
        """
        request = Request(method, params, client, modern=False, caller=caller, ask=put)
        operation = self._operation(request)
        operation.server = server

        async def ask(request: Request, operation: Operation) -> dict[str, Any]:
            with self.generation as parts:
                operation.chains = parts.chains.chain
                if server not in parts.upstreams:
                    raise RpcError(METHOD_NOT_FOUND, f"Server {server!r} is not there any more")
                return await Questions(parts, request, operation, server).push(method, params)

        return await self._observed(request, operation, ask)

    def _operation(self, request: Request) -> Operation:
        recorded = self._listeners or self.ledger is not None
        return Operation(
            f"{_RANDOM.getrandbits(128):032x}",
            request.method,
            principal=request.principal,
            client=request.client,
            trace=trace_context(request.params, request.headers),
            headers=request.headers,
            record=[] if recorded and request.record is None else request.record,
        )

    async def _observed(
        self, request: Request, operation: Operation, handle: Handle
    ) -> dict[str, Any]:
        """Handle a request so that its end is written down and told, whatever it is."""
        error: RpcError | None = None
        try:
            if self.ledger is None:
                return await handle(request, operation)
            async with self.ledger.entry(operation):
                return await _explained(request, operation, handle)
        except RpcError as reason:
            error = reason
            raise
        except Exception as reason:
            error = _explain(reason, request, operation)
            raise error from reason
        finally:
            for listener in self._listeners:
                _tell(listener, operation, error)

    async def _handle(self, request: Request, operation: Operation) -> dict[str, Any]:
        with self.generation as parts, anyio.move_on_after(parts.request_timeout) as scope:
            operation.deadline = scope.deadline
            request.limit = Limit(scope)
            operation.chains = parts.chains.chain
            inside = await come_in(parts, request, operation)
            result = go_out(parts, inside, await self._route(parts, inside, operation))
            return shape(
                request.method, result, modern=request.modern, server_info=self.server_info
            )
        raise _timed_out(request, operation, parts.request_timeout)

    async def _route(
        self, parts: Generation, request: Request, operation: Operation
    ) -> dict[str, Any]:
        method = request.method
        if (fetch := FETCHES.get(method)) is not None:
            return await fetch_one(parts, fetch, request, operation)
        if (listing := LISTINGS.get(method)) is not None:
            return await self._list(parts, listing, request, operation)
        if (answer := ANSWERS.get(method)) is not None:
            return await answer(parts, request, operation)
        if method in UNHOOKED or "/" not in method:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")
        return await extend(parts, request, operation)

    async def _list(
        self, parts: Generation, listing: Listing, request: Request, operation: Operation
    ) -> dict[str, Any]:
        if request.params.get("cursor") is not None:
            message = "Invalid cursor: the gateway answers with the whole list at once"
            raise RpcError(INVALID_PARAMS, message)
        servers = request.view.servers_of(listing.kind)
        federated = await parts.catalog.list(listing.kind, request.caller, servers)
        chain = parts.chains.chain(listing.post)
        public = federated.public and not chain.guards(None)
        result: dict[str, Any] = {
            listing.kind.value: list(federated.items),
            "ttlMs": int(federated.ttl * 1000),
            "cacheScope": "public" if public else "private",
        }
        if federated.unavailable:
            result["_meta"] = unavailable_meta(federated.unavailable)
        if not chain:
            return result
        refuse_size(federated.size, parts.max_payload_bytes, f"The result of {listing.name}")
        payload = listing.result.from_wire(result)
        outcome: Outcome[Any] = await chain(payload, operation)
        if isinstance(outcome.verdict, Deny):
            return answer_denied(outcome, operation, as_error=parts.deny_as_error)
        return result if outcome.payload is payload else outcome.payload.to_wire()


async def _explained(request: Request, operation: Operation, handle: Handle) -> dict[str, Any]:
    try:
        return await handle(request, operation)
    except RpcError:
        raise
    except Exception as reason:
        raise _explain(reason, request, operation) from reason


def _tell(listener: Listener, operation: Operation, error: RpcError | None) -> None:
    """Let a listener know; its failure is nobody else's."""
    try:
        listener(operation, error)
    except Exception as failure:  # noqa: BLE001 - foreign code
        what = describe(failure)
        log.error("a listener failed for request %s: it %s", operation.id, what)  # noqa: TRY400


def _timed_out(request: Request, operation: Operation, limit: float) -> RpcError:
    """Log that a request took too long, and return what its client reads."""
    fetch = FETCHES.get(request.method)
    asked = request.params.get(fetch.kind.identifier) if fetch else None
    what = request.method if asked is None else f"{request.method} {str(asked)[:NAME]!r}"
    said = f"{what} took longer than {limit:g} s (gateway.request_timeout)"
    log.warning("request %s: %s", operation.id, said)
    return RpcError(TIMED_OUT, said)


def _explain(error: Exception, request: Request, operation: Operation) -> RpcError:
    """Turn whatever went wrong into the sentence that the client reads."""
    match error:
        case ServerTimeoutError():
            return RpcError(UPSTREAM_UNAVAILABLE, error.message)
        case ServerUnavailableError():  # the reason may quote the server, and no guard has seen it
            log.warning("%s failed: %s", about(operation), one_line(error.message))
            hint = f"the gateway's log says why, under request {operation.id}"
            message = f"Server {error.server!r} is unavailable; {hint}"
            return RpcError(UPSTREAM_UNAVAILABLE, message)
        case ServerError():
            gone = request.modern and error.code == RESOURCE_NOT_FOUND
            return RpcError(INVALID_PARAMS if gone else error.code, error.message, error.data)
        case _:
            where = about(operation), describe(error), stack(error)
            log.error("%s failed: it %s\n%s", *where)
            message = f"Internal error; the gateway's log has it under request {operation.id}"
            return RpcError(INTERNAL_ERROR, message)
