"""The one choke point: every client's request, of every method, era and transport, goes through it.

It works on plain JSON values: pre chain, route, upstream, post chain, shape for the client's era.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import uuid4

import anyio

from plugway.catalog import Catalog, Target
from plugway.chain import Chain
from plugway.exchange import Log, Progress, Request
from plugway.jsonrpc import (
    DENIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    TIMED_OUT,
    UPSTREAM_UNAVAILABLE,
    RpcError,
)
from plugway.jsonvalues import is_array, is_object
from plugway.limits import bad_params, bad_result, check_size
from plugway.methods import FETCHES, LISTINGS, Fetch, Kind, Listing
from plugway.naming import outward_result
from plugway.shaping import denied_result, shape, with_unavailable, without_hop_meta
from plugway_hookspecs import (
    Deny,
    NotJsonError,
    Operation,
    Outcome,
    Payload,
    Respond,
    ServerError,
    ServerUnavailableError,
)

Listener = Callable[[Operation, RpcError | None], None]
"""Takes a finished operation, its record, and the error that the client got, if any."""

log = logging.getLogger(__name__)


class Chains(Protocol):
    """Where the dispatcher finds the chain of a hook; a reload replaces all of them at once."""

    def chain(self, hook: str) -> Chain[Any]:
        """Return the hook's chain as it is compiled now."""
        ...


class UpstreamCalls(Protocol):
    """The part of an upstream that the dispatcher needs."""

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Progress | None = None,
        on_log: Log | None = None,
        log_level: str | None = None,
        tool_schema: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send one request and return its raw result."""
        ...


class Dispatcher:
    """Handles requests; `handle` is the only way in."""

    def __init__(
        self,
        catalog: Catalog,
        upstreams: Mapping[str, UpstreamCalls],
        chains: Chains,
        *,
        server_info: Mapping[str, Any],
        request_timeout: float,
        max_payload_bytes: int,
        deny_as_error: bool = False,
    ) -> None:
        """Join catalog, upstreams and chains; `request_timeout` is for a whole request (s)."""
        self.catalog = catalog
        self.upstreams = upstreams
        self.chains = chains
        self.server_info = server_info
        self.request_timeout = request_timeout
        self.max_payload_bytes = max_payload_bytes
        self.deny_as_error = deny_as_error
        self._listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> None:
        """Call `listener` after every request; from then on chains are recorded."""
        self._listeners = (*self._listeners, listener)

    async def handle(self, request: Request) -> dict[str, Any]:
        """Return the result of one request, shaped for the client's era.

        Raises `RpcError`, and nothing else but cancellation: whatever goes wrong, a client reads a
        sentence that was written for it.
        """
        operation = Operation(
            uuid4().hex,
            request.method,
            principal=request.principal,
            client=request.client,
            headers=request.headers,
            record=[] if self._listeners and request.record is None else request.record,
        )
        error: RpcError | None = None
        try:
            with anyio.fail_after(self.request_timeout) as scope:
                operation.deadline = scope.deadline
                result = await self._route(request, operation)
        except Exception as reason:
            error = self._explain(reason, operation)
            raise error from reason
        finally:
            for listener in self._listeners:
                listener(operation, error)
        return shape(request.method, result, modern=request.modern, server_info=self.server_info)

    def _explain(self, error: Exception, operation: Operation) -> RpcError:
        """Turn whatever went wrong into the sentence that the client reads."""
        match error:
            case RpcError():
                return error
            case TimeoutError():
                limit = f"{self.request_timeout:g} s"
                return RpcError(TIMED_OUT, f"{operation.method} took longer than {limit}")
            case ServerUnavailableError():
                return RpcError(UPSTREAM_UNAVAILABLE, error.message)
            case ServerError():
                return RpcError(error.code, error.message, error.data)
            case _:
                log.error("request %s (%s) failed", operation.id, operation.method, exc_info=error)
                where = f"the gateway's log has it under request {operation.id}"
                return RpcError(INTERNAL_ERROR, f"Internal error; {where}")

    async def _route(self, request: Request, operation: Operation) -> dict[str, Any]:
        method = request.method
        if (fetch := FETCHES.get(method)) is not None:
            return await self._fetch(fetch, request, operation)
        if (listing := LISTINGS.get(method)) is not None:
            return await self._list(listing, request, operation)
        if method == "completion/complete":
            return await self._complete(request)
        if method == "ping":
            return {}
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")

    # one tool, prompt or resource

    async def _fetch(self, fetch: Fetch, request: Request, operation: Operation) -> dict[str, Any]:
        params = without_hop_meta(request.params)
        operation.name = str(params.get(fetch.kind.identifier, ""))
        target = await self._find(fetch.kind, operation)
        pre, post = self.chains.chain(fetch.pre), self.chains.chain(fetch.post)
        answer: Payload | dict[str, Any] | None = None
        if pre:
            payload = self._read(fetch, params, operation.method)
            outcome = await pre(payload, operation)
            if isinstance(outcome.verdict, Deny):
                return self._denied(outcome, operation)
            if isinstance(outcome.verdict, Respond):
                answer = outcome.verdict.result
            elif outcome.payload is not payload:
                params = outcome.payload.to_wire()
                target = await self._find_again(fetch.kind, params, operation, target)
            operation.request = outcome.payload
        elif post:
            operation.request = self._read(fetch, params, operation.method)
        if answer is None:
            answer = await self._ask(fetch, request, params, target, answer_errors=bool(post))
        if not post:
            return answer.to_wire() if isinstance(answer, Payload) else answer
        return await self._after(fetch, post, answer, operation)

    def _read(self, fetch: Fetch, params: Mapping[str, Any], method: str) -> Payload:
        check_size(params, self.max_payload_bytes, f"The request for {method}")
        try:
            return fetch.request.from_wire(params)
        except (NotJsonError, TypeError) as error:
            raise bad_params(error) from None

    async def _find(self, kind: Kind, operation: Operation) -> Target:
        target = await self.catalog.find(kind, operation.name)
        if target is None:
            what = "resource" if kind is Kind.RESOURCE else kind.name.lower()
            data = {"uri": operation.name} if kind is Kind.RESOURCE else None
            raise RpcError(INVALID_PARAMS, f"Unknown {what}: {operation.name}", data)
        operation.server = target.member.name
        operation.definition = target.definition
        return target

    async def _find_again(
        self, kind: Kind, params: Mapping[str, Any], operation: Operation, target: Target
    ) -> Target:
        """Route by the payload that is sent, not by the one that came."""
        name = str(params.get(kind.identifier, ""))
        if name == operation.name:
            return target
        operation.name = name
        return await self._find(kind, operation)

    async def _ask(
        self,
        fetch: Fetch,
        request: Request,
        params: dict[str, Any],
        target: Target,
        *,
        answer_errors: bool,
    ) -> dict[str, Any] | Payload:
        """Send the request on; with `answer_errors` a server's error becomes a payload to scan."""
        server = target.member.name
        definition = target.definition or {}
        try:
            result = await self.upstreams[server].request(
                fetch.name,
                {**params, fetch.kind.identifier: target.inward},
                on_progress=request.on_progress,
                on_log=request.on_log,
                log_level=request.log_level,
                tool_schema=definition.get("inputSchema"),
            )
        except ServerError as error:
            if not answer_errors:
                raise
            described = {"code": error.code, "message": error.message, "data": error.data}
            return fetch.result(error=described)  # type: ignore[call-arg]
        result = outward_result(target.member.prefix, result)
        if result.get("resultType", "complete") == "complete":
            items = result.get(fetch.contents, [])
            if not is_array(items) or not all(is_object(item) for item in items):
                raise bad_result(server, fetch.name, f"{fetch.contents} that is no list of objects")
        return result

    async def _after(
        self,
        fetch: Fetch,
        post: Chain[Any],
        answer: Payload | dict[str, Any],
        operation: Operation,
    ) -> dict[str, Any]:
        raw: dict[str, Any] | None = None
        if isinstance(answer, Payload):
            payload = answer
        else:
            raw = answer
            check_size(raw, self.max_payload_bytes, f"The result of {operation.name or fetch.name}")
            try:
                payload = fetch.result.from_wire(raw)
            except (NotJsonError, TypeError) as error:
                raise bad_result(operation.server, fetch.name, str(error)) from None
        outcome: Outcome[Any] = await post(payload, operation)
        if isinstance(outcome.verdict, Deny):
            return self._denied(outcome, operation)
        if (failure := outcome.payload.error) is not None:
            raise RpcError(failure["code"], failure["message"], failure.get("data"))
        if raw is not None and outcome.payload is payload:
            return raw
        wire: dict[str, Any] = outcome.payload.to_wire()
        return wire

    def _denied(self, outcome: Outcome[Any], operation: Operation) -> dict[str, Any]:
        """Answer with what a deny means to this method; the details stay in the record."""
        deny = outcome.verdict
        assert isinstance(deny, Deny)  # noqa: S101 - for the type checker
        log.info(
            "request %s (%s %s) denied by %r: %s",
            *(operation.id, operation.method, operation.name, outcome.plugin, deny.code),
        )
        if operation.method == "tools/call" and not self.deny_as_error:
            return denied_result(deny, operation.id)
        data = {"code": deny.code, "request": operation.id}
        raise RpcError(deny.mcp_error_code or DENIED, f"Denied: {deny.reason}", data)

    # lists

    async def _list(
        self, listing: Listing, request: Request, operation: Operation
    ) -> dict[str, Any]:
        if request.params.get("cursor") is not None:
            message = "Invalid cursor: the gateway answers with the whole list at once"
            raise RpcError(INVALID_PARAMS, message)
        federated = await self.catalog.list(listing.kind)
        result: dict[str, Any] = {listing.kind.value: list(federated.items)}
        if federated.unavailable:
            result["_meta"] = with_unavailable(None, federated.unavailable)
        chain = self.chains.chain(listing.post)
        if not chain:
            return result
        payload = listing.result.from_wire(result)
        outcome = await chain(payload, operation)
        if isinstance(outcome.verdict, Deny):
            return self._denied(outcome, operation)
        return result if outcome.payload is payload else outcome.payload.to_wire()

    # completion

    async def _complete(self, request: Request) -> dict[str, Any]:
        params = without_hop_meta(request.params)
        ref = params.get("ref")
        ref = ref if is_object(ref) else {}
        kind, key = (
            (Kind.PROMPT, "name") if ref.get("type") == "ref/prompt" else (Kind.TEMPLATE, "uri")
        )
        name = str(ref.get(key, ""))
        target = await self.catalog.find(kind, name)
        if target is None and kind is Kind.TEMPLATE:
            target = await self.catalog.find(Kind.RESOURCE, name)
        if target is None:
            raise RpcError(INVALID_PARAMS, f"Unknown reference: {name}")
        if "completions" not in target.member.source.capabilities:
            raise RpcError(METHOD_NOT_FOUND, f"Server {target.member.name!r} completes nothing")
        return await self.upstreams[target.member.name].request(
            "completion/complete", {**params, "ref": {**ref, key: target.inward}}
        )
