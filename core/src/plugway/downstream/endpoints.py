"""Endpoints under the MCP path: `/mcp/<name>` is served by the one application behind `/mcp`.

Which endpoint a request came to is in its ASGI scope from here on.
"""

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from plugway.config.models import HEALTH_PATH
from plugway.downstream.fields import fields_of
from plugway.downstream.refusals import refusal
from plugway.foreign import NAME
from plugway.jsonrpc import INVALID_REQUEST
from plugway.plugins.routes import ROUTES_PATH

_KEY = "plugway.endpoint"
_of_call: ContextVar[str] = ContextVar("plugway_endpoint", default="")


def endpoint_of(scope: MutableMapping[str, Any]) -> str:
    """Return the name of the endpoint that a request came to; empty for the whole federation's."""
    name: str = scope.get(_KEY, "")
    return name


def endpoint_of_call() -> str:
    """Return the same where there is no request at hand, in the task that received it."""
    return _of_call.get()


class Front(Protocol):
    """The part of an edge that knows endpoints and sessions."""

    def serves(self, endpoint: str) -> bool:
        """Whether there is such an endpoint now."""
        ...

    def opened_on(self, session_id: str) -> str | None:
        """Return the endpoint that a session was opened on; None if there is no such session."""
        ...


class Endpoints:
    """The ASGI application that takes the endpoint's name out of the path."""

    def __init__(
        self, app: ASGIApp, path: str, security: TransportSecuritySettings, front: Front
    ) -> None:
        """Serve the endpoints of `front` under `path`, by `app`, which serves `path` itself."""
        self.app = app
        self._path = path
        self._below = path.rstrip("/") + "/"
        self._security = TransportSecurityMiddleware(security)
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under the path of the application, or answer 404."""
        name = self._name(scope["path"]) if scope["type"] == "http" else None
        if name is None:
            await self.app(scope, receive, send)
            return
        if problem := self._problem(name, scope):
            refused = await self._security.validate_request(Request(scope))
            await (refused or refusal(404, INVALID_REQUEST, problem))(scope, receive, send)
            return
        if not name:
            await self.app(scope, receive, send)
            return
        inner = {**scope, "path": self._path, "raw_path": self._path.encode(), _KEY: name}
        token = _of_call.set(name)
        try:
            await self.app(inner, receive, send)
        finally:
            _of_call.reset(token)

    def _name(self, path: str) -> str | None:
        """Return the endpoint's name, empty for the federation's; None for what is no endpoint."""
        if path == self._path:
            return ""
        if path == HEALTH_PATH or path.startswith(f"{ROUTES_PATH}/"):
            return None
        return path.removeprefix(self._below) or None if path.startswith(self._below) else None

    def _problem(self, name: str, scope: Scope) -> str | None:
        """Say what can't be found; what there is instead is nobody's business."""
        if not self._front.serves(name):
            return f"There is no endpoint {name[:NAME]!r} here"
        session_id = fields_of(scope).get(MCP_SESSION_ID_HEADER)
        opened_on = None if session_id is None else self._front.opened_on(session_id)
        return None if opened_on in (None, name) else "Session not found"
