"""Deliver what a server sends besides answers."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import METHOD_NOT_FOUND

from plugway.dispatch.exchange import Ask
from plugway.jsonrpc import RpcError
from plugway.upstream.calls import Call, Calls
from plugway.upstream.values import as_number, as_object

MAX_UNDELIVERED = 1000
"""Progress and log messages that wait for slow receivers; what is over is dropped."""

CURRENT: ContextVar[Call | None] = ContextVar("plugway_upstream_call", default=None)
"""The call in whose response a message came; the SDK's HTTP transport keeps contexts."""

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_FOR_CALLS = frozenset({"notifications/progress", "notifications/message"})

Notified = Callable[[str, Mapping[str, Any]], None]
"""Takes method and params of a notification that is for no call."""


class Inbox:
    """Takes the notifications and requests of one server.

    Progress, log messages and questions go to the calls they belong to; questions that belong to
    none to `on_ask`; all other notifications to `on_other`. With `one_client` every call on the
    connection is the same client's, so that what can't be told from its stream still finds it.
    """

    def __init__(
        self,
        calls: Calls,
        on_other: Notified,
        *,
        one_client: bool,
        on_ask: Ask | None = None,
    ) -> None:
        self._calls = calls
        self._on_other = on_other
        self._one_client = one_client
        self._on_ask = on_ask
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

    async def receive(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Deliver one notification."""
        if method not in _FOR_CALLS:
            self._acknowledge(method, params or {})
            self._on_other(method, params or {})
            return
        try:
            if method == "notifications/progress":
                await self._progress(params or {})
            else:
                await self._log(dict(params or {}))
        finally:
            self._undelivered -= 1

    async def answer(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Answer a request that the server makes: what it asks of a client goes to that client."""
        if method == "ping":
            return {}
        try:
            return await self._ask(method, params or {})
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None

    async def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        call = CURRENT.get()
        if call is None and self._one_client and (guess := self._calls.askable()) is not None:
            return await self._ask_guessed(guess, method, params)
        if call is not None and call.on_ask is not None:
            return await call.ask(method, params)
        if self._on_ask is not None:
            return await self._on_ask(method, params)
        raise RpcError(METHOD_NOT_FOUND, f"The client does not offer {method}")

    async def _ask_guessed(
        self, call: Call, method: str, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask in the course of one of a client's calls; which it belongs to nobody knows.

        Where that call ends before it is answered, it was for another that is still under way.
        """
        while True:
            try:
                return await call.ask(method, params)
            except RpcError:
                other = self._calls.askable()
                if call.askable or other is None:
                    raise
                call = other

    def _acknowledge(self, method: str, params: Mapping[str, Any]) -> None:
        if method == ACKNOWLEDGED:
            call = self._calls.get(as_object(params.get("_meta")).get(SUBSCRIPTION_ID_META_KEY))
            if call is not None and call.on_acknowledged is not None:
                call.on_acknowledged(params)

    async def _progress(self, params: Mapping[str, Any]) -> None:
        call = self._calls.get(params.get("progressToken"))
        if call is None or call.on_progress is None or as_number(params.get("progress")) is None:
            return
        told = {key: value for key, value in params.items() if key != "progressToken"}
        if as_number(told.get("total")) is None:
            told.pop("total", None)
        if not isinstance(told.get("message"), str):
            told.pop("message", None)
        await call.deliver(call.on_progress, told)

    async def _log(self, params: dict[str, Any]) -> None:
        # over stdio nothing says to which call a message belongs; it may be another client's, late
        call = CURRENT.get()
        if call is None and self._one_client:
            call = self._calls.only(logging=self.logs_are_asked_for)
        if call is not None and call.on_log is not None:
            await call.deliver(call.on_log, params)
        elif call is None and self._on_ask is not None:
            self._on_other("notifications/message", params)
