"""A lean HTTP/1.1 client: a pool of connections to one origin, on httptools and asyncio.

It knows nothing of MCP. Any await in it may be cancelled; the connection is closed then.
"""

from plugway.http1.errors import (
    BadRequestError,
    BrokenError,
    ConnectError,
    ConnectTimeoutError,
    DecodingError,
    HttpError,
    ProtocolError,
    TooLongError,
)
from plugway.http1.head import OURS, Headers
from plugway.http1.origin import Origin
from plugway.http1.pool import Pool
from plugway.http1.response import Response

__all__ = [
    "OURS",
    "BadRequestError",
    "BrokenError",
    "ConnectError",
    "ConnectTimeoutError",
    "DecodingError",
    "Headers",
    "HttpError",
    "Origin",
    "Pool",
    "ProtocolError",
    "Response",
    "TooLongError",
]
