"""What runs round a server's question to the client: chains before it, and after the answer.

The two may be in one request (a pushed one, until 2025-11-25) or in two (`input_required`), so
there is a function for each. Plugins see the same either way.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from plugway.dispatch.routing import Chains
from plugway.foreign import about
from plugway.jsonrpc import DENIED, RpcError
from plugway.limits import check_size, read_answer, read_question
from plugway.methods import Ask
from plugway_hookspecs import Deny, Operation, Outcome, Payload, PlugwayError, Respond

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A plugin's answer to a server's question, which the client is then not asked."""

    result: dict[str, Any]
    """What the server gets."""


class DeniedQuestionError(PlugwayError):
    """A plugin denied a server's question, or the client's answer to it.

    `outcome` has the deny, `operation` is that of the question. For the client's own request, give
    the outcome to `plugway.dispatch.shaping.answer_denied`.
    """

    def __init__(self, ask: Ask, outcome: Outcome[Any], operation: Operation) -> None:
        deny = outcome.verdict
        assert isinstance(deny, Deny)  # noqa: S101 - for the type checker
        super().__init__(f"plugin {outcome.plugin!r} denied {ask.name}: {deny.reason}")
        self.ask = ask
        self.deny = deny
        self.outcome = outcome
        self.operation = operation

    def as_rpc_error(self) -> RpcError:
        """Return what a server gets that has pushed its question; the details stay on record."""
        deny = self.deny
        data = {"code": deny.code, "request": self.operation.id}
        return RpcError(deny.mcp_error_code or DENIED, f"Denied: {deny.reason}", data)


class Parts(Protocol):
    """The parts of a gateway that questions pass."""

    @property
    def chains(self) -> Chains:
        """The plugins."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """How large a message may be that plugins see."""
        ...


def asked_by(operation: Operation, ask: Ask, server: str) -> Operation:
    """Return the operation of a question that a server asks within a client's request.

    It is about the same tool, prompt or resource, and shares notes, findings and record with the
    request: take it when notes of earlier rounds are back. What is asked outside of any request has
    an operation of its own already, and is within nothing.
    """
    within = operation.within or operation.method
    return replace(
        operation,
        method=ask.name,
        within="" if within == ask.name else within,
        server=server,
        request=None,
        denied=False,
    )


async def before_client(
    parts: Parts, ask: Ask, params: Mapping[str, Any], operation: Operation
) -> Mapping[str, Any] | Answered:
    """Return the params to put to the client, or the answer of a plugin, past its post hooks.

    `operation` is what `asked_by` returned. Raises `DeniedQuestionError`, and `RpcError` for what
    is too large or no such question.
    """
    pre = parts.chains.chain(ask.pre)
    if not pre:
        return params
    payload = read_question(ask, params, operation.server, parts.max_payload_bytes)
    outcome: Outcome[Any] = await pre(payload, operation)
    if isinstance(outcome.verdict, Deny):
        raise _denied(ask, outcome, operation)
    operation.request = outcome.payload
    if isinstance(outcome.verdict, Respond):
        final = await _after(parts, ask, outcome.verdict.result, operation)
        return Answered(_within_limit(parts, ask, final, "answer to"))
    if outcome.payload is payload:
        return params
    return _within_limit(parts, ask, outcome.payload, "question")


async def after_client(
    parts: Parts, ask: Ask, result: dict[str, Any], operation: Operation
) -> dict[str, Any]:
    """Return the client's answer as the server gets it.

    `operation` is what `asked_by` returned; its `request` is the question where that is known.
    Raises `DeniedQuestionError`, and `RpcError` for what is too large or no such answer.
    """
    if not parts.chains.chain(ask.post):
        return result
    payload = read_answer(ask, result, parts.max_payload_bytes)
    final = await _after(parts, ask, payload, operation)
    return result if final is payload else _within_limit(parts, ask, final, "answer to")


async def _after(parts: Parts, ask: Ask, payload: Payload, operation: Operation) -> Payload:
    outcome: Outcome[Any] = await parts.chains.chain(ask.post)(payload, operation)
    if isinstance(outcome.verdict, Deny):
        raise _denied(ask, outcome, operation)
    final: Payload = outcome.payload
    return final


def _denied(ask: Ask, outcome: Outcome[Any], operation: Operation) -> DeniedQuestionError:
    operation.denied = True
    error = DeniedQuestionError(ask, outcome, operation)
    log.info("%s denied by %r: %s", about(operation), outcome.plugin, error.deny.code)
    return error


def _within_limit(parts: Parts, ask: Ask, payload: Payload, what: str) -> dict[str, Any]:
    """Return what plugins made, as it goes on the wire, if it is not too large."""
    wire = payload.to_wire()
    check_size(wire, parts.max_payload_bytes, f"The {what} {ask.name}, as plugins made it,")
    return wire
