"""A load generator that costs little: MCP over keep-alive HTTP/1.1, in both eras.

Requests are filled into a template, answers parsed by hand; every one is checked for its own id and
for what it must hold. Needs uvloop to be as fast as it can.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

ME = {"name": "bench", "version": "0"}
PATIENCE = 30.0
"""Seconds after which what is not answered has failed."""
FIRST_ID = 10_000_000
"""Ids have as many digits as this, so that every request of a template has the same length."""
_ID = b"87654321"
_TEXT = b"t" * 32


class WrongAnswerError(Exception):
    """An answer that is none, or another's."""


@dataclass(frozen=True)
class Ask:
    """What is asked, again and again, and what its answer must hold."""

    tool: str = ""
    """The tool to call, with its own id as the text; lists tools without one."""
    size: int = 0
    progress: int = 0
    tools: int = 0
    """How many tools a list must have; any number, if 0."""

    @property
    def method(self) -> str:
        return "tools/call" if self.tool else "tools/list"

    def params(self) -> dict[str, Any]:
        if not self.tool:
            return {}
        arguments: dict[str, Any] = {"text": _TEXT.decode()}
        meta: dict[str, Any] = {}
        if self.size:
            arguments["size"] = self.size
        if self.progress:
            arguments["progress"], meta = self.progress, {"progressToken": int(_ID)}
        return {"name": self.tool, "arguments": arguments, "_meta": meta}

    def check(self, number: int, messages: Sequence[Any]) -> None:
        """Raise unless these are the notifications and the answer for request `number`."""
        *told, answer = messages
        if answer.get("id") != number or "result" not in answer:
            raise WrongAnswerError(f"for {number}: {str(answer)[:200]}")
        steps = [each["params"]["progress"] for each in told]
        if steps != list(range(1, self.progress + 1)):
            raise WrongAnswerError(f"for {number}: progress {steps}")
        result = answer["result"]
        if not self.tool:
            right = self.tools in {0, len(result["tools"])}
        else:
            text, want = result["content"][0]["text"], b"%032d" % number
            right = text[:32] == want.decode() and len(text) == max(32, self.size)
            right = right and not result.get("isError")
        if not right:
            raise WrongAnswerError(f"for {number}: {str(result)[:200]}")


@dataclass
class Client:
    """One MCP client of one era, on any number of connections."""

    url: str
    era: str
    session: str = ""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_ID))

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.host, self.port, self.path = parts.hostname or "", parts.port or 80, parts.path

    async def connect(self) -> "Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection

    async def open(self, connection: "Connection") -> None:
        """Shake hands, where the era has a handshake."""
        if self.era == "modern":
            return
        params: dict[str, Any] = {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": {}}
        head, body = await self._send(connection, "initialize", {**params, "clientInfo": ME})
        if b"result" not in body:
            raise WrongAnswerError(f"{head!r} {body[:200]!r}")
        self.session = header(head, b"mcp-session-id").decode()
        await self._send(connection, "notifications/initialized", None)

    async def ask(self, connection: "Connection", ask: Ask) -> Any:
        """Return the result of one request; raise on a wrong one."""
        number = next(self.ids)
        head, body = await connection.ask(Template(self, ask.method, ask.params()).fill(number))
        messages = read(head, body)
        ask.check(number, messages)
        return messages[-1]["result"]

    async def _send(
        self, connection: "Connection", method: str, params: dict[str, Any] | None
    ) -> tuple[bytes, bytes]:
        return await connection.ask(Template(self, method, params).fill(next(self.ids)))


class Template:
    """A request without its id, which is also the text that it has echoed."""

    def __init__(self, client: Client, method: str, params: dict[str, Any] | None) -> None:
        headers = {
            "Host": f"{client.host}:{client.port}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if not method.startswith("notifications/"):
            message["id"] = int(_ID)
        if client.era == "modern":
            params = {} if params is None else params
            meta = {
                PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
                CLIENT_CAPABILITIES_META_KEY: {},
                CLIENT_INFO_META_KEY: ME,
            }
            params = {**params, "_meta": {**params.get("_meta", {}), **meta}}
            headers |= {"MCP-Protocol-Version": LATEST_MODERN_VERSION, "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        elif client.session:
            headers |= {"MCP-Protocol-Version": LATEST_HANDSHAKE_VERSION}
            headers |= {"Mcp-Session-Id": client.session}
        if params is not None:
            message["params"] = params
        body = orjson.dumps(message)
        lines = [f"POST {client.path} HTTP/1.1", *[f"{k}: {v}" for k, v in headers.items()]]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._bytes = "\r\n".join(lines).encode() + body

    def fill(self, number: int) -> bytes:
        text = b"%032d" % number
        return self._bytes.replace(_TEXT, text).replace(_ID, b"%d" % number)


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self._head = b""
        self._need = 0
        """The length of the body; negative where it comes in chunks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of another class

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the connection was closed"))

    def ask(self, request: bytes) -> asyncio.Future[tuple[bytes, bytes]]:
        """Send one request; the future is the head (in small letters) and the body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._head = b""
        self._got.clear()
        if self._transport.is_closing():
            self._answer.set_exception(ConnectionResetError("the connection is closed"))
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._head:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._got[:end]).lower()
            del self._got[: end + 4]
            length = header(self._head, b"content-length")
            self._need = int(length or 0)
            if b"transfer-encoding: chunked" in self._head:
                self._need = -1
        if self._need < 0:
            if self._got.endswith(b"0\r\n\r\n") and (body := unchunked(self._got)) is not None:
                self._done(body)
        elif len(self._got) >= self._need:
            self._done(bytes(self._got))

    def _done(self, body: bytes) -> None:
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result((self._head, body))

    def close(self) -> None:
        self._transport.abort()


def header(head: bytes, name: bytes) -> bytes:
    """Return a header's value from a head in small letters, or nothing."""
    start = head.find(b"\r\n" + name + b": ")
    if start < 0:
        return b""
    start += len(name) + 4
    end = head.find(b"\r\n", start)
    return head[start:] if end < 0 else head[start:end]


def unchunked(data: bytearray) -> bytes | None:
    """Return the body that came in chunks, or None while it is not complete."""
    parts: list[bytes] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(bytes(data[at:end]).partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(data[end + 2 : end + 2 + size]))
        at = end + 2 + size + 2
    return None


def read(head: bytes, body: bytes) -> list[Any]:
    """Return the messages in a response, be it JSON or a stream of events."""
    if b" 200 " not in head[:16]:
        raise WrongAnswerError(f"{head[:40]!r} {body[:200]!r}")
    if b"text/event-stream" not in head:
        return [orjson.loads(body)]
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    return [
        orjson.loads(line[5:]) for line in lines if line.startswith(b"data:") and line[5:].strip()
    ]


@dataclass(frozen=True)
class Figures:
    """What one run came to; times in milliseconds."""

    p50: float
    p99: float
    rate: float
    calls: int
    failed: int
    reason: str = ""
    """The first failure."""


class Load:
    """One run: some connections that ask as fast as they are answered."""

    def __init__(self, client: Client, asks: Sequence[Ask]) -> None:
        self._client = client
        self._asks = [(ask, Template(client, ask.method, ask.params())) for ask in asks]
        self._times: list[float] = []
        self._failed = 0
        self._reason = ""
        self._reopened: list[Connection] = []

    async def run(self, connections: Sequence[Connection], seconds: float) -> Figures:
        started = time.perf_counter()
        end = started + seconds
        works = [self._work(each, start, end) for start, each in enumerate(connections)]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + PATIENCE):
                await asyncio.gather(*works)
        spent = time.perf_counter() - started
        for each in self._reopened:
            each.close()
        calls, times = len(self._times), sorted(self._times) or [0.0]
        p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
        return Figures(p50, p99, calls / spent, calls, self._failed, self._reason)

    async def _work(self, connection: Connection, start: int, end: float) -> None:
        ids, asks = self._client.ids, itertools.cycle(self._asks)
        for _ in range(start % len(self._asks)):
            next(asks)
        for ask, template in asks:
            number = next(ids)
            started = time.perf_counter()
            if started >= end:
                return
            try:
                head, body = await connection.ask(template.fill(number))
                took = time.perf_counter() - started
                ask.check(number, read(head, body))
            except (OSError, WrongAnswerError, LookupError, TypeError, ValueError) as error:
                self._fail(repr(error))
                connection.close()
                connection = await self._client.connect()
                self._reopened.append(connection)
            except asyncio.CancelledError:
                self._fail(f"no answer in {PATIENCE} seconds")
                raise
            else:
                self._times.append(took)

    def _fail(self, reason: str) -> None:
        self._failed += 1
        self._reason = self._reason or reason


async def run_load(
    client: Client, asks: Sequence[Ask], connections: int, seconds: float
) -> Figures:
    """Ask in turns, from some connections, for some seconds."""
    opened = [await client.connect() for _ in range(connections)]
    try:
        if not client.session:
            await client.open(opened[0])
        return await Load(client, asks).run(opened, seconds)
    finally:
        for connection in opened:
            connection.close()
