"""Speak JSON-RPC with a server over the old HTTP+SSE transport (MCP 2024-11-05).

A GET opens an event stream that carries all that the server says; its first event, `endpoint`,
names the address to POST to.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager

import anyio
import httpx2
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCRequest, RequestId

from plugway.config import ServerConfig
from plugway.upstream import faults
from plugway.upstream.calls import Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.errors import ConnectFailedError, Fault, NoAnswerError
from plugway.upstream.eventstream import Event, EventReader
from plugway.upstream.http import CONNECT_TIMEOUT, headers_for
from plugway.upstream.messages import Incoming, Streams, read_message, refuse
from plugway.upstream.origin import content_type, same_origin, send_within_origin

NOTICE_TIMEOUT = 5.0
"""Seconds for a message that has no answer; nothing but requests is sent meanwhile."""
CLOSE_TIMEOUT = 2.0
"""Seconds for closing the event stream."""
MAX_UNREAD_BYTES = 64 * 1024
"""What is read of the body of a response that is none of MCP's, to keep the connection."""

_LOST = (anyio.ClosedResourceError, anyio.BrokenResourceError)


@asynccontextmanager
async def sse_transport(
    config: ServerConfig,
    pool: httpx2.AsyncBaseTransport,
    calls: Calls,
    retire: Callable[[Fault], None],
) -> AsyncGenerator[Streams]:
    """Open the server's event stream, and close it at the end.

    `retire` is called when the stream has ended, when the server turns out to be out of reach, or
    to have lost the session. Raises `ConnectFailedError` if there is no such stream.
    """
    to_session, from_server = anyio.create_memory_object_stream[Incoming]()
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage]()
    address = _Address(config, pool)
    with to_session, from_server, to_server, from_session:
        async with (
            _opened(address, config.connect_timeout) as events,
            anyio.create_task_group() as tasks,
        ):
            sender = _Sender(address, calls, to_session, retire, tasks)
            tasks.start_soon(_read, events, calls, to_session, retire)
            tasks.start_soon(sender.run, from_session)
            try:
                yield from_server, to_server
            finally:
                tasks.cancel_scope.cancel()


class _Address:
    """Where the server is: its event stream, and the endpoint that this names."""

    def __init__(self, config: ServerConfig, pool: httpx2.AsyncBaseTransport) -> None:
        url = httpx2.URL(config.url or "")
        connect = min(CONNECT_TIMEOUT, config.connect_timeout)
        self._pool = pool
        self._headers = headers_for(url, config.headers)
        self._extensions = {"timeout": httpx2.Timeout(None, connect=connect).as_dict()}
        self._stream = self._endpoint = url.copy_with(userinfo=b"")

    async def open(self) -> httpx2.Response:
        """Ask for the event stream; raises `NoAnswerError`."""
        headers = self._headers.copy()
        headers.update({"accept": "text/event-stream", "cache-control": "no-store"})
        request = httpx2.Request("GET", self._stream, headers=headers, extensions=self._extensions)
        response = await send_within_origin(self._pool, request)
        self._stream = response.request.url
        return response

    async def post(self, message: JSONRPCMessage) -> int:
        """Send a message and return the status of the response; raises `NoAnswerError`."""
        headers = self._headers.copy()
        headers["content-type"] = "application/json"
        content = message.model_dump_json(by_alias=True, exclude_unset=True)
        response = await send_within_origin(
            self._pool,
            httpx2.Request(
                "POST",
                self._endpoint,
                headers=headers,
                content=content,
                extensions=self._extensions,
            ),
        )
        await _discard(response)
        return response.status_code

    def settle(self, event: Event | None) -> None:
        """Take the endpoint that the first event names; raises `NoAnswerError`."""
        if event is None or event.name != "endpoint" or not event.data.whole:
            raise NoAnswerError(faults.NO_ENDPOINT)
        try:
            endpoint = self._stream.join(event.data.head.decode().strip())
        except (UnicodeDecodeError, httpx2.InvalidURL):
            raise NoAnswerError(faults.NO_ENDPOINT) from None
        if not same_origin(self._stream, endpoint):
            raise NoAnswerError(faults.of_foreign_endpoint(str(endpoint)))
        self._endpoint = endpoint.copy_with(userinfo=b"", fragment=None)


@asynccontextmanager
async def _opened(address: _Address, limit: float) -> AsyncGenerator[AsyncIterator[Event]]:
    """Open the event stream and read the endpoint; gives the events that follow."""
    with _connecting(limit):
        response = await address.open()
    try:
        async with aclosing(_events(response)) as events:
            with _connecting(limit):
                _check(response)
                address.settle(await anext(events, None))
            yield events
    finally:
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await response.aclose()


@contextmanager
def _connecting(limit: float) -> Generator[None]:
    """Give a step of connecting `limit` seconds; raises `ConnectFailedError` for all failures."""
    try:
        with anyio.fail_after(limit):
            yield
    except TimeoutError:
        fault = Fault(f"opened no event stream within {limit:g} s", "raise `connect_timeout`")
        raise ConnectFailedError(fault, silent=True) from None
    except NoAnswerError as error:
        raise ConnectFailedError(error.fault, refused=not error.fault.unsent) from None


def _check(response: httpx2.Response) -> None:
    if response.status_code != 200:
        raise NoAnswerError(faults.of_stream_status(response.status_code))
    if content_type(response) != "text/event-stream":
        raise NoAnswerError(faults.NO_ENDPOINT)


async def _events(response: httpx2.Response) -> AsyncGenerator[Event]:
    """Read the stream to its end, however it ends."""
    reader = EventReader(MAX_MESSAGE_BYTES)
    try:
        async for chunk in response.aiter_bytes():
            for event in reader.feed(chunk):
                yield event
    except httpx2.HTTPError:
        return


async def _discard(response: httpx2.Response) -> None:
    """Read what little there is: a connection with something unread on it can't be kept."""
    size = 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > MAX_UNREAD_BYTES:
                break
    except httpx2.HTTPError:
        pass
    finally:
        await response.aclose()


async def _read(
    events: AsyncIterator[Event],
    calls: Calls,
    to_session: MemoryObjectSendStream[Incoming],
    retire: Callable[[Fault], None],
) -> None:
    async for event in events:
        message = read_message(event.data, calls) if event.name == "message" else None
        if message is not None:
            try:
                await to_session.send(SessionMessage(message))
            except _LOST:
                return
    retire(faults.GONE)
    to_session.close()


class _Sender:
    """Posts messages; one that fails costs the request it carries, and no other."""

    def __init__(
        self,
        address: _Address,
        calls: Calls,
        to_session: MemoryObjectSendStream[Incoming],
        retire: Callable[[Fault], None],
        tasks: TaskGroup,
    ) -> None:
        self._address = address
        self._calls = calls
        self._to_session = to_session
        self._retire = retire
        self._tasks = tasks
        self._accepted = False

    async def run(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Send notifications and answers in order, requests beside each other."""
        async for item in messages:
            if isinstance(item.message, JSONRPCRequest):
                self._tasks.start_soon(self._ask, item.message)
            else:
                with anyio.move_on_after(NOTICE_TIMEOUT):
                    await self._post(item.message)

    async def _ask(self, request: JSONRPCRequest) -> None:
        call = self._calls.get(request.id)
        if call is None:  # the caller was faster
            return
        with anyio.CancelScope() as scope:
            call.abort = scope.cancel
            fault = await self._post(request)
            if fault is not None:
                await self._fail(request.id, fault)

    async def _post(self, message: JSONRPCMessage) -> Fault | None:
        """Send one message; returns why it did not arrive, if it did not."""
        try:
            status = await self._address.post(message)
        except NoAnswerError as error:
            fault = error.fault
        else:
            if 200 <= status < 300:
                self._accepted = True
                return None
            # what took a message before, and is not there now, has forgotten the session
            lost = status == 404 and self._accepted
            fault = faults.SESSION_LOST if lost else faults.of_endpoint_status(status)
        if fault.unsent:
            self._retire(fault)
        return fault

    async def _fail(self, request_id: RequestId, fault: Fault) -> None:
        message = refuse(request_id, fault, self._calls)
        if message is not None:
            try:
                await self._to_session.send(SessionMessage(message))
            except _LOST:
                return
