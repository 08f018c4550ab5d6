"""One request of the stateless era on its way: JSON, or events if something precedes the answer."""

import asyncio
from typing import Any, NamedTuple

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from starlette.types import Receive, Send

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.downstream.sessions import wants_level
from plugway.jsonrpc import RpcError
from plugway.jsonvalues import dump
from plugway.spans import mark, server_span

WATCH_SECONDS = 0.05
"""After how long a request is worth a task that notices when its client goes."""
CANCEL_SECONDS = 0.005
"""How often a request is cancelled whose client has gone, until it ends."""
PING_SECONDS = 15.0
"""How often a client is sent something while it waits, so that no proxy takes it for gone."""

_EVENT_STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Asked(NamedTuple):
    """A request that there is nothing to say against."""

    id: str | int
    request: Request
    progress_token: str | int | None
    traced: bool
    """Whether it is part of a trace, or somebody makes one of it."""


class Answering:
    """One request on its way: JSON if nothing precedes the answer, else an event stream."""

    __slots__ = (
        "_asked",
        "_gone",
        "_lock",
        "_over",
        "_receive",
        "_send",
        "_started",
        "_streams",
        "_task",
        "_watch",
    )

    def __init__(self, asked: Asked, receive: Receive, send: Send) -> None:
        self._asked = asked
        self._receive = receive
        self._send = send
        self._streams = False
        self._started = False
        self._over = False
        self._gone = False
        self._lock: asyncio.Lock | None = None
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def run(self, dispatcher: Dispatcher) -> None:
        """Have it answered; it is cancelled when the client goes."""
        request = self._asked.request
        if self._asked.progress_token is not None:
            request.on_progress = self._progress
        if request.log_level is not None:
            request.on_log = self._log
        self._task = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._start_watching)
        try:
            message, status = await self._answer(dispatcher)
        except asyncio.CancelledError:
            if not self._gone:
                raise
            self._uncancel()
            return
        finally:
            timer.cancel()
            self._over = True
            if self._watch is not None:
                self._watch.cancel()
        if self._gone:  # something has swallowed that it was cancelled
            self._uncancel()
            return
        if self._streams:
            await self._write(_event(message), last=True)
            return
        body = dump(message)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _uncancel(self) -> None:
        while self._task is not None and self._task.cancelling():
            self._task.uncancel()

    async def _answer(self, dispatcher: Dispatcher) -> tuple[dict[str, Any], int]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": self._asked.id}
        try:
            if self._asked.traced:
                answer["result"] = await self._traced(dispatcher)
            else:
                answer["result"] = await dispatcher.handle(self._asked.request)
        except RpcError as error:
            answer["error"] = problem = {"code": error.code, "message": error.message}
            if error.data is not None:
                problem["data"] = error.data
            return answer, ERROR_CODE_HTTP_STATUS.get(error.code, 200)
        return answer, 200

    async def _traced(self, dispatcher: Dispatcher) -> dict[str, Any]:
        request = self._asked.request
        version = request.client.protocol_version
        with server_span(
            request.method, request.params, request_id=self._asked.id, version=version
        ) as span:
            result = await dispatcher.handle(request)
            mark(span, result)
            return result

    async def _progress(self, params: dict[str, Any]) -> None:
        said = {**params, "progressToken": self._asked.progress_token}
        await self._notify("notifications/progress", said)

    async def _log(self, params: dict[str, Any]) -> None:
        if wants_level(self._asked.request.log_level, params.get("level")):
            await self._notify("notifications/message", params)

    async def _notify(self, method: str, params: dict[str, Any]) -> None:
        await self._write(_event({"jsonrpc": "2.0", "method": method, "params": params}))

    async def _write(self, chunk: bytes, *, last: bool = False) -> None:
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._over and not last:
                return
            self._streams = True
            if not self._started:
                await self._send(
                    {"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM}
                )
                self._started = True
            await self._send({"type": "http.response.body", "body": chunk, "more_body": not last})

    def _start_watching(self) -> None:
        self._watch = asyncio.ensure_future(self._watch_client())

    async def _watch_client(self) -> None:
        pinging = asyncio.ensure_future(self._ping())
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            pinging.cancel()
        self._gone = True
        while not self._over and self._task is not None:  # as often as something swallows it
            self._task.cancel()
            await asyncio.sleep(CANCEL_SECONDS)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self._write(b": ping\r\n\r\n")


def _event(message: dict[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + dump(message) + b"\r\n\r\n"
