"""An MCP echo server on bare ASGI, so that what stands before it is the bottleneck.

    uv run python benchmarks/raw_echo.py [PORT] [--tools 1] [--hang]

Without a port it serves standard input and output. It answers the same at every path, so one
process is as many servers as somebody has use for. It speaks 2026-07-28, and 2025-11-25 with
sessions of which it keeps nothing. The tool `echo` returns its `text`, filled up to `size` bytes,
after `progress` notifications of progress in a stream of events.
"""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
import uvicorn
from mcp_types import PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

ME = {"name": "raw-echo", "version": "1"}
OFFERS: Message = {"tools": {}}
SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "size": {"type": "integer"},
        "progress": {"type": "integer"},
    },
    "required": ["text"],
}
JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class Echo:
    """What is answered, whatever the transport."""

    def __init__(self, tools: int) -> None:
        names = ["echo", *[f"echo{number}" for number in range(1, tools)]]
        self.tools = [
            {"name": name, "description": "Return the text.", "inputSchema": SCHEMA}
            for name in names
        ]

    def answer(self, message: Message) -> Message:
        """Return the answer to a request."""
        method: str = message["method"]
        params: Message = message.get("params") or {}
        result = self._result(method, params)
        if result is None:
            error = {"code": -32601, "message": f"no such method: {method}"}
            return {"jsonrpc": "2.0", "id": message["id"], "error": error}
        if PROTOCOL_VERSION_META_KEY in params.get("_meta", {}):
            result |= {"resultType": "complete", "_meta": {SERVER_INFO_META_KEY: ME}}
            if method != "tools/call":
                result |= {"ttlMs": 0, "cacheScope": "private"}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def _result(self, method: str, params: Message) -> Message | None:
        if method == "tools/call":
            arguments: Message = params["arguments"]
            text = arguments["text"].ljust(arguments.get("size", 0), "x")
            return {"content": [{"type": "text", "text": text}]}
        if method == "tools/list":
            return {"tools": self.tools}
        if method == "server/discover":
            return {"supportedVersions": [LATEST_MODERN_VERSION], "capabilities": OFFERS}
        if method == "initialize":
            shaken = {"protocolVersion": LATEST_HANDSHAKE_VERSION, "serverInfo": ME}
            return {**shaken, "capabilities": OFFERS}
        return {} if method == "ping" else None


def progress(message: Message) -> Iterator[Message]:
    """Yield the notifications that a call asks for."""
    params: Message = message.get("params") or {}
    meta: Message = params.get("_meta") or {}
    arguments: Message = params.get("arguments") or {}
    token, total = meta.get("progressToken"), arguments.get("progress", 0)
    for done in range(1, total + 1):
        told = {"progressToken": token, "progress": done, "total": total}
        yield {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}


class App:
    """Streamable HTTP, as far as an echo needs it."""

    def __init__(self, echo: Echo, *, hang: bool) -> None:
        self.echo = echo
        self.hang = hang
        self.sessions = itertools.count(1)

    async def __call__(self, scope: Message, receive: Callable[[], Any], send: Send) -> None:
        if scope["method"] != "POST":  # no stream from the server; a session may be ended
            await reply(send, 200 if scope["method"] == "DELETE" else 405, JSON, b"")
            return
        message = orjson.loads(await body_of(receive))
        if "id" not in message:
            await reply(send, 202, JSON, b"")
            return
        if self.hang and message["method"] == "tools/call":
            await asyncio.get_running_loop().create_future()
        told = list(progress(message))
        answer = self.echo.answer(message)
        if told:
            await stream(send, [*told, answer])
            return
        headers = JSON
        if message["method"] == "initialize":
            headers = [*JSON, (b"mcp-session-id", b"%d" % next(self.sessions))]
        await reply(send, 200, headers, orjson.dumps(answer))


async def body_of(receive: Callable[[], Any]) -> bytes:
    parts: list[bytes] = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts)


async def reply(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Send, messages: list[Message]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
    for message in messages:
        event = b"event: message\r\ndata: " + orjson.dumps(message) + b"\r\n\r\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def serve_pipes(echo: Echo) -> None:
    """Answer line by line; nothing here waits, so one at a time is as fast as all at once."""
    for line in sys.stdin.buffer:
        message = orjson.loads(line)
        if "id" in message and "method" in message:
            for each in (*progress(message), echo.answer(message)):
                sys.stdout.buffer.write(orjson.dumps(each) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An MCP echo server on bare ASGI.")
    parser.add_argument("port", type=int, nargs="?")
    parser.add_argument("--tools", type=int, default=1, help="how many it lists")
    parser.add_argument("--hang", action="store_true", help="over HTTP, never answer a call")
    options = parser.parse_args()
    server = Echo(options.tools)
    if options.port is None:
        serve_pipes(server)
    else:
        silent: dict[str, Any] = {"log_level": "error", "access_log": False, "lifespan": "off"}
        http: dict[str, Any] = {"loop": "uvloop", "http": "httptools"}
        uvicorn.run(
            App(server, hang=options.hang), host="127.0.0.1", port=options.port, **http, **silent
        )
