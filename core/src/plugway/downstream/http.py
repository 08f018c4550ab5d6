"""Serve clients over streamable HTTP: routes, who may connect, and the server process."""

import hashlib
import hmac
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import uvicorn
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from plugway.config import GatewayConfig
from plugway.config.exposure import is_loopback
from plugway.config.models import HEALTH_PATH
from plugway.downstream.admission import Admission
from plugway.downstream.connection import Connection
from plugway.downstream.edge import Edge
from plugway.downstream.endpoints import Endpoints
from plugway.downstream.events import Events
from plugway.downstream.fields import fields_of
from plugway.downstream.gone import Gone
from plugway.downstream.posts import Posts
from plugway.downstream.routes import Plugins, plugin_routes
from plugway.downstream.stateless import Stateless
from plugway.downstream.status import status_route

RETRY_INTERVAL = 1000
"""Milliseconds for a client to wait before it resumes a broken stream."""

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def http_app(edge: Edge, settings: GatewayConfig, plugins: Plugins) -> ASGIApp:
    """Return the ASGI application: the MCP endpoints, a health check, the plugins' own routes."""
    security = _security(settings)
    events = Events(
        most=settings.replay_events,
        session_bytes=settings.replay_session_bytes,
        total_bytes=settings.replay_total_bytes,
    )
    served = edge.server.streamable_http_app(
        streamable_http_path=settings.path,
        event_store=events,
        retry_interval=RETRY_INTERVAL,
        max_request_body_size=settings.max_payload_bytes,
        max_sessions=settings.max_sessions,
        session_idle_timeout=settings.session_idle,
        transport_security=security,
        custom_starlette_routes=[
            Route(HEALTH_PATH, _health),
            status_route(edge, security),
            plugin_routes(plugins, settings, security),
        ],
    )
    edge.server.middleware.insert(0, events.follow)
    served.router.lifespan_context = _following(served, edge)
    endpoint: ASGIApp = Gone(Posts(served, events))
    if settings.fast_lane:
        endpoint = Stateless(endpoint, settings.path, edge.dispatcher, security)
    admitted = Admission(served, endpoint, settings, events)
    app: ASGIApp = Endpoints(admitted, settings.path, security, edge)
    if settings.token is not None:
        token = settings.token.get_secret_value()
        app = BearerGate(app, token, open_paths=frozenset({HEALTH_PATH}))
    return Trimmed(app)


def _following(app: Starlette, edge: Edge) -> Lifespan[Starlette]:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(starlette: Starlette) -> AsyncGenerator[None]:
        async with inner(starlette), anyio.create_task_group() as tasks:
            with edge.follow_changes(tasks):
                yield
            tasks.cancel_scope.cancel()

    return lifespan


def _security(settings: GatewayConfig) -> TransportSecuritySettings:
    """Check Host and Origin on every bind, so that no web page can reach the gateway by rebinding.

    On a bind beyond loopback, without `allowed_hosts`, the bearer token is what protects; the Host
    header can be anything there, since nobody told what it should be.
    """
    hosts = [f"{host}{port}" for host in _LOOPBACK_HOSTS for port in ("", ":*")]
    origins = [f"http://{host}" for host in hosts] + [f"https://{host}" for host in hosts]
    checked = is_loopback(settings.host) or bool(settings.allowed_hosts)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=checked,
        allowed_hosts=[*hosts, *settings.allowed_hosts],
        allowed_origins=[*origins, *settings.allowed_origins],
    )


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


class BearerGate:
    """Let only requests with the right bearer token through (RFC 6750)."""

    def __init__(self, app: ASGIApp, token: str, open_paths: frozenset[str]) -> None:
        """Guard `app` with `token`, but for `open_paths`."""
        self.app = app
        self.expected = f"Bearer {token}".encode()
        self.open_paths = open_paths
        # the SDK lets a session be used only by who made it: by one token as long as there is one
        name = hashlib.sha256(self.expected).hexdigest()
        self.user = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self.open_paths and scope["method"] in {"GET", "HEAD"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http" and not self._is_open(scope):
            given = fields_of(scope).get("authorization", "").encode()
            if not hmac.compare_digest(given, self.expected):
                error = {"error": "invalid_token" if given else "missing_token"}
                headers = {"WWW-Authenticate": 'Bearer realm="plugway"'}
                await JSONResponse(error, 401, headers)(scope, receive, send)
                return
            scope = {**scope, "user": self.user}
        await self.app(scope, receive, send)


class Trimmed:
    """Take the white space off the ends of header values (RFC 9110, section 5.5).

    The parser leaves what follows a value in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Trim for `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and fields_of(scope).padded:
            headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            scope = {**scope, "headers": headers}
        await self.app(scope, receive, send)


class HttpServer(uvicorn.Server):
    """uvicorn, which says where it listens once it does."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Prepare to serve on `host` and `port`; port 0 takes a free one."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=Connection,
                ws="none",
                log_level="warning",
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nothing here depends on where a request came from
                timeout_graceful_shutdown=2,
            )
        )
        self.listening = anyio.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Bind, then set `listening`."""
        await super().startup(sockets)  # type: ignore[arg-type]
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: there is more to close than this server."""
        yield

    def stop(self) -> None:
        """Finish what is under way, then return from `serve`.

        Clients that listen for changes hold streams open that never end by themselves; that
        uvicorn has to cut them off is no news.
        """
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.should_exit = True

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.servers[0].sockets[0].getsockname()[1])
