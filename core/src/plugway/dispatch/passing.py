"""The way of one request through its pre chain, as often as plugins rename it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from plugway.executor.chain import Chain
from plugway.jsonrpc import INTERNAL_ERROR, RpcError
from plugway.methods import MAX_RENAMES
from plugway_hookspecs import Operation, Outcome, Payload, PlugwayError, Respond

T = TypeVar("T")
"""What is known of where a name leads."""

About = tuple[str, str, Mapping[str, Any] | None]
"""What a request is about: name, server, definition."""

Find = Callable[[str], Awaitable[T]]
"""Has the operation be about another name, and returns where that leads."""
Ask = Callable[[Payload, T], Awaitable[Outcome[Any]]]
"""Asks the server; `Respond` says that plugins are round the answer."""

log = logging.getLogger(__name__)


class RenamedForEverError(PlugwayError):
    """Plugins gave a request one name after another."""

    def explain(self, operation: Operation) -> RpcError:
        """Log it, and return what the client reads."""
        log.error("request %s: %s", operation.id, self)
        hint = f"the gateway's log has it under {operation.id}"
        message = f"Plugins renamed the request more than {MAX_RENAMES} times; {hint}"
        return RpcError(INTERNAL_ERROR, message)


class Passage(Generic[T]):
    """Takes one request through the pre chain, and through it again under each new name.

    Names decide who is asked, so those who guard the new one have to be.
    """

    def __init__(
        self, chain: Chain[Any], operation: Operation, identifier: str, find: Find[T], ask: Ask[T]
    ) -> None:
        """Run requests through `chain`; `identifier` is the field by which plugins rename them."""
        self.chain = chain
        self.operation = operation
        self.identifier = identifier
        self.find = find
        self.ask = ask
        self.renames = 0
        """How often it has been renamed to what it is called now."""

    async def run(self, payload: Payload, target: T) -> Outcome[Any]:
        """Return what came of it; the operation is then about what it turned out to be about."""
        outcome, about = await self._pass(payload, target)
        self._name(about)
        return outcome

    async def _pass(self, payload: Payload, target: T) -> tuple[Outcome[Any], About]:
        operation = self.operation
        about = here = operation.name, operation.server, operation.definition

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
            return await self.ask(final, target)

        outcome: Outcome[Any]
        if self.chain.wraps:
            outcome = await self.chain(payload, operation, ask)
            if operation.request is None:
                about = here  # what a wrapper tried before is not what came of it
        else:
            outcome = await self.chain(payload, operation)
            if outcome.verdict is None:
                return await ask(outcome.payload), about
        answered = isinstance(outcome.verdict, Respond) and about is here
        if answered and self._renames(outcome.payload):
            return await self._pass_again(outcome.payload)
        return outcome, about

    def _renames(self, payload: Payload) -> bool:
        return bool(getattr(payload, self.identifier) != self.operation.name)

    async def _pass_again(self, payload: Payload) -> tuple[Outcome[Any], About]:
        name: str = getattr(payload, self.identifier)
        if self.renames == MAX_RENAMES:
            message = f"plugins renamed the request more than {MAX_RENAMES} times, now to {name!r}"
            raise RenamedForEverError(message)
        target = await self.find(name)
        self.renames += 1
        try:
            return await self._pass(payload, target)
        finally:
            self.renames -= 1

    def _name(self, about: About) -> None:
        self.operation.name, self.operation.server, self.operation.definition = about
