"""Let requests to the MCP endpoint in as far as the limits allow, and say so where they don't."""

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.streamable_http import LAST_EVENT_ID_HEADER, MCP_SESSION_ID_HEADER
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import HEADER_MISMATCH
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from plugway.config import GatewayConfig
from plugway.downstream.bodies import WholeBodies
from plugway.downstream.events import Events
from plugway.downstream.fields import Fields, fields_of
from plugway.downstream.refusals import refusal
from plugway.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

_SINGLE = (
    "authorization",
    "content-type",
    "host",
    LAST_EVENT_ID_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    MCP_SESSION_ID_HEADER,
    "origin",
)
"""Headers that decide something: of two, each reader on the way might take another."""


class Admission:
    """An ASGI application in front of the MCP endpoint and what is below it."""

    def __init__(
        self, app: ASGIApp, endpoint: ASGIApp, settings: GatewayConfig, events: Events
    ) -> None:
        """Guard `endpoint`, and pass on to `app` what is not for it.

        `events` is what clients may resume.
        """
        self._app = app
        self._limited = WholeBodies(endpoint, settings.max_payload_bytes)
        self._settings = settings
        self._events = events
        self.open = 0
        """Requests whose answers are not complete, event streams included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer what is wrong with it."""
        if scope["type"] != "http" or not self._guards(scope["path"]):
            await self._app(scope, receive, send)
            return
        if refused := self._refused(scope):
            await refused(scope, receive, send)
            return
        self.open += 1
        try:
            await self._limited(scope, receive, send)
        finally:
            self.open -= 1

    def _guards(self, path: str) -> bool:
        endpoint = self._settings.path
        return path == endpoint or path.startswith(f"{endpoint.rstrip('/')}/")

    def _refused(self, scope: Scope) -> Response | None:
        fields = fields_of(scope)
        if fields.doubled and (doubled := next(filter(fields.doubled.__contains__, _SINGLE), None)):
            code = HEADER_MISMATCH if doubled == MCP_PROTOCOL_VERSION_HEADER else INVALID_REQUEST
            return refusal(400, code, f"The header {doubled} is there more than once")
        if "host" not in fields and scope["http_version"] == "1.1":
            return refusal(400, INVALID_REQUEST, "The header host is missing")
        if coded := _coded(fields):
            return coded
        if self.open >= self._settings.max_streams:
            message = f"{self.open} requests are open, as many as are allowed: try again later"
            return refusal(503, INTERNAL_ERROR, message, {"Retry-After": "1"})
        return self._cannot_resume(scope, fields)

    def _cannot_resume(self, scope: Scope, fields: Fields) -> Response | None:
        """Refuse to resume a stream that can't be, in place of a stream that stays empty."""
        streams = self._events.enter(fields.get(MCP_SESSION_ID_HEADER), _owner(scope))
        event_id = fields.get(LAST_EVENT_ID_HEADER)
        if scope["method"] != "GET" or streams is None or not event_id or event_id in streams:
            return None
        message = "The stream can't be resumed: what followed that event is gone; open a new one"
        return refusal(400, INVALID_REQUEST, message)


def _coded(fields: Fields) -> Response | None:
    """Refuse compressed bodies: a small one might be a very large one (RFC 9110, 15.5.16)."""
    if fields.get("content-encoding", "identity").lower() != "identity":
        message = "Bodies with a content-encoding are not read: send it as it is"
        return refusal(415, INVALID_REQUEST, message, {"Accept-Encoding": "identity"})
    if fields.get("transfer-encoding", "chunked").lower() != "chunked":
        message = "Of all transfer-encodings only chunked is read"
        return refusal(501, INVALID_REQUEST, message, {"Connection": "close"})
    return None


def _owner(scope: Scope) -> object:
    """Return what the SDK binds sessions to."""
    user = scope.get("user")
    return authorization_context(user) if isinstance(user, AuthenticatedUser) else None
