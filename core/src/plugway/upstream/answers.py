"""Tell a JSON-RPC answer to a POST from all else that a server, or what is before it, may say."""

from typing import Any

from mcp_types import METHOD_NOT_FOUND
from pydantic_core import from_json

from plugway.upstream import faults
from plugway.upstream.errors import NoAnswerError

_SESSION_CODES = frozenset({-32000, -32001, -32600})
"""Codes under which servers report, with status 400, a session that they don't know."""


def read_answer(
    body: bytes, request_id: int, *, status: int, json: bool, in_session: bool
) -> dict[str, Any]:
    """Return the JSON-RPC response in the body of an HTTP response of this status.

    `json` says whether it is called that. Raises `NoAnswerError` for what is none.
    """
    message = _message(body, request_id) if json else None
    if in_session and _session_lost(status, message):
        raise NoAnswerError(faults.SESSION_LOST)
    if message is None:
        raise NoAnswerError(faults.NOT_JSON_RPC if status == 200 else faults.of_status(status))
    if "error" not in message and not 200 <= status < 300:
        raise NoAnswerError(faults.of_status(status))
    return message


def answers(message: dict[str, Any], request_id: int) -> bool:
    """Whether a message is the JSON-RPC response to a request; errors may be without an id."""
    match message:
        case {"jsonrpc": "2.0", "result": dict(), "id": str() | int() as answered}:
            return str(answered) == str(request_id)
        case {"jsonrpc": "2.0", "error": {"code": int(), "message": str()}}:
            return True
        case _:
            return False


def _message(body: bytes, request_id: int) -> dict[str, Any] | None:
    """Return the JSON-RPC response in a body, or None if it is none, or another request's."""
    try:
        message: dict[str, Any] = from_json(body)
    except ValueError:
        return None
    return message if answers(message, request_id) else None


def _session_lost(status: int, message: dict[str, Any] | None) -> bool:
    """Tell whether a server refused a request, unprocessed, because it forgot the session."""
    error = (message or {}).get("error", {})
    code = error.get("code")
    if status == 404:
        return bool(code != METHOD_NOT_FOUND)
    return status == 400 and code in _SESSION_CODES and "session" in error["message"].lower()
