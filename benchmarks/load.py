"""A load generator that costs little: MCP over keep-alive HTTP/1.1, in both eras."""

import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MODERN, LEGACY = "2026-07-28", "2025-11-25"


@dataclass
class Connection:
    """One keep-alive connection; one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(
        self, path: str, host: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        got = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:]) if k}
        if got.get("transfer-encoding") == "chunked":
            return status, got, await self._chunks()
        return status, got, await self.reader.readexactly(int(got.get("content-length", 0)))

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            data = await self.reader.readexactly(size + 2)
            if size == 0:
                return b"".join(parts)
            parts.append(data[:-2])


@dataclass
class Client:
    """One MCP client of one era."""

    url: str
    era: str
    session: str = ""
    _id: int = 0
    _parts: Any = field(init=False)

    def __post_init__(self) -> None:
        self._parts = urlsplit(self.url)

    async def connect(self) -> Connection:
        connection = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        return Connection(*connection)

    async def open(self, connection: Connection) -> None:
        """Shake hands, where the era has a handshake."""
        if self.era == "modern":
            return
        info = {"name": "bench", "version": "0"}
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info}
        _, headers, _ = await self._send(connection, "initialize", params)
        self.session = headers["mcp-session-id"]
        await self._send(connection, "notifications/initialized", None, notification=True)

    async def request(self, connection: Connection, method: str, params: dict[str, Any]) -> Any:
        """Return the result; raise on anything else."""
        status, headers, body = await self._send(connection, method, params)
        if headers.get("content-type", "").startswith("text/event-stream"):
            events = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
            body = next(e for e in reversed(events) if b'"id"' in e)
        message = json.loads(body)
        if status != 200 or "result" not in message:
            raise RuntimeError(f"{status}: {body[:300]!r}")
        return message["result"]

    async def _send(
        self,
        connection: Connection,
        method: str,
        params: dict[str, Any] | None,
        *,
        notification: bool = False,
    ) -> tuple[int, dict[str, str], bytes]:
        self._id += 1
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if not notification:
            message["id"] = self._id
        if self.era == "modern":
            meta = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
            }
            params = {**(params or {}), "_meta": meta}
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        elif self.session:
            headers |= {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self.session}
        if params is not None:
            message["params"] = params
        body = json.dumps(message).encode()
        return await connection.post(self._parts.path, self._parts.netloc, headers, body)


@dataclass
class Figures:
    """What one case came to; times in milliseconds."""

    p50: float
    p99: float
    rate: float
    failed: int


async def run_load(url: str, era: str, tool: str, *, workers: int, seconds: float) -> Figures:
    """Call `tool` from `workers` connections for `seconds`."""
    client = Client(url, era)
    first = await client.connect()
    await client.open(first)
    connections = [first, *[await client.connect() for _ in range(workers - 1)]]
    arguments = {"text": "x" * 32}
    times: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def work(connection: Connection) -> None:
        nonlocal failed
        while (started := time.perf_counter()) < end:
            try:
                params = {"name": tool, "arguments": arguments}
                result = await client.request(connection, "tools/call", params)
                if result.get("isError"):
                    failed += 1
            except RuntimeError:
                failed += 1
            times.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*[work(connection) for connection in connections])
    spent = time.perf_counter() - started
    for connection in connections:
        connection.writer.close()
    cuts = statistics.quantiles(times, n=100)
    return Figures(cuts[49] * 1000, cuts[98] * 1000, len(times) / spent, failed)
