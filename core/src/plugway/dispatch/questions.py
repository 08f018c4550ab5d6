"""What a server asks the client in the course of one request, with plugins round it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio

from plugway.dispatch.exchange import Ask, Request
from plugway.dispatch.inputs import (
    Answered,
    DeniedQuestionError,
    after_client,
    asked_by,
    before_client,
)
from plugway.dispatch.routing import Parts
from plugway.jsonrpc import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UPSTREAM_ERROR,
    RpcError,
)
from plugway.jsonvalues import is_object
from plugway.methods import ASKS
from plugway_hookspecs import Operation

MAX_QUESTIONS = 100
"""How much a server may ask at the same time."""


class Questions:
    """Puts one server's questions to the client of one request."""

    def __init__(self, parts: Parts, request: Request, operation: Operation, server: str) -> None:
        """Ask for `server`, in the middle of `request`."""
        self.parts = parts
        self.request = request
        self.operation = operation
        self.server = server

    async def push(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Put one question to a client that waits, and return its answer.

        Raises `RpcError` with what the server is to read.
        """
        if not self._offered(method, params):
            raise _not_offered(method)
        try:
            return await self._ask(method, params)
        except DeniedQuestionError as denied:
            raise denied.as_rpc_error() from None

    async def answer(self, inputs: Any) -> dict[str, Any]:
        """Put the questions of an `input_required` result to a client that waits, all at once.

        Raises `RpcError`, and `DeniedQuestionError`.
        """
        answers: dict[str, Any] = {}
        failures: list[RpcError | DeniedQuestionError] = []

        async def one(key: str, method: str, params: Mapping[str, Any]) -> None:
            try:
                answers[key] = await self._ask(method, params)
            except (RpcError, DeniedQuestionError) as error:  # a task group would wrap it
                failures.append(error)
                tasks.cancel_scope.cancel()

        questions = self._read(inputs)
        async with anyio.create_task_group() as tasks:
            for key, (method, params) in questions.items():
                tasks.start_soon(one, key, method, params)
        if failures:
            raise failures[0]
        return answers

    async def put(
        self, inputs: Any, *, pushed: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the questions that go to the client, and the answers that plugins gave instead.

        Raises as `answer` does; where the server has pushed its questions, what it is to read of
        that is among the answers instead, as `RpcError`.
        """
        asked: dict[str, Any] = {}
        answers: dict[str, Any] = {}
        for key, (method, params) in self._read(inputs, pushed=pushed).items():
            with _answered_by_errors(answers, key, pushed=pushed):
                if not self._offered(method, params):
                    raise _not_offered(method)
                put = await before_client(self.parts, ASKS[method], params, self._about(method))
                if isinstance(put, Answered):
                    answers[key] = put.result
                else:
                    same = put is params
                    asked[key] = inputs[key] if same else {**inputs[key], "params": put}
        return asked, answers

    async def take(
        self, asked: Mapping[str, str], responses: Any, *, pushed: bool = False
    ) -> dict[str, Any]:
        """Return a client's answers to what it was asked, as the server gets them.

        Whatever else it answers is left out. Raises as `put` does.
        """
        given = responses if is_object(responses) else {}
        answers: dict[str, Any] = {}
        for key, method in asked.items():
            if key not in given:
                continue
            result = given[key]
            if not is_object(result):
                message = f"Invalid inputResponses: the answer {key[:100]!r} is no object"
                raise RpcError(INVALID_PARAMS, message)
            about = self._about(method)
            with _answered_by_errors(answers, key, pushed=pushed):
                answers[key] = await after_client(self.parts, ASKS[method], result, about)
        return answers

    async def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        ask, about = ASKS[method], self._about(method)
        put = await before_client(self.parts, ask, params, about)
        if isinstance(put, Answered):
            return put.result
        result = await self._client(method, put, about)
        return await after_client(self.parts, ask, result, about)

    async def _client(
        self, method: str, params: Mapping[str, Any], about: Operation
    ) -> dict[str, Any]:
        put: Ask | None = self.request.ask
        if put is None:
            raise RpcError(METHOD_NOT_FOUND, f"The client can't be asked for {method}")
        if self.request.limit is None:
            return await put(method, params)
        try:
            with self.request.limit.stopped():
                return await put(method, params)
        finally:
            self.operation.deadline = about.deadline = self.request.limit.deadline

    def _about(self, method: str) -> Operation:
        return asked_by(self.operation, ASKS[method], self.server)

    def _read(
        self, inputs: Any, *, pushed: bool = False
    ) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return method and params of each question; raises `RpcError` if one can't be put."""
        if not is_object(inputs) or len(inputs) > MAX_QUESTIONS:
            raise self._bad("no object of questions")
        read: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for key, question in inputs.items():
            method = question.get("method") if is_object(question) else None
            params = question.get("params", {}) if is_object(question) else None
            if pushed and isinstance(method, str) and is_object(params):
                read[key] = method, params
                continue
            if method not in ASKS or not is_object(params):
                raise self._bad("a question that MCP does not have")
            if not self._offered(method, params):
                raise self._missing(method, params)
            read[key] = method, params
        return read

    def _bad(self, what: str) -> RpcError:
        return RpcError(UPSTREAM_ERROR, f"Server {self.server!r} asks {what}")

    def _offered(self, method: str, params: Mapping[str, Any]) -> bool:
        """Whether the server may ask this, and the client can answer it."""
        offers = self._offers()
        if method not in ASKS or (offer := offers.get(ASKS[method].capability)) is None:
            return False
        part = _part(method, params)
        return not part or part in offer or (part == "form" and not offer)

    def _missing(self, method: str, params: Mapping[str, Any]) -> RpcError:
        capability, part = ASKS[method].capability, _part(method, params)
        if part == "form" and capability not in self._offers():
            part = ""  # without any part it means the form
        lacked = f"{capability}.{part}" if part else capability
        message = f"Server {self.server!r} needs {lacked}, which the client lacks"
        data: dict[str, Any] = {"requiredCapabilities": {capability: {part: {}} if part else {}}}
        return RpcError(MISSING_CAPABILITY, message, data)

    def _offers(self) -> Mapping[str, Any]:
        return self.parts.upstreams[self.server].asks(self.request.caller)


def _part(method: str, params: Mapping[str, Any]) -> str:
    """Return the part of a capability that a question needs; empty if the capability will do."""
    if method == "elicitation/create":
        return "url" if params.get("mode") == "url" else "form"
    if method == "sampling/createMessage" and any(
        params.get(key) is not None for key in ("tools", "toolChoice")
    ):
        return "tools"
    return ""


def _not_offered(method: str) -> RpcError:
    return RpcError(METHOD_NOT_FOUND, f"The client does not offer {method}")


@contextmanager
def _answered_by_errors(answers: dict[str, Any], key: str, *, pushed: bool) -> Generator[None]:
    """Have the error of a block be the answer to a question that its server has pushed."""
    try:
        yield
    except RpcError as error:
        if not pushed:
            raise
        answers[key] = error
    except DeniedQuestionError as denied:
        if not pushed:
            raise
        answers[key] = denied.as_rpc_error()


def methods_of(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return the method of each question."""
    return {key: question["method"] for key, question in asked.items()}
