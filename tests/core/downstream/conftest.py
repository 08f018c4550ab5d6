"""A gateway over HTTP with a server in memory, and clients that send what they are told to."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import ASGIApp

from plugway.downstream.events import Events
from plugway.downstream.http import HttpServer, http_app
from plugway.gateway import Gateway

VERSION = "2025-11-25"
INITIALIZE = {
    "protocolVersion": VERSION,
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "0"},
}


@dataclass
class Client:
    """One client of the handshake era."""

    http: httpx2.AsyncClient
    url: str
    headers: dict[str, str] = field(default_factory=dict[str, str])

    async def open(self) -> httpx2.Response:
        """Shake hands."""
        response = await self.ask("initialize", INITIALIZE)
        if "mcp-session-id" in response.headers:
            self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
            self.headers["mcp-protocol-version"] = VERSION
            await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return response

    async def ask(self, method: str, params: Any = None, request_id: Any = 1) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": request_id, "method": method}
        return await self.post(message | {"params": {} if params is None else params})

    async def call(self, request_id: Any = 1, **arguments: Any) -> httpx2.Response:
        params = {"name": "up__echo", "arguments": arguments}
        return await self.ask("tools/call", params, request_id)

    async def post(self, message: Any, **headers: str) -> httpx2.Response:
        return await self.http.post(self.url, **self.request(message, headers))

    def request(self, message: Any, headers: dict[str, str]) -> dict[str, Any]:
        accept = {"accept": "application/json, text/event-stream"}
        content = {"content-type": "application/json"} if message is not None else {}
        return {
            "content": None if message is None else json.dumps(message),
            "headers": {**accept, **content, **self.headers, **headers},
        }

    @asynccontextmanager
    async def stream(
        self, message: Any = None, **headers: str
    ) -> AsyncGenerator[tuple[httpx2.Response, AsyncIterator[dict[str, str]]]]:
        """Open an event stream, with a GET where there is no message."""
        method = "GET" if message is None else "POST"
        request = self.request(message, {k.replace("_", "-"): v for k, v in headers.items()})
        async with (
            self.http.stream(method, self.url, **request) as response,
            aclosing(events(response)) as found,
        ):
            yield response, found


async def events(response: httpx2.Response) -> AsyncGenerator[dict[str, str]]:
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        key, _, value = line.partition(": ")
        if line and key:
            event[key] = value
        elif event:
            yield event
            event = {}


@dataclass
class Served:
    """A gateway over HTTP."""

    gateway: Gateway
    app: ASGIApp
    url: str
    http: httpx2.AsyncClient

    @property
    def events(self) -> Events:
        store = self.gateway.edge.server.session_manager.event_store
        assert isinstance(store, Events)
        return store

    def client(self) -> Client:
        return Client(self.http, self.url)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def served(local_gateway: Any) -> Serve:
    """Serve a gateway; `pause` is what its server waits for, `wrap` what stands before it."""

    @asynccontextmanager
    async def serve(
        settings: str = "", pause: Any = None, wrap: Callable[[ASGIApp], ASGIApp] | None = None
    ) -> AsyncGenerator[Served]:
        text = f"mcpServers: {{up: {{command: x}}}}\ngateway: {{{settings}}}"
        more = {} if pause is None else {"pause": pause}
        async with local_gateway(text, **more) as gateway, anyio.create_task_group() as tasks:
            app = http_app(gateway.edge, gateway.config.gateway, gateway.registry)
            app = app if wrap is None else wrap(app)
            server = HttpServer(app, "127.0.0.1", 0)
            tasks.start_soon(server.serve)
            await server.listening.wait()
            url = f"http://127.0.0.1:{server.port}/mcp"
            async with httpx2.AsyncClient(timeout=20) as http:
                yield Served(gateway, app, url, http)
            server.stop()

    return serve
