"""Serving over HTTP: loopback by default, a bearer token on every other address."""

import secrets
import socket
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from plugway_external_bridge.errors import SetupError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int, *, token: str | None) -> socket.socket:
    """Return a listening socket.

    Raises `SetupError` where the address is open to others and there is no token, `OSError` where
    it can't be had.
    """
    if token is None and not is_loopback(host):
        message = f"{host} can be reached from other machines: give a token with --token-env"
        raise SetupError(f"{message}, or listen on 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    # asyncio does it for sockets of its own only; without it each answer waits 40 ms for an ACK
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def make_app(server: Server[Any], host: str, *, token: str | None) -> ASGIApp:
    """Return the ASGI application, with the MCP endpoint at `/mcp`.

    On loopback, `Host` must be this machine, against DNS rebinding. On other addresses the names by
    which the machine is known are not ours to guess, and the token keeps strange pages out.
    """
    names = [name for each in _LOOPBACK for name in (each, f"{each}:*")]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=is_loopback(host), allowed_hosts=names, allowed_origins=[]
    )
    return Guard(server.streamable_http_app(transport_security=security, host=host), token)


class Guard:
    """Lets a request through that has the token, where there is one, and comes from no web page."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            given = headers.get(b"authorization", b"")
            if self._expected is not None and not secrets.compare_digest(given, self._expected):
                challenge = {"WWW-Authenticate": "Bearer"}
                response = PlainTextResponse("a bearer token is required", 401, challenge)
                await response(scope, receive, send)
                return
            if b"origin" in headers:
                response = PlainTextResponse("web pages are not served", 403)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class HttpServer(uvicorn.Server):
    """Serves until `should_exit` is set, and finishes what is under way.

    It leaves signals alone: there is more to end than the server, and uvicorn would raise them once
    more when it is done.
    """

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Do nothing."""
        yield

    def stop(self) -> None:
        """Return from `serve` soon."""
        self.should_exit = True
