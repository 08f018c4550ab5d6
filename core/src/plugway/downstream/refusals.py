"""Answer HTTP requests that get no further than the MCP endpoint's door."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response


def refusal(
    status: int, code: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with a JSON-RPC error that belongs to no request."""
    error = {"code": code, "message": message}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, headers)
