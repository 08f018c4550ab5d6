"""Turn what a server writes into messages; a bad one costs the request it answers, and no other."""

import re
from collections.abc import Mapping
from typing import Any

from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from plugway.upstream import faults
from plugway.upstream.calls import Calls
from plugway.upstream.errors import Fault
from plugway.upstream.lines import Line

Incoming = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]

_ID = re.compile(rb'"id"\s*:\s*"?(\d{1,18})\b')


def read_message(line: Line, calls: Calls) -> JSONRPCMessage | None:
    """Return the message that was written, or an error for the request that it spoils.

    None stands for what is no message and belongs to nobody.
    """
    if not line.whole:
        return refuse(_id_of(line), faults.TOO_LONG, calls)
    try:
        return jsonrpc_message_adapter.validate_json(line.head, by_name=False)
    except ValidationError:
        return refuse(_id_of(line), faults.NOT_JSON_RPC, calls)


def refuse(request_id: RequestId | None, fault: Fault, calls: Calls) -> JSONRPCMessage | None:
    """Return the error that ends a request, and note the reason; None if nobody waits for it."""
    call = calls.get(request_id)
    if call is None or request_id is None:
        return None
    call.fault = fault
    error = ErrorData(code=INTERNAL_ERROR, message=fault.reason)
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=error)


def _id_of(line: Line) -> int | None:
    """Return the id that a line seems to answer; only digits, as the gateway mints no others."""
    if not line.head.lstrip().startswith(b"{"):
        return None
    if line.whole:
        try:
            value: Any = from_json(line.head)
        except ValueError:
            pass
        else:
            return _answered(value)
    match = _ID.search(line.tail) or _ID.search(line.head)
    return int(match[1]) if match else None


def _answered(message: Mapping[str, Any]) -> int | None:
    request_id = message.get("id")
    if "method" in message or isinstance(request_id, bool):
        return None
    if isinstance(request_id, str) and request_id.isdecimal():
        return int(request_id)
    return request_id if isinstance(request_id, int) else None
