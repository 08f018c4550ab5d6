"""Answer HTTP requests that get no further than the MCP endpoint's door."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from plugway.jsonrpc import TOO_LARGE


def refusal(
    status: int, code: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with a JSON-RPC error that belongs to no request."""
    error = {"code": code, "message": message}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, headers)


def explaining_size(limit: int, scope: Scope, receive: Receive, send: Send) -> Send:
    """Return a way for responses, on which one to a body that is too large names the limit."""
    replaced = False

    async def explain(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] == 413:
            replaced = True
            text = f"The request is too large: at most {limit} bytes are allowed"
            await refusal(413, TOO_LARGE, text)(scope, receive, send)
        elif not replaced:
            await send(message)

    return explain
