"""Serve the HTTP routes of plugins: `/plugins/<plugin's name>/…`, looked up for each request."""

import logging
from collections.abc import Sequence
from typing import Protocol

import anyio
from mcp.server.transport_security import (
    RequestBodyLimitMiddleware,
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from plugway.config import GatewayConfig
from plugway.downstream.headers import without_credentials
from plugway.foreign import describe, is_failure
from plugway.plugins.instances import Instance
from plugway.plugins.routes import ROUTES_PATH
from plugway_hookspecs import HttpRequest, HttpResponse, HttpRoute
from plugway_hookspecs.context import READ_HEADERS
from plugway_hookspecs.frozen import EMPTY

log = logging.getLogger(__name__)


class Plugins(Protocol):
    """Where the running plugins are found; a reload replaces them."""

    @property
    def instances(self) -> Sequence[Instance]:
        """The plugins that run now."""
        ...


def plugin_routes(
    plugins: Plugins, settings: GatewayConfig, security: TransportSecuritySettings
) -> Route:
    """Return the one route behind which all routes of plugins are."""
    return Route(f"{ROUTES_PATH}/{{path:path}}", PluginRoutes(plugins, settings, security))


def report_unserved(plugins: Plugins) -> None:
    """Log which routes nobody can reach, where there is no HTTP."""
    if urls := [url for instance in plugins.instances for url in instance.urls]:
        log.warning("over stdio there are no HTTP routes: %s can't be reached", ", ".join(urls))


class PluginRoutes:
    """The ASGI application for them; who may enter is checked as for the MCP endpoint."""

    def __init__(
        self, plugins: Plugins, settings: GatewayConfig, security: TransportSecuritySettings
    ) -> None:
        """Serve what `plugins` have at the time of a request."""
        self._plugins = plugins
        self._timeout = settings.request_timeout
        self._security = TransportSecurityMiddleware(security)
        self._limited = RequestBodyLimitMiddleware(self._serve, settings.max_payload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by Host and Origin, then by size, then serve."""
        refused = await self._security.validate_request(Request(scope))
        await (refused or self._limited)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        response.headers["x-content-type-options"] = "nosniff"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        found = [
            (instance, route)
            for instance in self._plugins.instances
            for route, url in zip(instance.routes, instance.urls, strict=True)
            if url == path
        ]
        if not found:
            return _error(404, "no plugin serves this path")
        method = "GET" if request.method == "HEAD" else request.method
        for instance, route in found:
            if method in route.methods:
                return await self._call(instance, route, request)
        response = _error(405, f"{request.method} is not served here")
        response.headers["allow"] = _allowed([route for _, route in found])
        return response

    async def _call(self, instance: Instance, route: HttpRoute, request: Request) -> Response:
        """Let the plugin answer; what it does wrong stays in the log."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return _error(400, "the request ended before its body did")
        readable = READ_HEADERS in instance.policy.capabilities
        asked = HttpRequest(
            method=request.method,
            path=route.path,
            query=dict(request.query_params),
            headers=without_credentials(request.headers) if readable else EMPTY,
            body=body,
        )
        where = f"{request.method} {route.path}"
        try:
            with anyio.move_on_after(self._timeout):
                return _response(await route.handler(asked))
        except BaseException as error:  # foreign code
            if not is_failure(error):
                raise
            what = instance.name, where, describe(error)
            log.error("plugin %r failed at %s: it %s", *what)  # noqa: TRY400
            return _error(500, f"plugin {instance.name!r} failed; the gateway's log says why")
        log.error("plugin %r timed out at %s", instance.name, where)
        return _error(504, f"plugin {instance.name!r} took longer than {self._timeout:g} s")


def _allowed(routes: Sequence[HttpRoute]) -> str:
    methods = {method for route in routes for method in route.methods}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _response(answer: object) -> Response:
    if not isinstance(answer, HttpResponse):
        raise TypeError("a route has to return an HttpResponse")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    headers["content-type"] = answer.content_type
    return Response(answer.body, answer.status, headers)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
