"""One connection to one server through the SDK's dispatcher: plain JSON in, plain JSON out."""

from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, PARSE_ERROR
from pydantic_core import PydanticSerializationError, to_json

from plugway.dispatch.exchange import Ask
from plugway.upstream import faults
from plugway.upstream.calls import Call, Calls
from plugway.upstream.changes import Changes
from plugway.upstream.connection import Peer
from plugway.upstream.envelope import CALL_HEADER, headers_of, params_of
from plugway.upstream.errors import Fault, NoAnswerError
from plugway.upstream.inbox import CURRENT, Inbox, Notified
from plugway.upstream.posting import Poster, Posting, RedirectedError
from plugway_hookspecs import ServerError

CANCEL_TIMEOUT = 5.0
"""Seconds to get a cancellation out to a server that may have stopped reading."""
NOTICE_TIMEOUT = 5.0
"""Seconds for the notification that ends a handshake."""
HEARING_TIMEOUT = 2.0
"""Seconds for a server to open the stream of what belongs to no request; some never do."""


class SdkConnection:
    """One connection; `run` drives it, `request` may be called from any task.

    `on_event` and `on_ask` take what the server sends that belongs to no request. Over HTTP,
    `poster` sends the requests once the connection stands.
    """

    def __init__(
        self,
        server: str,
        *,
        http: bool,
        one_client: bool,
        on_event: Notified,
        on_ask: Ask | None = None,
        poster: Poster | None = None,
    ) -> None:
        self.server = server
        self.calls = Calls()
        self.over = anyio.Event()
        self.fault: Fault | None = None
        self.peer = Peer("legacy", "")
        self._http = http
        self._poster = poster
        self._posting: Posting | None = None
        self._session = ""
        self._cancelling = 0
        self._cancelled = anyio.Event()
        self._hears = anyio.Event()
        self._changes = Changes(on_event)
        self._inbox = Inbox(
            self.calls, self._changes.notified, one_client=one_client, on_ask=on_ask
        )
        self._dispatcher: JSONRPCDispatcher[TransportContext] | None = None
        self._tasks: TaskGroup | None = None

    async def run(
        self, streams: Any, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Drive the connection until its transport closes it."""
        self._dispatcher = JSONRPCDispatcher(*streams)
        inbox = self._inbox
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._dispatcher.run(
                    lambda _, method, params: inbox.answer(method, params),
                    lambda _, method, params: self._receive(method, params),
                    inbox.arrive,
                    task_status=task_status,
                )
                self.retire(faults.GONE)
                self._tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self.retire(faults.GONE)

    async def _receive(self, method: str, params: Mapping[str, Any] | None) -> None:
        if method == "notifications/cancelled" and self._posting is not None:
            self._posting.withdraw(params or {})
        await self._inbox.receive(method, params)

    async def serve(self, peer: Peer) -> None:
        """Stay until the connection is over and the requests under way are done."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._changes.listen, peer, self.request)
            await self.over.wait()
            tasks.cancel_scope.cancel()
        await self.calls.drained()

    def agree(self, peer: Peer) -> None:
        """Take what negotiation found out; requests follow it from now on."""
        self.peer = peer
        self._inbox.logs_are_asked_for = peer.era == "modern"
        if self._poster is not None and self._tasks is not None:
            self._posting = Posting(
                self._poster,
                self,
                self._inbox,
                self._tasks,
                session=self._session,
                resumable=peer.era == "legacy",
            )
        if not (self._http and peer.era == "legacy" and peer.session):
            self._hears.set()  # there is but one stream, or none at all

    def listening(self, opened: bool) -> None:
        """Note that opening the stream of what belongs to no request succeeded, or failed."""
        if opened and self._hears.is_set():
            self._changes.resumed()
        self._hears.set()

    async def hears(self) -> None:
        """Wait until what the server sends outside of requests arrives here; see `Connection`."""
        with anyio.move_on_after(HEARING_TIMEOUT):
            await self._hears.wait()
        self._hears.set()

    def retire(self, fault: Fault) -> None:
        """Take no more requests; what is under way may still be answered."""
        if not self.over.is_set():
            self.fault = fault
            self.over.set()

    async def quiet(self) -> None:
        """Wait until the server has been told of every request that was given up."""
        while self._cancelling:
            await self._cancelled.wait()

    async def request(self, call: Call) -> dict[str, Any]:
        """Send one request and return its raw result; see `Connection.request`."""
        if self.over.is_set():
            raise NoAnswerError(faults.GONE)
        peer = self.peer
        return await self.exchange(
            call, protocol_version=peer.protocol_version, modern=peer.era == "modern"
        )

    async def exchange(self, call: Call, *, protocol_version: str, modern: bool) -> dict[str, Any]:
        """Send one request in the manner of an era and return its raw result."""
        request_id = self.calls.add(call)
        context = CURRENT.set(call)
        call.open()
        try:
            params = params_of(call, request_id, protocol_version=protocol_version, modern=modern)
            headers: dict[str, str] = {}
            if self._http:
                headers = headers_of(call, protocol_version=protocol_version, modern=modern)
            if self._posting is not None and not call.background:
                try:
                    return await self._posting.ask(call, request_id, params, headers)
                except RedirectedError:
                    self._posting = None  # the SDK's client knows how far to follow
            return await self._send(call, request_id, params, headers)
        except anyio.get_cancelled_exc_class():
            self._abandon(call, request_id)
            raise
        finally:
            call.close()
            CURRENT.reset(context)
            self.calls.remove(request_id)

    async def initialized(self, protocol_version: str) -> None:
        """Send `notifications/initialized`."""
        await self._tell("notifications/initialized", protocol_version)
        if self._poster is not None:  # or the first request might be there before it
            with anyio.move_on_after(NOTICE_TIMEOUT):
                await self.calls.noticed.wait()

    async def tell(self, method: str) -> None:
        """Send a notification without params."""
        if self._posting is not None:
            await self._posting.tell(method, None, self._version())
        else:
            await self._tell(method, self.peer.protocol_version)

    def _version(self) -> list[tuple[bytes, bytes]]:
        return [(MCP_PROTOCOL_VERSION_HEADER.encode(), self.peer.protocol_version.encode())]

    async def _tell(self, method: str, protocol_version: str) -> None:
        headers = {MCP_PROTOCOL_VERSION_HEADER: protocol_version}
        await self._sender.notify(method, None, CallOptions(headers=headers))

    @property
    def _sender(self) -> JSONRPCDispatcher[TransportContext]:
        if self._dispatcher is None:
            raise RuntimeError("the connection is not running")
        return self._dispatcher

    async def _send(
        self, call: Call, request_id: int, params: Mapping[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        self._check(call.method, params)
        options = CallOptions(request_id=request_id, cancel_on_abandon=False)
        if self._http:
            options["headers"] = {**headers, CALL_HEADER: str(request_id)}
        try:
            result = await self._sender.send_raw_request(call.method, params, options)
        except MCPError as error:
            await call.delivered()
            raise self._error(call, error) from None
        await call.delivered()
        self._session = call.session or self._session
        return result

    def _check(self, method: str, params: Mapping[str, Any]) -> None:
        """Refuse what can't be encoded: the SDK finds out in a task that all else hangs on."""
        try:
            to_json(params)
            encodable = method.isascii() and method.isprintable()
        except (PydanticSerializationError, ValueError):
            encodable = False
        if not encodable:
            message = "The request can't be sent: it is not JSON in UTF-8"
            raise ServerError(message, server=self.server, code=INVALID_PARAMS)

    def _error(self, call: Call, error: MCPError) -> ServerError | NoAnswerError:
        """Tell a JSON-RPC error of the server from the SDK's own, which only differ in wording."""
        code, text = error.code, error.message
        if call.fault is not None:
            return NoAnswerError(call.fault)
        if code == CONNECTION_CLOSED and text == "Connection closed":
            return NoAnswerError(faults.CLOSED)
        if code == CONNECTION_CLOSED and text.startswith("SSE stream"):
            return NoAnswerError(faults.STREAM_BROKEN)
        if code == PARSE_ERROR and text.startswith("Failed to parse SSE"):
            return NoAnswerError(faults.NOT_JSON_RPC)
        return ServerError(text, server=self.server, code=code, data=error.data)

    def _abandon(self, call: Call, request_id: int) -> None:
        """Cancel a request on the server, without making the caller wait for that."""
        if self._posting is not None and self.peer.era == "modern" and not call.background:
            return  # its response has been closed
        if call.cancellable and self._tasks is not None:
            self._cancelling += 1
            self._tasks.start_soon(self._cancel, call, request_id)
        elif call.abort is not None:
            call.abort()

    async def _cancel(self, call: Call, request_id: int) -> None:
        params = {"requestId": request_id, "reason": "the caller gave up"}
        with anyio.move_on_after(CANCEL_TIMEOUT):
            if self._posting is not None:
                await self._posting.tell("notifications/cancelled", params, self._version())
            else:
                await self._sender.notify("notifications/cancelled", params)
        if call.abort is not None:  # legacy servers may leave the response open for ever
            call.abort()
        self._cancelling -= 1
        self._cancelled.set()
        self._cancelled = anyio.Event()
