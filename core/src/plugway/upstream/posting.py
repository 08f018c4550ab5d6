"""Send requests straight to a server over HTTP and read the answers, without the SDK's client.

That has the beginning of a connection, its end and its standing stream. A request takes it a
millisecond of tasks and streams, which a POST and its answer can do without.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import anyio
import httpx2
from anyio.abc import TaskGroup
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic_core import from_json

from plugway.config import ServerConfig
from plugway.http1 import OURS, Headers, HttpError, Origin, Pool, Response
from plugway.jsonvalues import dump, is_object
from plugway.spans import client_span, in_trace, recorded
from plugway.upstream import faults
from plugway.upstream.answers import answers, read_answer
from plugway.upstream.calls import Call
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.errors import Fault, NoAnswerError
from plugway.upstream.eventstream import Event, EventReader
from plugway.upstream.http import CONNECT_TIMEOUT, KEPT_ALIVE, headers_for, ssl_context
from plugway.upstream.inbox import Inbox
from plugway.upstream.origin import MAX_REDIRECTS, redirected, same_origin
from plugway_hookspecs import ServerError

RESUMPTIONS = 5
"""How often the stream of one answer is resumed, at most, without anything having come on it."""
MAX_RETRY_SECONDS = 30.0
"""The longest time that a server can have us wait before that."""
ANSWER_TIMEOUT = 5.0
"""Seconds for taking the answer to what a server has asked."""

_JSON = (b"content-type", b"application/json")
_EITHER = (b"accept", b"application/json, text/event-stream")
_EVENTS = (b"accept", b"text/event-stream")


_AUTHORED = frozenset(
    {
        *(b"accept", b"content-type", b"last-event-id"),
        *(b"mcp-session-id", b"mcp-protocol-version", b"mcp-method", b"mcp-name"),
    }
)
"""Headers that each request has of its own, whatever is configured."""
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})


class RedirectedError(Exception):
    """The server wants the request sent by TLS; it has not been processed."""


class Owner(Protocol):
    """The connection whose requests are sent."""

    server: str

    def retire(self, fault: Fault) -> None:
        """Take no more requests, since the server is out of reach."""
        ...


class Poster:
    """Where one server is, and the connections to it; lasts longer than an MCP connection."""

    def __init__(self, config: ServerConfig, pool: Pool) -> None:
        """Send to the server's `url`, with its configured headers."""
        url = httpx2.URL(config.url or "")
        self.pool = pool
        self.url = url.copy_with(userinfo=b"")
        self.headers = [
            (name.lower(), value)
            for name, value in headers_for(url, config.headers).raw
            if name.lower() not in _AUTHORED and not name.lower().startswith(b"mcp-param-")
        ]


def can_send(config: ServerConfig) -> bool:
    """Whether requests can be sent to the address, with the configured headers.

    `Host` is one that can't be sent.
    """
    try:
        _origin(httpx2.URL(config.url or ""))
    except (ValueError, httpx2.InvalidURL):
        return False
    return not any(name.lower().encode() in OURS for name in config.headers)


def _origin(url: httpx2.URL) -> Origin:
    """Return where to connect, as the SDK's client reads it; raises `ValueError`."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return Origin(url.scheme, url.raw_host.decode("ascii"), port)


@contextmanager
def http1_pool(config: ServerConfig) -> Generator[Pool]:
    """Open a pool of connections to a server, and close it at the end."""
    origin = _origin(httpx2.URL(config.url or ""))
    pool = Pool(
        origin,
        ssl=ssl_context() if origin.scheme == "https" else None,
        connect_timeout=min(CONNECT_TIMEOUT, config.connect_timeout),
        max_idle=KEPT_ALIVE,
    )
    try:
        yield pool
    finally:
        pool.close()


class Posting:
    """The requests of one MCP connection."""

    def __init__(
        self,
        poster: Poster,
        owner: Owner,
        inbox: Inbox,
        tasks: TaskGroup,
        *,
        session: str,
        resumable: bool,
    ) -> None:
        """Send in `session`, if there is one; what a server asks is answered in `tasks`.

        `resumable` is what event streams are until 2025-11-25.
        """
        self._poster = poster
        self._owner = owner
        self._inbox = inbox
        self._tasks = tasks
        self._in_session = bool(session)
        self._resumable = resumable
        self._recorded = recorded()
        self._asked: dict[str, anyio.CancelScope] = {}
        """What the server waits for an answer to, by its ids."""
        self._session: Headers = [(b"mcp-session-id", session.encode("latin-1"))] if session else []

    async def ask(
        self, call: Call, request_id: int, params: dict[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Send one request and return its raw result.

        Raises `ServerError`, `NoAnswerError` and `RedirectedError`.
        """
        if self._recorded or in_trace():
            with client_span(call.method, params, request_id=request_id):
                return await self._ask(call, request_id, params, headers)
        return await self._ask(call, request_id, params, headers)

    async def _ask(
        self, call: Call, request_id: int, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        if not (call.method.isascii() and call.method.isprintable()):  # it becomes a header
            raise self._unsendable()
        message = {"jsonrpc": "2.0", "id": request_id, "method": call.method, "params": params}
        try:
            body = dump(message, surrogates=False)
        except (ValueError, TypeError, RecursionError):
            raise self._unsendable() from None
        own = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        response = await self._send(b"POST", [_JSON, _EITHER, *own], body)
        try:
            kind = _media_type(response)
            if response.status < 300 and kind == b"text/event-stream":
                answer = await self._follow(response, request_id, own)
            else:
                answer = await self._read(response, request_id, json=kind == b"application/json")
        except NoAnswerError as failure:
            if failure.fault.unsent:
                self._owner.retire(failure.fault)
            raise
        finally:
            response.close()
        if (error := answer.get("error")) is not None:
            raise ServerError(
                error["message"],
                server=self._owner.server,
                code=error["code"],
                data=error.get("data"),
            )
        result: dict[str, Any] = answer["result"]
        return result

    async def tell(self, method: str, params: Mapping[str, Any] | None, headers: Headers) -> None:
        """Send a notification, and wait until the server has it, or is out of reach."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        with suppress(NoAnswerError, RedirectedError):
            response = await self._send(b"POST", [_JSON, _EITHER, *headers], dump(message))
            response.close()

    def withdraw(self, params: Mapping[str, Any]) -> None:
        """Ask nobody any longer what a server wants to know no more."""
        if (asked := self._asked.get(str(params.get("requestId")))) is not None:
            asked.cancel()

    async def _send(self, method: bytes, own: Headers, body: bytes | None) -> Response:
        """Send to the server, and again where it redirects within its own origin."""
        url = self._poster.url
        headers = [*self._poster.headers, *self._session, *own]
        for _ in range(MAX_REDIRECTS):
            response = await self._send_to(url, method, headers, body)
            location = response.headers.get(b"location")
            if response.status not in _REDIRECTIONS or location is None:
                return response
            response.close()
            there = redirected(
                url, location.decode("latin-1"), method=method.decode(), status=response.status
            )
            if not same_origin(url, there):
                raise RedirectedError
            url = there
        raise NoAnswerError(faults.ENDLESS)

    async def _send_to(
        self, url: httpx2.URL, method: bytes, headers: Headers, body: bytes | None
    ) -> Response:
        try:
            return await self._poster.pool.send(method, url.raw_path, headers, body)
        except HttpError as error:
            fault = faults.of_http1_error(error, str(url))
            if fault.unsent:
                self._owner.retire(fault)
            raise NoAnswerError(fault) from None

    async def _read(self, response: Response, request_id: int, *, json: bool) -> dict[str, Any]:
        try:
            body = await response.read(MAX_MESSAGE_BYTES)
        except HttpError as error:
            raise NoAnswerError(faults.of_http1_error(error, str(self._poster.url))) from None
        return read_answer(
            body, request_id, status=response.status, json=json, in_session=self._in_session
        )

    async def _follow(self, response: Response, request_id: int, own: Headers) -> dict[str, Any]:
        """Take what comes on the stream of a request, until its answer does (SEP-1699)."""
        reader, attempts = EventReader(MAX_MESSAGE_BYTES), 0
        while True:
            try:
                try:
                    async for chunk in response:
                        for event in reader.feed(chunk):
                            attempts = 0
                            answer = await self._take(event, request_id, own)
                            if answer is not None:
                                return answer
                except HttpError:
                    pass
                if not (reader.last_id and self._resumable) or attempts >= RESUMPTIONS:
                    raise NoAnswerError(faults.STREAM_BROKEN)
                attempts += 1
                await anyio.sleep(min(reader.retry, MAX_RETRY_SECONDS))
            finally:
                response.close()
            response = await self._resumed(reader, own)

    async def _resumed(self, reader: EventReader, own: Headers) -> Response:
        after = (b"last-event-id", reader.last_id.encode())
        try:
            response = await self._send(b"GET", [_EVENTS, after, *_version(own)], None)
        except (NoAnswerError, RedirectedError):  # the request itself has been processed
            raise NoAnswerError(faults.STREAM_BROKEN) from None
        if response.status != 200 or _media_type(response) != b"text/event-stream":
            response.close()
            raise NoAnswerError(faults.STREAM_BROKEN)
        reader.restart()
        return response

    async def _take(self, event: Event, request_id: int, own: Headers) -> dict[str, Any] | None:
        """Deliver what a server says; returns the answer to the request if it is that."""
        if event.name != "message":
            return None
        if not event.data.whole:
            raise NoAnswerError(faults.TOO_LONG)
        try:
            message: dict[str, Any] = from_json(event.data.head)
        except ValueError:
            raise NoAnswerError(faults.NOT_JSON_RPC) from None
        match message:
            case {"jsonrpc": "2.0", "method": str() as method, "id": str() | int() as ident}:
                self._tasks.start_soon(self._answer, ident, method, _params(message), _version(own))
            case {"jsonrpc": "2.0", "method": "notifications/cancelled"}:
                self.withdraw(_params(message))
            case {"jsonrpc": "2.0", "method": str() as method}:
                if not self._inbox.arrive(method, params := _params(message)):
                    await self._inbox.receive(method, params)
            case {"error": _, "id": str() | int() as ident} if str(ident) != str(request_id):
                pass
            case {} if answers(message, request_id):
                return message
            case {"id": str() | int() as ident} if str(ident) == str(request_id):
                raise NoAnswerError(faults.NOT_JSON_RPC)
            case _:
                pass
        return None

    async def _answer(
        self, ident: str | int, method: str, params: Mapping[str, Any], own: Headers
    ) -> None:
        """Answer what a server asks in the middle of a request."""
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": ident}
        with anyio.CancelScope() as asked:
            self._asked[str(ident)] = asked
            try:
                answer["result"] = await self._inbox.answer(method, params)
            except MCPError as error:
                problem = {"code": error.code, "message": error.message, "data": error.data}
                answer["error"] = {k: value for k, value in problem.items() if value is not None}
            finally:
                del self._asked[str(ident)]
        if asked.cancel_called:
            return
        try:
            body = dump(answer, surrogates=False)
        except (ValueError, TypeError, RecursionError):
            unreadable = {"code": INTERNAL_ERROR, "message": "The answer is not JSON in UTF-8"}
            body = dump({"jsonrpc": "2.0", "id": ident, "error": unreadable})
        with anyio.move_on_after(ANSWER_TIMEOUT), suppress(NoAnswerError, RedirectedError):
            response = await self._send(b"POST", [_JSON, _EITHER, *own], body)
            response.close()

    def _unsendable(self) -> ServerError:
        text = "The request can't be sent: it is not JSON in UTF-8"
        return ServerError(text, server=self._owner.server, code=INVALID_PARAMS)


def _version(headers: Headers) -> Headers:
    return [header for header in headers if header[0] == b"mcp-protocol-version"]


def _params(message: dict[str, Any]) -> Mapping[str, Any]:
    params = message.get("params")
    return params if is_object(params) else {}


def _media_type(response: Response) -> bytes:
    return response.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
