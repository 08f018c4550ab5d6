"""Send a request about one tool, prompt or resource to its server, and whatever it asks back.

Servers and clients ask each other in the manner of their eras. A server either asks in the middle
of a request and waits (until 2025-11-25), or answers `input_required` and is asked again
(2026-07-28); a client either answers while it waits, or with its next request. Here all four
combinations meet.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plugway.dispatch.exchange import Progress, Request
from plugway.dispatch.extending import check_type, of_client
from plugway.dispatch.parking import Park
from plugway.dispatch.questions import Questions, methods_of
from plugway.dispatch.routing import Parts
from plugway.dispatch.sealing import Round, binding, other_request
from plugway.dispatch.urls import url_questions, with_urls
from plugway.federation.catalog import Target
from plugway.federation.naming import outward_result, outward_task
from plugway.jsonrpc import HEADER_MISMATCH, UPSTREAM_ERROR, RpcError
from plugway.jsonvalues import is_array, is_object
from plugway.limits import bad_result
from plugway.methods import Fetch, Kind
from plugway_hookspecs import Operation, ServerError

MAX_ROUNDS = 20
"""How often a server may ask for more before plugway gives up by itself."""

_ROOTS = "plugway-roots"
_ASK_FOR_ROOTS: dict[str, Any] = {
    "resultType": "input_required",
    "inputRequests": {_ROOTS: {"method": "roots/list"}},
}
"""What is asked before a server that wants to know a client's roots is asked anything."""

_OF_A_ROUND = ("inputResponses", "requestState")


async def ask_server(
    parts: Parts,
    fetch: Fetch,
    request: Request,
    operation: Operation,
    params: Mapping[str, Any],
    target: Target,
) -> dict[str, Any]:
    """Send the request to its server; return the result in the names that clients use.

    Raises `RpcError`, `DeniedQuestionError` and what the server's answer raises.
    """
    server = target.member.name
    sent = {**params, fetch.kind.identifier: target.inward}
    asking = _Asking(parts, fetch, request, operation, target)
    if request.modern:
        result = await asking.by_rounds(sent)
    else:
        result = await asking.while_waiting(sent)
    result = outward_task(target.member.prefix, outward_result(target.member.prefix, result))
    items = result.get(fetch.contents, [])
    if not is_array(items) or not all(is_object(item) for item in items):
        raise bad_result(server, fetch.name, f"{fetch.contents} that is no list of objects")
    check_type(parts, server, request.caller, result)
    return result


class _Asking:
    """One request of one client to one server."""

    def __init__(
        self, parts: Parts, fetch: Fetch, request: Request, operation: Operation, target: Target
    ) -> None:
        self.parts = parts
        self.fetch = fetch
        self.request = request
        self.target = target
        self.server = target.member.name
        self.operation = operation
        self.upstream = parts.upstreams[self.server]
        self.questions = Questions(parts, request, operation, self.server)

    async def while_waiting(self, params: dict[str, Any]) -> dict[str, Any]:
        """Ask a client that waits, as often as the server wants."""
        first = params = _of_first_round(params)
        for _ in range(MAX_ROUNDS):
            result = await self._send(params, self.request, self.questions.push)
            if not _wants_more(result):
                return result
            params = _next_round(first, result, await self.questions.answer(self._inputs(result)))
        raise self._endless()

    async def by_rounds(self, params: dict[str, Any]) -> dict[str, Any]:
        """Give the client what the server asks as a result, and go on when it comes back."""
        park: Park | None = None
        given = params.get("inputResponses")
        if "requestState" in params:
            sealed = self.parts.sealer.open(params.get("requestState"), self._bound())
            if (sealed.server, sealed.inward) != (self.server, self.target.inward):
                raise other_request  # plugins send it elsewhere now
            pushed = bool(sealed.parked)
            taken = await self.questions.take(sealed.asked, given, pushed=pushed)
            answers = {**sealed.answers, **taken}
            self._know_roots(answers.pop(_ROOTS, sealed.roots))
            given = None
            if pushed:
                park = self.parts.parks.resume(sealed.parked, sealed.turn, self.request, answers)
            params = _next_round(params, {"requestState": sealed.state}, answers)
        else:  # what it answers has still to be asked, or plugins would not know what it is about
            params = _of_first_round(params)
        return await self._go_on(params, park, given)

    async def _go_on(self, params: dict[str, Any], park: Park | None, given: Any) -> dict[str, Any]:
        """Ask the server until it is done or there is something for the client to answer."""
        for _ in range(MAX_ROUNDS):
            park = park or self._park(params)
            if park is not None:
                result = await self.parts.parks.wait(park)
                if not park.done:
                    inputs = self._inputs(result)
                    if (asked := await self._put_pushed(park, inputs, given)) is not None:
                        return self._sealed(result, asked, {}, park)
                    given = None
                    continue
                park = None
            elif self.upstream.needs_roots(self.request.caller):
                result = _ASK_FOR_ROOTS
            else:
                result = await self._send(params, self.request)
            if not _wants_more(result):
                return result
            asked, answers = await self.questions.put(self._inputs(result))
            answers |= await self.questions.take(methods_of(asked), given)
            asked = {key: question for key, question in asked.items() if key not in answers}
            self._know_roots(answers.pop(_ROOTS, None))
            given = None
            if result is _ASK_FOR_ROOTS and not asked:
                continue
            if asked or not answers:
                return self._sealed(result, asked, answers, None)
            params = _next_round(params, result, answers)
        raise self._endless()

    async def _put_pushed(
        self, park: Park, inputs: Mapping[str, Any], given: Any
    ) -> dict[str, Any] | None:
        """Return the questions for the client of those that a server has pushed.

        None if all are answered, and the request goes on. What they are answered already, the
        server reads at once.
        """
        put = False
        try:
            asked, answers = await self.questions.put(inputs, pushed=True)
            answers |= await self.questions.take(methods_of(asked), given, pushed=True)
            put = True
        finally:
            if not put:
                self.parts.parks.give_up(park)
        park.give(answers)
        if left := {key: question for key, question in asked.items() if key not in answers}:
            return left
        self.parts.parks.resume(park.id, park.turn, self.request)
        return None

    def _park(self, params: Mapping[str, Any]) -> Park | None:
        """Send the request so that it can wait for the client, where its server may want that."""
        caller = self.request.caller
        if caller is None or not self.upstream.pushes(caller) or self.upstream.needs_roots(caller):
            return None
        first = _of_first_round(params)
        return self.parts.parks.start(
            self.request, lambda park: self._send_parked(first, park), self.parts.hold()
        )

    def _know_roots(self, roots: Mapping[str, Any] | None) -> None:
        if roots is not None and self.request.caller is not None:
            self.request.caller = replace(self.request.caller, roots=roots)

    async def _send_parked(self, params: Mapping[str, Any], park: Park) -> dict[str, Any]:
        request = replace(
            self.request,
            on_progress=park.progress if self.request.on_progress else None,
            on_log=park.log if self.request.on_log else None,
        )
        return await self._send(params, request, park.ask)

    async def _send(
        self, params: Mapping[str, Any], request: Request, on_ask: Any = None
    ) -> dict[str, Any]:
        try:
            return await self._send_once(params, request, on_ask, self.target)
        except ServerError as error:
            if error.code == HEADER_MISMATCH and self.fetch.kind is Kind.TOOL:
                return await self._send_renewed(params, request, on_ask, error)
            if (asked := url_questions(error)) is None:
                raise
            if request.modern:
                return asked
            raise await self._with_put_urls(error, asked) from error

    async def _with_put_urls(self, error: ServerError, asked: Mapping[str, Any]) -> ServerError:
        """Return a "URL elicitation required" error with what plugins leave of its questions."""
        put, _ = await self.questions.put(self._inputs(asked))
        return with_urls(error, put)

    async def _send_renewed(
        self, params: Mapping[str, Any], request: Request, on_ask: Any, error: ServerError
    ) -> dict[str, Any]:
        """Send once more where the tool has another schema by now; it was not called before."""
        member, name = self.target.member, self.operation.name
        member.forget((Kind.TOOL,))
        entry = (await member.entries(Kind.TOOL, request.caller)).get(name)
        if entry is None or entry.definition == self.target.definition:
            raise error
        chain = self.parts.chains.chain
        if chain(self.fetch.pre) or chain(self.fetch.post):  # plugins have seen the old definition
            message = f"Tool {name!r} has changed; list the tools again and repeat the call"
            raise RpcError(UPSTREAM_ERROR, message) from error
        renewed = replace(self.target, definition=entry.definition)
        return await self._send_once(params, request, on_ask, renewed)

    async def _send_once(
        self, params: Mapping[str, Any], request: Request, on_ask: Any, target: Target
    ) -> dict[str, Any]:
        return await self.upstream.request(
            self.fetch.name,
            params,
            on_progress=request.on_progress,
            on_log=request.on_log,
            log_level=request.log_level,
            tool_schema=(target.definition or {}).get("inputSchema"),
            caller=request.caller,
            on_ask=on_ask,
            extensions=of_client(self.parts, self.server, request.caller),
        )

    def _sealed(
        self,
        result: dict[str, Any],
        asked: Mapping[str, Any],
        answers: Mapping[str, Any],
        park: Park | None,
    ) -> dict[str, Any]:
        state = Round(
            self.server,
            self.target.inward,
            state=result.get("requestState"),
            parked=park.id if park else "",
            turn=park.turn if park else 0,
            asked=methods_of(asked),
            answers=answers,
            roots=self.request.caller.roots if self.request.caller else None,
        )
        sealed = {**result, "requestState": self.parts.sealer.seal(state, self._bound())}
        if "inputRequests" in result:
            sealed["inputRequests"] = dict(asked)
        return sealed

    def _bound(self) -> str:
        return binding(self.operation, self.request.params)

    def _inputs(self, result: Mapping[str, Any]) -> Any:
        inputs = result.get("inputRequests", {})
        if result is not _ASK_FOR_ROOTS and is_object(inputs) and _ROOTS in inputs:
            message = f"Server {self.server!r} asks under {_ROOTS!r}, a key of the gateway's"
            raise RpcError(UPSTREAM_ERROR, message)
        return inputs

    def _endless(self) -> RpcError:
        message = f"Server {self.server!r} asked for more {MAX_ROUNDS} times without an end"
        return RpcError(UPSTREAM_ERROR, message)


def _wants_more(result: Mapping[str, Any]) -> bool:
    return result.get("resultType") == "input_required"


def _of_first_round(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in _OF_A_ROUND}


def _next_round(
    params: Mapping[str, Any], result: Mapping[str, Any], answers: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the params of the next round: the first one's, the answers, the server's state."""
    following = _of_first_round(params)
    if answers:
        following["inputResponses"] = dict(answers)
    if (state := result.get("requestState")) is not None:
        following["requestState"] = state
    return following


def without_words(request: Request) -> Request:
    """Let only the numbers of a server's progress through: no guard sees what it says meanwhile."""
    report = request.on_progress

    async def numbers(params: dict[str, Any]) -> None:
        if report is not None:
            await report({key: params[key] for key in ("progress", "total") if key in params})

    on_progress: Progress | None = numbers if report else None
    return replace(request, on_progress=on_progress, on_log=None, log_level=None)
