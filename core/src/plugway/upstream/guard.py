"""Keep the SDK's HTTP transport from harm.

A failed POST would end that transport with all that is under way on it, and the meaning of an HTTP
status would be lost. So what goes wrong is noted on the call it happens to, and the SDK gets a
well-formed answer.
"""

from collections.abc import Callable

import anyio
import httpx2
from mcp_types import INTERNAL_ERROR
from pydantic_core import to_json

from plugway.upstream import faults
from plugway.upstream.answers import read_answer
from plugway.upstream.calls import Call, Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.envelope import CALL_HEADER
from plugway.upstream.errors import Fault, NoAnswerError
from plugway.upstream.origin import content_type, copy, send_within_origin
from plugway.upstream.streams import AbortableStream

NOTICE_TIMEOUT = 5.0
"""Seconds for a message that has no answer; the SDK sends nothing else meanwhile."""
FAREWELL_TIMEOUT = 2.0
"""Seconds for ending a session."""

SESSION_HEADER = "mcp-session-id"
_DROPPED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that say how a body came, and don't hold for a body that was read."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """One connection's way into the upstream's pool; closing it leaves the pool open.

    `url` is where everything goes, whatever the SDK was told.
    """

    def __init__(
        self,
        pool: httpx2.AsyncBaseTransport,
        url: httpx2.URL,
        calls: Calls,
        retire: Callable[[Fault], None],
        listening: Callable[[bool], None],
    ) -> None:
        self._pool = pool
        self._url = url
        self._calls = calls
        self._retire = retire
        self._listening = listening
        self._listened = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one HTTP request; a failed GET raises, as the SDK expects and survives it."""
        if request_id := request.headers.get(CALL_HEADER):
            return await self._ask(request, int(request_id))
        if request.method == "GET":
            return await self._listen(request)
        return await self._notify(request)

    async def _ask(self, request: httpx2.Request, request_id: int) -> httpx2.Response:
        fault = faults.ABANDONED
        call = self._calls.get(request_id)
        if call is None:  # the caller was faster than the SDK
            return _error_response(request_id, fault)
        try:
            with anyio.CancelScope() as scope:
                call.abort = scope.cancel
                return await self._answer(request, call, request_id)
        except NoAnswerError as error:
            fault = error.fault
            if fault.unsent:
                self._retire(fault)
        call.fault = fault
        return _error_response(request_id, fault)

    async def _answer(
        self, request: httpx2.Request, call: Call, request_id: int
    ) -> httpx2.Response:
        response = await self._follow(request)
        call.session = response.headers.get(SESSION_HEADER, "")
        stream = response.stream
        events = response.is_success and content_type(response) == "text/event-stream"
        if events and isinstance(stream, httpx2.AsyncByteStream):
            response.stream = abortable = AbortableStream(stream)
            call.abort = abortable.abort
            return response
        return await self._checked(request, response, request_id)

    async def _listen(self, request: httpx2.Request) -> httpx2.Response:
        """Open the stream on which a legacy server sends what belongs to no request."""
        try:
            response = await self._follow(request)
        except NoAnswerError as error:
            if error.fault.unsent:
                self._retire(error.fault)
            self._listening(False)
            raise httpx2.ConnectError(error.fault.reason) from None
        if response.status_code == 404 and self._listened:  # at first it may be no endpoint
            self._retire(faults.SESSION_LOST)
        self._listened = response.is_success
        self._listening(self._listened)
        return response

    async def _notify(self, request: httpx2.Request) -> httpx2.Response:
        """Send what has no answer, or end the session; failures show on the next request."""
        closing = request.method == "DELETE"
        limit = FAREWELL_TIMEOUT if closing else NOTICE_TIMEOUT
        with anyio.move_on_after(limit, shield=closing):
            try:
                await (await self._follow(request)).aclose()
            except NoAnswerError as error:
                if error.fault.unsent:
                    self._retire(error.fault)
        self._calls.noticed.set()
        return httpx2.Response(204 if closing else 202, request=request)

    async def _follow(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, without the header that was only for us."""
        mark = CALL_HEADER.encode()
        return await send_within_origin(self._pool, copy(request, url=self._url, without=mark))

    async def _checked(
        self, request: httpx2.Request, response: httpx2.Response, request_id: int
    ) -> httpx2.Response:
        """Read an answer that is no stream; raises `NoAnswerError` if it is not JSON-RPC."""
        body = await self._read(response)
        message = read_answer(
            body,
            request_id,
            status=response.status_code,
            json=content_type(response) == "application/json",
            in_session=SESSION_HEADER in request.headers,
        )
        if "error" in message:  # servers that could not read the id answer with none
            body = to_json(message | {"id": request_id})
        kept = [item for item in response.headers.raw if item[0].lower() not in _DROPPED]
        return httpx2.Response(200, headers=kept, content=body, request=request)

    async def _read(self, response: httpx2.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > MAX_MESSAGE_BYTES:
                    raise NoAnswerError(faults.TOO_LONG)
                chunks.append(chunk)
        except httpx2.HTTPError as error:
            raise NoAnswerError(faults.of_http_error(error, str(self._url))) from None
        finally:
            await response.aclose()
        return b"".join(chunks)


def _error_response(request_id: int, fault: Fault) -> httpx2.Response:
    error = {"code": INTERNAL_ERROR, "message": fault.reason}
    body = to_json({"jsonrpc": "2.0", "id": request_id, "error": error})
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)
