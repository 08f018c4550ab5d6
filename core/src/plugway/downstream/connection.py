"""One connection of a client's: uvicorn's, with bounds, and with answers only where they belong.

uvicorn waits for ever for the rest of a head, however long it is. It answers what is no HTTP before
the requests that came first, and of several requests on a connection that breaks only the last
learns of it. Bodies are bounded further in, by `bodies.py`.
"""

import asyncio
from collections import deque
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 30.0
"""How long a client may take for the head of a request; for what nobody reads any more, too."""
HEAD_BYTES = 64 * 1024
"""How large a head may be; trailers, too."""
HEAD_FIELDS = 256
READ_BYTES = 256 * 1024
"""How much is read at once: as vague is what is known of a head's size before its end."""
MOST_PIPELINED = 64
"""Requests on a connection that are not answered yet, the one under way included."""


class _Part(Enum):
    """What a client is sending."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class Connection(HttpToolsProtocol):
    """The protocol for uvicorn."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._part = _Part.NOTHING
        self._overhead = 0
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._status = HTTPStatus.BAD_REQUEST
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests that nobody waits for their answers."""
        self._expect_nothing()
        self.pipeline.clear()
        for cycle in self._unanswered:
            _give_up(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; ignore it behind what was refused."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._part is not _Part.NOTHING:
            self._overhead += len(data)
            if self._overhead > HEAD_BYTES + READ_BYTES:
                self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self._refuse()
                return
        if self._unanswered:
            self._expect_nothing()
        elif self._deadline is None:
            self._expect()

    def _feed(self, data: bytes) -> None:
        """Parse, and ignore wishes for other protocols (RFC 9110, section 7.8).

        The parser takes a body for the other protocol's, so it gets the head again without.
        """
        rest = data
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as wish:
                method, version = self.parser.get_method(), self.parser.get_http_version().encode()
                lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
                lines += [b"%b: %b" % each for each in self.headers if each[0] != b"upgrade"]
                rest = b"\r\n".join([*lines, b"", rest[wish.args[0] :]])
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def on_message_begin(self) -> None:
        """Begin with a head."""
        self._part = _Part.HEAD
        self._overhead = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin with a request, if there is nothing wrong with its head."""
        if problem := self._problem():
            self._status = problem
            raise ValueError(problem)  # the parser stops
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self.flow.resume_reading()  # what has to wait is bounded, and nobody goes unnoticed
        self.headers = []  # or trailers would pass for headers (RFC 9110, section 6.5.1)
        self._part = _Part.BODY
        self._unanswered.append(self.cycle)
        if self.expect_100_continue:  # who is answered at once may send the body or not
            self.cycle.keep_alive = False

    def _problem(self) -> HTTPStatus | None:
        if len(self.headers) > HEAD_FIELDS or self._size() > HEAD_BYTES:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if self.parser.get_http_version() not in {"1.1", "1.0"}:
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        if len(self._unanswered) >= MOST_PIPELINED:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if not self.url.startswith(b"/") and not self._is_for_host():
            return HTTPStatus.BAD_REQUEST
        if self.parser.get_method() == b"CONNECT":
            return HTTPStatus.NOT_IMPLEMENTED
        return None

    def _size(self) -> int:
        return len(self.url) + sum([len(name) + len(value) for name, value in self.headers])

    def _is_for_host(self) -> bool:
        """Whether a target that is no path names the same host as the header (RFC 9112, 3.2)."""
        authority = self.url.partition(b"://")[2].partition(b"/")[0]
        return self.url == b"*" or (b"host", authority) in self.headers

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body: there is more to the request than its head and its framing."""
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._part is _Part.BODY:
            self._part = _Part.NOTHING
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or with the refusal of what is none."""
        self._unanswered.popleft()
        super().on_response_complete()
        if self._refused and not self._unanswered:
            self._close_with(self._status)

    def _refuse(self) -> None:
        """Say what is wrong, once all that came before is answered; then close."""
        self._refused = True
        self._expect_nothing()
        self.logger.warning("What came is no request: %d %s", self._status, self._status.phrase)
        if self._part is _Part.BODY:
            if not self._unanswered or self._unanswered[-1].response_started:
                self.transport.close()
                return
            broken = self._unanswered.pop()
            if self.pipeline and self.pipeline[0][0] is broken:
                self.pipeline.popleft()
            _give_up(broken)
        if not self._unanswered:
            self._close_with(self._status)

    def _close_with(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        text = status.phrase.encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (status, text, len(text), text)
        )
        self.transport.close()

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        """Close; who had begun with a request is told why."""
        self._deadline = None
        if self._part is _Part.HEAD:
            self._close_with(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()


def _give_up(cycle: RequestResponseCycle) -> None:
    cycle.disconnected = True
    cycle.message_event.set()
