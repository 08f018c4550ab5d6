"""Why a request has no response, or a response no body.

plugway_hookspecs.PlugwayError
 └─ HttpError
     ├─ BadRequestError          the caller's request can't be written; nothing was sent
     ├─ ConnectError             no connection; nothing was sent
     │   └─ ConnectTimeoutError  none in time
     ├─ BrokenError              the connection ended too early          .unanswered_reuse
     ├─ ProtocolError            what came is not HTTP/1.1
     ├─ TooLongError             the body is longer than allowed         .limit
     └─ DecodingError            the body is not compressed as it says
"""

from plugway_hookspecs import PlugwayError


class HttpError(PlugwayError):
    """An HTTP exchange came to no good end."""


class BadRequestError(HttpError):
    """A request that can't be written as HTTP; nothing was sent."""


class ConnectError(HttpError):
    """No connection came about, and nothing was sent; the cause says why."""


class ConnectTimeoutError(ConnectError):
    """No connection came about in time, and nothing was sent."""


class BrokenError(HttpError):
    """The connection ended before the response did.

    `unanswered_reuse` says that it had been kept alive and not one byte of an answer came: most
    likely the server closed it in the moment in which the request was sent.
    """

    def __init__(self, message: str, *, unanswered_reuse: bool = False) -> None:
        super().__init__(message)
        self.unanswered_reuse = unanswered_reuse


class ProtocolError(HttpError):
    """What the server sent is not HTTP/1.1, or more than we take."""


class TooLongError(HttpError):
    """The body has more than `limit` bytes, decompressed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body has more than {limit} bytes")
        self.limit = limit


class DecodingError(HttpError):
    """The body is not compressed as its `content-encoding` says, or in a way that we can't undo."""
