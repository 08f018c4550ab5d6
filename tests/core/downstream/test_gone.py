"""Clients that vanish leave nothing in the log."""

import json
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from starlette.requests import ClientDisconnect
from starlette.types import Message

from plugway.downstream.gone import is_news

Serve = Callable[..., AbstractAsyncContextManager[Any]]
LEGACY = {"mcp-protocol-version": "2025-11-25"}
MODERN = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "up__echo",
}
CANCELLED = {"method": "notifications/cancelled", "params": {"requestId": 5}}


def stacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.exc_info]


async def vanish(url: str, headers: dict[str, str], body: bytes, more: int, until: Any) -> None:
    """Send a request, `more` bytes of which never come, and reset the connection."""
    host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
    lines = {
        "host": f"{host}:{port}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "content-length": str(len(body) + more),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    stream = await anyio.connect_tcp(host, int(port))
    await stream.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
    await until(stream)
    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


@pytest.mark.parametrize("headers", [{}, LEGACY, MODERN])
async def test_a_client_that_vanishes_before_its_body_is_complete_is_no_news(
    served: Serve, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    began, over = anyio.Event(), anyio.Event()

    def watched(app: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began.set()
            try:
                await app(scope, receive, send)
            finally:
                over.set()

        return call

    async def until_it_is_read(_: Any) -> None:
        await began.wait()

    with anyio.fail_after(20):
        async with served(wrap=watched) as gateway:
            await vanish(gateway.url, headers, b'{"jsonrpc"', 100, until_it_is_read)
            await over.wait()
    assert stacks(caplog) == []


async def test_a_client_that_vanishes_in_the_middle_of_an_answer_is_no_news(
    served: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    waiting, go_on = anyio.Event(), anyio.Event()

    async def pause(arguments: Any) -> None:
        if arguments:
            waiting.set()
            await go_on.wait()

    async def until_it_is_answered(stream: Any) -> None:
        await stream.receive()
        await waiting.wait()

    with anyio.fail_after(20):
        async with served(pause=pause) as gateway:
            client = gateway.client()
            await client.open()
            params = {"name": "up__echo", "arguments": {"a": 1}}
            call = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
            body = json.dumps(call).encode()
            await vanish(gateway.url, client.headers, body, 0, until_it_is_answered)
            go_on.set()
            assert (await client.call(6)).status_code == 200
    assert stacks(caplog) == []


async def test_a_session_that_ends_before_its_last_notification_is_read_is_no_news(
    served: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Message] = []
    with anyio.fail_after(20):
        async with served() as gateway:
            client = gateway.client()
            await client.open()
            body = json.dumps({"jsonrpc": "2.0", **CANCELLED}).encode()
            unread = [{"type": "http.request", "body": body}]

            async def receive() -> Message:
                while not unread:
                    await checkpoint()
                return unread.pop()

            async def send(message: Message) -> None:
                sent.append(message)
                if message["type"] == "http.response.body":
                    await client.http.delete(client.url, headers=client.headers)

            headers = {
                **client.headers,
                "host": gateway.url.split("/")[2],
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
            }
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/mcp",
                "query_string": b"",
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
            await gateway.app(scope, receive, send)
    assert [each.get("status") for each in sent] == [202, None]
    assert stacks(caplog) == []


def test_whatever_else_goes_wrong_is_news() -> None:
    def told(error: BaseException | None) -> bool:
        info = None if error is None else (type(error), error, None)
        return is_news(logging.LogRecord("x", logging.ERROR, "", 0, "", (), info))

    gone = [ClientDisconnect(), anyio.ClosedResourceError(), anyio.BrokenResourceError()]
    assert not any(told(each) for each in [*gone, ExceptionGroup("", gone)])
    others = [ValueError(), ExceptionGroup("", [*gone, ValueError()])]
    assert all(told(each) for each in [None, *others])
