"""JSON-RPC errors as the gateway raises them, and the codes it uses."""

from typing import Any

from plugway_hookspecs import PlugwayError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
RESOURCE_NOT_FOUND = -32002
"""Until 2025-11-25; since then invalid params."""
URL_ELICITATION_REQUIRED = -32042
"""2025-11-25 only; since then a question in the result."""

# The gateway's own codes lie outside the range that JSON-RPC and MCP reserve, and read like HTTP's.
DENIED = 403
TOO_LARGE = 413
TOO_MANY = 429
UPSTREAM_ERROR = 502
UPSTREAM_UNAVAILABLE = 503
TIMED_OUT = 504
NOT_AUDITED = 507


class RpcError(PlugwayError):
    """What a client gets instead of a result; never holds anything that it should not see."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
