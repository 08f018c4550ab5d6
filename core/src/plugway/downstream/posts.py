"""Read what handshake-era clients post before the SDK does, which leaves two things to be desired.

Its errors for what is no message quote pydantic, and a second request under an id that is in use
takes the answer of the first.
"""

from typing import Any

from mcp.server.streamable_http import GET_STREAM_KEY
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugway.downstream.events import Events
from plugway.downstream.fields import fields_of
from plugway.downstream.refusals import refusal
from plugway.jsonrpc import INVALID_REQUEST, PARSE_ERROR
from plugway.jsonvalues import is_object

_NO_MESSAGE = "The body must be one JSON-RPC message; batches are not served"


class Posts:
    """An ASGI application in front of the MCP endpoint; bodies arrive in one piece."""

    def __init__(self, app: ASGIApp, events: Events) -> None:
        """Guard `app`; `events` knows which requests are unanswered."""
        self._app = app
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on, or answer what is wrong with it."""
        if scope["method"] != "POST" or not _of_handshake_era(scope):
            await self._app(scope, receive, send)
            return
        first = await receive()
        unread = [first]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        try:
            request_id = _request_id(from_json(first["body"]))
        except ValidationError:
            await refusal(400, INVALID_REQUEST, _NO_MESSAGE)(scope, receive, send)
        except ValueError:
            await refusal(400, PARSE_ERROR, "The body is not JSON")(scope, receive, send)
        else:
            await self._pass_on(request_id, scope, again, send)

    async def _pass_on(
        self, request_id: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if request_id is None:
            await self._app(scope, receive, send)
            return
        unanswered = self._events.current.unanswered
        if request_id in unanswered or request_id == GET_STREAM_KEY:
            message = f"The id {request_id[:64]!r} is in use: another request has it"
            await refusal(400, INVALID_REQUEST, message)(scope, receive, send)
            return
        accepted = False

        async def watch(message: Message) -> None:
            nonlocal accepted
            if message["type"] == "http.response.start":
                accepted = message["status"] == 200
            await send(message)

        unanswered.add(request_id)
        try:
            await self._app(scope, receive, watch)
        finally:
            if not accepted:
                unanswered.discard(request_id)


def _request_id(body: Any) -> str | None:
    """Return the id of a request, None for other messages; raises `ValidationError`."""
    if is_object(body) and "id" in body and "method" in body:  # or a bad id makes a notification
        return str(JSONRPCRequest.model_validate(body, by_name=False).id)
    jsonrpc_message_adapter.validate_python(body, by_name=False)
    return None


def _of_handshake_era(scope: Scope) -> bool:
    version = fields_of(scope).get(MCP_PROTOCOL_VERSION_HEADER)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
