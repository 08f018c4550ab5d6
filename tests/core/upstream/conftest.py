"""Real MCP servers to connect to: programs, and HTTP servers on the loopback interface."""

import importlib.util
import inspect
import json
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
import uvicorn
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.server import Server
from mcp.server.sse import SseServerTransport
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

SERVERS = Path(__file__).parent / "servers"

HttpServer = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def sdk_program() -> dict[str, Any]:
    """The configuration of an SDK server of both eras, as a program."""
    return {"command": sys.executable, "args": [str(SERVERS / "sdk_server.py"), "stdio"]}


@pytest.fixture
def line_program() -> Callable[[str], dict[str, Any]]:
    """The configuration of a legacy program, given what it does with unknown methods."""

    def program(treatment: str) -> dict[str, Any]:
        return {"command": sys.executable, "args": [str(SERVERS / "line_server.py"), treatment]}

    return program


@pytest.fixture
def sdk_server() -> ModuleType:
    """The module of the SDK server, freshly loaded, for this process."""
    spec = importlib.util.spec_from_file_location("sdk_server", SERVERS / "sdk_server.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def http_server() -> HttpServer:
    """Serve an ASGI application over HTTP; gives the URL of its MCP endpoint."""

    @asynccontextmanager
    async def serve(app: Any, port: int = 0) -> AsyncGenerator[str]:
        config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", port)) as listener:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, [listener])
                try:
                    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
                finally:
                    server.should_exit = server.force_exit = True

    return serve


@pytest.fixture
def sse_app() -> Callable[[Server[Any]], Starlette]:
    """Make the ASGI application of an SDK server that speaks HTTP+SSE; GET `/mcp` is its stream."""

    def make(server: Server[Any]) -> Starlette:
        transport = SseServerTransport("/messages/")

        class Stream:
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                async with transport.connect_sse(scope, receive, send) as (read, write):
                    await server.run(read, write, server.create_initialization_options())

        return Starlette(
            routes=[
                Route("/mcp", Stream(), methods=["GET"]),
                Mount("/messages/", app=transport.handle_post_message),
            ]
        )

    return make


Answer = Callable[[str, dict[str, str], Any], Any]


@pytest.fixture
def raw_http() -> Callable[[Answer], AbstractAsyncContextManager[str]]:
    """Serve HTTP by hand: `answer(method, headers, message)` returns the bytes to send.

    It may be a coroutine function, or an async generator of chunks; None closes the connection
    without an answer. When the client closes the connection the answer is cancelled.
    """

    @asynccontextmanager
    async def serve(answer: Answer, port: int = 0) -> AsyncGenerator[str]:
        async def handle(stream: SocketStream) -> None:
            async with stream:
                buffered = BufferedByteReceiveStream(stream)
                head = (await buffered.receive_until(b"\r\n\r\n", 65536)).decode()
                first, *lines = head.split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (i.partition(":") for i in lines)}
                headers[":path"] = first.split()[1]
                body = await buffered.receive_exactly(int(headers.get("content-length", "0")))
                message = json.loads(body) if body else None
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel_when_closed, stream, tasks.cancel_scope)
                    await send(stream, answer(first.split()[0], headers, message))
                    tasks.cancel_scope.cancel()

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, suppressed(handle))
            yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
            tasks.cancel_scope.cancel()

    return serve


async def cancel_when_closed(stream: SocketStream, scope: anyio.CancelScope) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.receive()
    scope.cancel()


async def send(stream: SocketStream, reply: Any) -> None:
    chunks: Any = reply if inspect.isasyncgen(reply) else one(reply)
    async for chunk in chunks:
        await stream.send(chunk)


async def one(reply: Any) -> AsyncGenerator[bytes]:
    content = await reply if inspect.isawaitable(reply) else reply
    if content is not None:
        yield content


def suppressed(handle: Callable[[SocketStream], Awaitable[None]]) -> Any:
    async def handle_quietly(stream: SocketStream) -> None:
        closed = anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead
        try:
            await handle(stream)
        except* closed:
            pass

    return handle_quietly


class Scripted:
    """A small server of one era; it answers every request with the request's method."""

    def __init__(self, era: str, release: anyio.Event | None = None) -> None:
        self.era = era
        self.methods: list[str] = []
        self.busy = anyio.Event()
        self.most = 0
        self._release = release
        self._under_way = 0

    async def __call__(self, method: str, headers: dict[str, str], message: Any) -> bytes:
        if method != "POST" or "id" not in message:
            return http_response("202 Accepted", None)
        name = message["method"]
        self.methods.append(name)
        opening = {"modern": "server/discover", "legacy": "initialize"}
        if name == opening[self.era]:
            versions: dict[str, Any] = {
                "supportedVersions": ["2026-07-28"],
                "protocolVersion": "2025-11-25",
            }
            return http_response("200 OK", message, **versions, capabilities={})
        if name in opening.values():
            return http_response("404 Not Found", None)
        await self._work()
        return http_response("200 OK", message, method=name)

    async def _work(self) -> None:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        self.busy.set()
        if self._release:
            await self._release.wait()
        self._under_way -= 1


def http_response(status: str, message: Any, **result: Any) -> bytes:
    answer = {"jsonrpc": "2.0", "id": message["id"], "result": result} if message else None
    body = json.dumps(answer).encode() if answer else b""
    head = [f"HTTP/1.1 {status}", "content-type: application/json", "connection: close"]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


@pytest.fixture
def scripted() -> type[Scripted]:
    """A small server of one era, for `raw_http`."""
    return Scripted
