"""One connection to one server through the SDK's dispatcher: plain JSON in, plain JSON out."""

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR
from pydantic_core import PydanticSerializationError, to_json

from plugway.upstream import faults
from plugway.upstream.calls import Call, Calls
from plugway.upstream.changes import Changes
from plugway.upstream.connection import Peer
from plugway.upstream.envelope import headers_of, params_of
from plugway.upstream.errors import Fault, NoAnswerError
from plugway.upstream.values import as_number
from plugway_hookspecs import ServerError

CANCEL_TIMEOUT = 5.0
"""Seconds to get a cancellation out to a server that may have stopped reading."""
MAX_UNDELIVERED = 1000
"""Progress and log notifications that wait for slow receivers; what is over is dropped."""

_CURRENT: ContextVar[Call | None] = ContextVar("plugway_upstream_call", default=None)
"""The call in whose response a notification came; the SDK's HTTP transport keeps contexts."""

_EVENTS = {"notifications/progress", "notifications/message"}

log = logging.getLogger(__name__)


class SdkConnection:
    """One connection; `run` drives it, `request` may be called from any task.

    `on_event` is called with the method of every list-changed notification.
    """

    def __init__(self, server: str, *, http: bool, on_event: Callable[[str], None]) -> None:
        self.server = server
        self.calls = Calls()
        self.over = anyio.Event()
        self.fault: Fault | None = None
        self.peer = Peer("legacy", "")
        self._http = http
        self._changes = Changes(on_event)
        self._undelivered = 0
        self._dispatcher: JSONRPCDispatcher[TransportContext] | None = None
        self._tasks: TaskGroup | None = None

    async def run(
        self, streams: Any, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Drive the connection until its transport closes it."""
        self._dispatcher = JSONRPCDispatcher(*streams)
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._dispatcher.run(
                    _answer_server, self._on_notify, self._intercept, task_status=task_status
                )
                self.retire(faults.CLOSED)
                self._tasks.cancel_scope.cancel()
        finally:
            self.retire(faults.CLOSED)

    async def serve(self) -> None:
        """Stay until the connection is over and the requests under way are done."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._changes.listen, self)
            await self.over.wait()
            tasks.cancel_scope.cancel()
        await self.calls.drained()

    def retire(self, fault: Fault) -> None:
        """Take no more requests; what is under way may still be answered."""
        if not self.over.is_set():
            self.fault = fault
            self.over.set()

    async def request(self, call: Call) -> dict[str, Any]:
        """Send one request and return its raw result; see `Connection.request`."""
        if self.over.is_set():
            raise NoAnswerError(Fault("closed the connection", unsent=True))
        peer = self.peer
        return await self.exchange(
            call, protocol_version=peer.protocol_version, modern=peer.era == "modern"
        )

    async def exchange(self, call: Call, *, protocol_version: str, modern: bool) -> dict[str, Any]:
        """Send one request in the manner of an era and return its raw result."""
        request_id = self.calls.add(call)
        context = _CURRENT.set(call)
        try:
            params = params_of(call, request_id, protocol_version=protocol_version, modern=modern)
            self._check(params)
            options = CallOptions(request_id=request_id, cancel_on_abandon=False)
            if self._http:
                options["headers"] = headers_of(
                    call, request_id, protocol_version=protocol_version, modern=modern
                )
            result = await self._sender.send_raw_request(call.method, params, options)
            await call.finish()
        except MCPError as error:
            raise self._error(call, error) from None
        except anyio.get_cancelled_exc_class():
            self._abandon(call, request_id)
            raise
        else:
            return result
        finally:
            _CURRENT.reset(context)
            self.calls.remove(request_id)

    async def initialized(self, protocol_version: str) -> None:
        """Send `notifications/initialized`."""
        headers = {MCP_PROTOCOL_VERSION_HEADER: protocol_version}
        await self._sender.notify("notifications/initialized", None, CallOptions(headers=headers))

    @property
    def _sender(self) -> JSONRPCDispatcher[TransportContext]:
        if self._dispatcher is None:
            raise RuntimeError("the connection is not running")
        return self._dispatcher

    def _check(self, params: dict[str, Any]) -> None:
        # the SDK encodes messages in tasks that the whole connection hangs on
        try:
            to_json(params)
        except (PydanticSerializationError, ValueError):
            message = "The request's params can't be sent as JSON in UTF-8"
            raise ServerError(message, server=self.server, code=INVALID_PARAMS) from None

    def _error(self, call: Call, error: MCPError) -> ServerError | NoAnswerError:
        """Tell a JSON-RPC error of the server from the SDK's own."""
        if call.fault is not None:
            return NoAnswerError(call.fault)
        match error.code, error.message:
            case (_, "Connection closed") if error.code == CONNECTION_CLOSED:
                return NoAnswerError(faults.CLOSED)
            case (_, text) if error.code == CONNECTION_CLOSED and text.startswith("SSE stream"):
                return NoAnswerError(Fault("broke off its response before the answer"))
            case (_, text) if error.code == PARSE_ERROR and text.startswith("Failed to parse SSE"):
                return NoAnswerError(faults.NOT_JSON_RPC)
            case _:
                return ServerError(
                    error.message, server=self.server, code=error.code, data=error.data
                )

    def _abandon(self, call: Call, request_id: int) -> None:
        """Cancel a request on the server, without making the caller wait for that."""
        call.abandon()
        if call.cancellable and self._tasks is not None and not self.over.is_set():
            self._tasks.start_soon(self._cancel, request_id)

    async def _cancel(self, request_id: int) -> None:
        params = {"requestId": request_id, "reason": "the caller gave up"}
        with anyio.move_on_after(CANCEL_TIMEOUT):
            await self._sender.notify("notifications/cancelled", params)

    def _intercept(self, method: str, _params: Mapping[str, Any] | None) -> bool:
        """Count, in the order of arrival, what waits to be delivered; True drops it."""
        if method not in _EVENTS:
            return False
        if self._undelivered >= MAX_UNDELIVERED:
            return True
        self._undelivered += 1
        return False

    async def _on_notify(
        self,
        _context: DispatchContext[TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> None:
        if method not in _EVENTS:
            self._changes.notified(method)
            return
        try:
            if method == "notifications/progress":
                await self._on_progress(params or {})
            else:
                await self._on_log(dict(params or {}))
        finally:
            self._undelivered -= 1

    async def _on_progress(self, params: Mapping[str, Any]) -> None:
        call = self.calls.get(params.get("progressToken"))
        progress = as_number(params.get("progress"))
        if call is not None and call.on_progress is not None and progress is not None:
            message = params.get("message")
            text = message if isinstance(message, str) else None
            await call.deliver(call.on_progress, progress, as_number(params.get("total")), text)

    async def _on_log(self, params: dict[str, Any]) -> None:
        # over stdio nothing says to which call a log message belongs
        call = _CURRENT.get() or self.calls.only(logging=self.peer.era == "modern")
        if call is not None and call.on_log is not None:
            await call.deliver(call.on_log, params)


async def _answer_server(
    _context: DispatchContext[TransportContext], method: str, _params: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Answer a request that the server makes: the one place where they are refused."""
    if method == "ping":
        return {}
    raise MCPError(METHOD_NOT_FOUND, f"plugway does not offer {method}")
