"""Answer operators who ask what the gateway holds at present: `GET /status`."""

from typing import Any

from anyio import get_running_tasks
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from plugway.config.models import STATUS_PATH
from plugway.downstream.edge import Edge
from plugway.upstream import Upstream


def status_route(edge: Edge, security: TransportSecuritySettings) -> Route:
    """Return the route."""
    return Route(STATUS_PATH, Status(edge, security), methods=["GET"])


class Status:
    """The ASGI application for it; who may ask is checked as for the MCP endpoint."""

    def __init__(self, edge: Edge, security: TransportSecuritySettings) -> None:
        """Tell of what clients of `edge` make the gateway hold."""
        self._edge = edge
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by Host and Origin, then answer."""
        refused = await self._security.validate_request(Request(scope))
        await (refused or JSONResponse(status(self._edge)))(scope, receive, send)


def status(edge: Edge) -> dict[str, Any]:
    """Count what is alive; without clients all but `tasks` and the servers themselves are 0."""
    parts = edge.dispatcher.generation
    return {
        "requests": parts.requests,
        "sessions": len(edge.sessions),
        "streams": len(edge.streams),
        "subscriptions": len(edge.subscriptions),
        "parked": len(parts.parks),
        "tasks": len(get_running_tasks()),
        "servers": {
            name: {
                "state": upstream.status.state,
                "era": upstream.status.era,
                "links": upstream.sessions,
            }
            for name, upstream in parts.upstreams.items()
            if isinstance(upstream, Upstream)
        },
    }
