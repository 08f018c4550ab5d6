"""Deliver what a server sends besides answers."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from mcp.shared.dispatcher import DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.transport_context import TransportContext
from mcp_types import METHOD_NOT_FOUND

from plugway.upstream.calls import Call, Calls
from plugway.upstream.values import as_number

MAX_UNDELIVERED = 1000
"""Progress and log messages that wait for slow receivers; what is over is dropped."""

CURRENT: ContextVar[Call | None] = ContextVar("plugway_upstream_call", default=None)
"""The call in whose response a message came; the SDK's HTTP transport keeps contexts."""

_FOR_CALLS = frozenset({"notifications/progress", "notifications/message"})


class Inbox:
    """Takes the notifications and requests of one server.

    Progress and log messages go to the calls they belong to, all other notifications to
    `on_other`, by their method.
    """

    def __init__(self, calls: Calls, on_other: Callable[[str], None], *, one_client: bool) -> None:
        self._calls = calls
        self._on_other = on_other
        self._one_client = one_client
        self._undelivered = 0
        self.logs_are_asked_for = False
        """Whether servers send log messages only for calls with a level, as modern ones do."""

    def arrive(self, method: str, _params: Mapping[str, Any] | None) -> bool:
        """Count, in the order of arrival, what waits to be delivered; True drops it."""
        if method not in _FOR_CALLS:
            return False
        if self._undelivered >= MAX_UNDELIVERED:
            return True
        self._undelivered += 1
        return False

    async def receive(
        self,
        _context: DispatchContext[TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> None:
        """Deliver one notification."""
        if method not in _FOR_CALLS:
            self._on_other(method)
            return
        try:
            if method == "notifications/progress":
                await self._progress(params or {})
            else:
                await self._log(dict(params or {}))
        finally:
            self._undelivered -= 1

    async def answer(
        self,
        _context: DispatchContext[TransportContext],
        method: str,
        _params: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Answer a request that the server makes: the one place where they are refused."""
        if method == "ping":
            return {}
        raise MCPError(METHOD_NOT_FOUND, f"plugway does not offer {method}")

    async def _progress(self, params: Mapping[str, Any]) -> None:
        call = self._calls.get(params.get("progressToken"))
        progress = as_number(params.get("progress"))
        if call is not None and call.on_progress is not None and progress is not None:
            message = params.get("message")
            text = message if isinstance(message, str) else None
            await call.deliver(call.on_progress, progress, as_number(params.get("total")), text)

    async def _log(self, params: dict[str, Any]) -> None:
        # over stdio nothing says to which call a message belongs; it may be another client's, late
        call = CURRENT.get()
        if call is None and self._one_client:
            call = self._calls.only(logging=self.logs_are_asked_for)
        if call is not None and call.on_log is not None:
            await call.deliver(call.on_log, params)
