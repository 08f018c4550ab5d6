"""The official client, whose connection breaks in the middle of a call."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint
from mcp import Client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

REQUEST = CallToolRequest(params=CallToolRequestParams(name="up__echo", arguments={"wait": True}))

Serve = Callable[..., AbstractAsyncContextManager[Any]]


class Line:
    """A way to a server that can be cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.scopes: list[anyio.CancelScope] = []
        self.said = b""
        """What the server sent."""

    async def serve(self, client: SocketStream) -> None:
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", self.port) as server,
            anyio.create_task_group() as tasks,
        ):
            self.scopes.append(tasks.cancel_scope)
            tasks.start_soon(self.pump, server, client, tasks.cancel_scope)
            await self.pump(client, server, tasks.cancel_scope)

    async def pump(
        self, source: SocketStream, target: SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            while True:
                chunk = await source.receive()
                await target.send(chunk)
                self.said += (
                    chunk if source.extra(SocketAttribute.remote_port) == self.port else b""
                )
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            scope.cancel()

    def cut(self) -> None:
        """Break all connections off; new ones can be made."""
        while self.scopes:
            self.scopes.pop().cancel()


@asynccontextmanager
async def line_to(url: str) -> AsyncGenerator[tuple[Line, str]]:
    port = int(url.rpartition(":")[2].partition("/")[0])
    line = Line(port)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, line.serve)
        yield line, url.replace(str(port), str(listener.extra(SocketAttribute.local_port)))
        tasks.cancel_scope.cancel()


async def test_a_call_whose_connection_breaks_is_still_answered(served: Serve) -> None:
    reached, release = anyio.Event(), anyio.Event()
    calls = 0

    async def pause(arguments: Any) -> None:
        nonlocal calls
        if arguments.get("wait"):
            calls += 1
            reached.set()
            await release.wait()

    results: list[Any] = []
    with anyio.fail_after(30):
        async with (
            served(pause=pause) as gateway,
            line_to(gateway.url) as (line, url),
            Client(url, mode="legacy", cache=None) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                results.append(await client.session.send_request(REQUEST, CallToolResult))

            tasks.start_soon(call)
            await reached.wait()
            while line.said.count(b"retry: ") < 2:  # without the mark there is nothing to resume
                await checkpoint()
            line.cut()
            release.set()
    assert results[0].structured_content == {"wait": True}
    assert calls == 1
