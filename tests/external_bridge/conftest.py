"""Both ends of the bridge in one process: plugins on a server, and the gateway that calls them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest
from blockbuster import blockbuster_ctx
from importlib_metadata import EntryPoint
from mcp import Client, MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server as McpServer
from mcp_types import (
    CONNECTION_CLOSED,
    REQUEST_TIMEOUT,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Request,
    RequestParams,
    TextContent,
    Tool,
)
from pydantic import TypeAdapter

from plugway.config import Config
from plugway.plugins.discovery import Discovery, KindSource
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry
from plugway_external_bridge.external import External
from plugway_external_bridge.host.http import HttpServer, bind, make_app
from plugway_external_bridge.host.server import make_server
from plugway_hookspecs import Plugin, Server, ServerError, ServerUnavailableError

_OBJECT: Any = TypeAdapter(dict[str, Any])


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(["plugway", "plugway_hookspecs", "plugway_external_bridge"]):
        yield


class Peer:
    """A server as plugins see it, over a connection of the official client."""

    def __init__(self, client: Client, name: str = "peer") -> None:
        self.client = client
        self.name = name

    @property
    def capabilities(self) -> Mapping[str, Any]:
        return self.client.server_capabilities.model_dump(by_alias=True, exclude_none=True)

    async def connect(self) -> None: ...

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        request = Request[dict[str, Any], str](method=method, params=dict(params or {}))
        try:
            result: dict[str, Any] = await self.client.session.send_request(
                request, _OBJECT, timeout
            )
        except MCPError as error:
            closed = error.code == CONNECTION_CLOSED and error.message == "Connection closed"
            if closed or error.code == REQUEST_TIMEOUT:
                raise ServerUnavailableError(error.message, server=self.name) from error
            raise ServerError(
                error.message, server=self.name, code=error.code, data=error.data
            ) from error
        return result


@pytest.fixture
def as_server() -> Callable[[Client], Peer]:
    """Make a client's connection the server that plugins see."""
    return Peer


@dataclass(frozen=True, eq=False)
class KindOfTest(KindSource):
    """A plugin kind that is a class of the test."""

    kind: type[Plugin] | None = None

    def load(self) -> type[Plugin]:
        assert self.kind is not None
        return self.kind


def _source(name: str, kind: type[Plugin]) -> KindSource:
    point = EntryPoint(name, f"test:{name}", "plugway.plugins.v1")
    return KindOfTest(name, point, kind=kind)


@pytest.fixture
def run_plugins() -> Callable[..., AbstractAsyncContextManager[Registry]]:
    """Run plugins as the gateway does; every kind of the test goes by its key."""

    @asynccontextmanager
    async def run(
        kinds: Mapping[str, type[Plugin]],
        *entries: Mapping[str, Any],
        servers: Mapping[str, Server] | None = None,
        strict: bool = True,
    ) -> AsyncGenerator[Registry]:
        everything = {**kinds, "external": External}
        discovery = Discovery({name: _source(name, kind) for name, kind in everything.items()})
        config = Config.model_validate({"plugins": list(entries)})
        async with open_registry(config, discovery, servers or {}, strict=strict) as registry:
            yield registry

    return run


@pytest.fixture
def serve_plugins() -> Callable[..., AbstractAsyncContextManager[Peer]]:
    """Serve a runner's plugins in memory, and connect to them in one era or the other."""

    @asynccontextmanager
    async def serve(runner: Any, *, mode: str = "auto") -> AsyncGenerator[Peer]:
        async with Client(make_server(runner), mode=mode, cache=None) as client:
            yield Peer(client)

    return serve


@pytest.fixture
def serve_http() -> Callable[..., AbstractAsyncContextManager[Peer]]:
    """Serve a runner's plugins over HTTP on loopback, and connect to them."""

    @asynccontextmanager
    async def serve(runner: Any, *, mode: str = "auto") -> AsyncGenerator[Peer]:
        with bind("127.0.0.1", 0, token=None) as listening:
            server = HttpServer(make_app(make_server(runner), "127.0.0.1", token=None))
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(server.serve, sockets=[listening]))
                async with Client(url, mode=mode, cache=None) as client:
                    yield Peer(client)
                server.stop()

    return serve


Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]] | dict[str, Any]]
Handler = Callable[[ServerRequestContext[Any, Any], RequestParams], Awaitable[dict[str, Any]]]


def _handler(answer: Answer) -> Handler:
    async def handle(ctx: ServerRequestContext[Any, Any], _: RequestParams) -> dict[str, Any]:
        result = answer(dict(ctx.params or {}))
        return result if isinstance(result, dict) else await result

    return handle


@pytest.fixture
def serve_foreign() -> Callable[..., AbstractAsyncContextManager[Peer]]:
    """Serve methods and tools of somebody else: each takes its params and returns its result."""

    @asynccontextmanager
    async def serve(
        methods: Mapping[str, Answer] | None = None,
        tools: Mapping[str, Callable[[dict[str, Any]], str | CallToolResult]] | None = None,
        *,
        mode: str = "auto",
        capabilities: Sequence[str] = (),
    ) -> AsyncGenerator[Peer]:
        async def list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
            listed = [Tool(name=name, input_schema={"type": "object"}) for name in tools or {}]
            return ListToolsResult(tools=listed)

        async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
            result = (tools or {})[params.name](params.arguments or {})
            if isinstance(result, CallToolResult):
                return result
            return CallToolResult(content=[TextContent(text=result)])

        server: McpServer[Any] = McpServer(
            "foreign",
            on_list_tools=list_tools if tools else None,
            on_call_tool=call_tool if tools else None,
        )
        for method, answer in (methods or {}).items():
            server.add_request_handler(method, RequestParams, _handler(answer))
        server.extensions = {name: {} for name in capabilities}
        async with Client(server, mode=mode, cache=None) as client:
            yield Peer(client)

    return serve
