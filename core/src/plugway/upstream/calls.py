"""The requests under way on one connection."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio

from plugway.dispatch.exchange import Ask, Log, Progress
from plugway.jsonrpc import INVALID_REQUEST, RpcError
from plugway.upstream.errors import Fault
from plugway_hookspecs.frozen import EMPTY


@asynccontextmanager
async def _at_once() -> AsyncGenerator[None]:
    yield


@dataclass(slots=True, eq=False)
class Call:
    """One request to a server: what to send, where its notifications go, what became of it."""

    method: str
    params: Mapping[str, Any] | None = None
    on_progress: Progress | None = None
    on_log: Log | None = None
    log_level: str | None = None
    tool_schema: Mapping[str, Any] | None = None
    """The tool's input schema, which names the arguments that are mirrored in HTTP headers."""
    capabilities: Mapping[str, Any] = EMPTY
    """What is declared of the client to a server of the stateless era."""
    on_ask: Ask | None = None
    """Answers what the server asks while the request is under way."""
    on_acknowledged: Callable[[Mapping[str, Any]], None] | None = None
    """Takes the params with which a server acknowledges a subscription."""
    waiting: Callable[[], AbstractAsyncContextManager[None]] = _at_once
    """The block in which the client is asked: its time is not the server's."""
    cancellable: bool = True
    """False for the requests that MCP forbids to cancel."""
    background: bool = False
    """True for a stream of the gateway's own, which nobody waits for."""
    fault: Fault | None = None
    """Written by the transport, which sees what the SDK's error does not tell."""
    session: str = ""
    """Written by the transport: the session that the answer opened, if it opened one."""
    abort: Callable[[], None] | None = None
    """Written by the transport: makes it let go of the answer."""
    _order: anyio.Lock | None = None
    _open: bool = False
    _questions: set[anyio.CancelScope] = field(default_factory=set[anyio.CancelScope])

    @property
    def _ordered(self) -> anyio.Lock:
        """What keeps notifications in the order of arrival; most calls have none."""
        if self._order is None:
            self._order = anyio.Lock(fast_acquire=True)
        return self._order

    def open(self) -> None:
        """Begin to wait for the answer."""
        self.fault = self.abort = None
        self._open = True

    def close(self) -> None:
        """Deliver nothing more, and ask nobody any longer: the caller has gone."""
        self._open = False
        for question in self._questions:
            question.cancel()

    @property
    def askable(self) -> bool:
        """Whether its client can be asked, and still waits for the answer."""
        return self.on_ask is not None and self._open

    async def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Put what the server asks in the middle of the request; raises `RpcError`."""
        if self.on_ask is not None and self._open:
            with anyio.CancelScope() as question:
                self._questions.add(question)
                try:
                    # a round may end with the question, and what comes late is lost
                    await self.caught_up()
                    async with self.waiting():
                        return await self.on_ask(method, params)
                finally:
                    self._questions.remove(question)
        raise RpcError(INVALID_REQUEST, f"The request that {method} belongs to is over")

    async def deliver(self, callback: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Pass a notification on, in the order of arrival, unless the call is closed."""
        async with self._ordered:
            if self._open:
                await callback(*args)

    async def caught_up(self) -> None:
        """Wait until every notification is passed on that came so far."""
        if self._order is not None:
            async with self._order:
                pass

    async def delivered(self) -> None:
        """Wait until every notification is passed on that came before the answer."""
        if self._order is not None:
            async with self._order:
                pass
        self._open = False


class Calls:
    """The calls under way on one connection, by JSON-RPC id."""

    def __init__(self) -> None:
        self.noticed = anyio.Event()
        """Set by the HTTP transport when it has sent the first message that has no answer."""
        self._calls: dict[int, Call] = {}
        self._ids = count(1)
        self._changed = anyio.Event()

    def add(self, call: Call) -> int:
        """Mint an id for a call."""
        request_id = next(self._ids)
        self._calls[request_id] = call
        return request_id

    def remove(self, request_id: int) -> None:
        """Forget a call."""
        del self._calls[request_id]
        if not self._calls:
            self._changed.set()
            self._changed = anyio.Event()

    def get(self, request_id: object) -> Call | None:
        """Return the call of that id; servers may echo an id as a string."""
        if isinstance(request_id, str) and request_id.isdecimal():
            request_id = int(request_id)
        if isinstance(request_id, int) and not isinstance(request_id, bool):
            return self._calls.get(request_id)
        return None

    def only(self, *, logging: bool = False) -> Call | None:
        """Return the call under way if it is the only one (of those that asked for logs)."""
        candidates = [
            call
            for call in self._calls.values()
            if not call.background and (call.log_level or not logging)
        ]
        return candidates[0] if len(candidates) == 1 else None

    def askable(self) -> Call | None:
        """Return the latest of the calls whose client can be asked."""
        return next((call for call in reversed(self._calls.values()) if call.askable), None)

    async def drained(self) -> None:
        """Wait until no call is under way."""
        while self._calls:
            await self._changed.wait()
