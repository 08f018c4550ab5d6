"""Clients of any revision that send whatever they are told to, over each edge of a gateway."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Protocol

import anyio
import httpx2
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter

from plugway.downstream.edge import Edge

ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PROTOCOL = "io.modelcontextprotocol/protocolVersion"


def is_modern(version: str) -> bool:
    """Whether a revision is one without handshake."""
    return version >= "2026"


def message(
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    version: str,
    request_id: Any = None,
    capabilities: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a request, or without `request_id` a notification, as a revision has it."""
    given = dict(params or {})
    if is_modern(version):
        given["_meta"] = {
            PROTOCOL: version,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": dict(capabilities or {}),
            **given.get("_meta", {}),
        }
    sent: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if request_id is not None:
        sent["id"] = request_id
    return {**sent, "params": given} if given else sent


def handshake(version: str, capabilities: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the params of `initialize`."""
    info = {"name": "raw", "version": "0"}
    given = dict(capabilities or {})
    return {"protocolVersion": version, "capabilities": given, "clientInfo": info}


class RawClient(Protocol):
    """What the clients have in common."""

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return the whole response to it."""
        ...

    async def send(self, sent: Any) -> None:
        """Send a message, whatever comes of it."""
        ...


class RawHttp:
    """A client over HTTP."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        url: str,
        version: str,
        capabilities: Mapping[str, Any] | None = None,
    ) -> None:
        self.http = http
        self.url = url
        self.version = version
        self.capabilities = capabilities
        self.session: dict[str, str] = {}
        self._ids = count(1)

    async def open(self) -> None:
        """Shake hands, where the revision has that."""
        if is_modern(self.version):
            return
        sent = message(
            "initialize",
            handshake(self.version, self.capabilities),
            version=self.version,
            request_id=0,
        )
        response = await self.http.post(self.url, json=sent, headers=ACCEPT)
        self.session = {
            "mcp-session-id": response.headers["mcp-session-id"],
            "mcp-protocol-version": self.version,
        }
        await self.send(message("notifications/initialized", version=self.version))

    def headers(self, sent: Any) -> dict[str, str]:
        """Return what goes with a message."""
        if not is_modern(self.version) or isinstance(sent, list):
            return {**ACCEPT, **self.session}
        method = str(sent.get("method"))
        headers = {**ACCEPT, "mcp-protocol-version": self.version, "mcp-method": method}
        name = sent.get("params", {}).get(NAMES.get(method, ""))
        return headers if name is None else {**headers, "mcp-name": name}

    async def post(self, sent: Any, headers: Any = None) -> httpx2.Response:
        """Send a message and return the HTTP response to it, read to its end."""
        return await self.http.post(
            self.url, json=sent, headers=self.headers(sent) if headers is None else headers
        )

    async def send(self, sent: Any) -> None:
        async with self.http.stream("POST", self.url, json=sent, headers=self.headers(sent)):
            pass

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a request of the client's."""
        return message(
            method,
            params,
            version=self.version,
            request_id=next(self._ids),
            capabilities=self.capabilities,
        )

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return answer_in(await self.post(self.request(method, params)))


def answer_in(response: httpx2.Response) -> dict[str, Any]:
    """Return the response that is in an HTTP response."""
    if response.headers.get("content-type", "").startswith("application/json"):
        whole: dict[str, Any] = response.json()
        return whole
    data = [line[5:] for line in response.text.splitlines() if line.startswith("data:")]
    messages: list[dict[str, Any]] = [json.loads(line) for line in data if line.strip()]
    return next(each for each in reversed(messages) if "method" not in each)


class RawPipe:
    """The client of an edge that serves one, as over stdio."""

    def __init__(
        self, read: Any, write: Any, version: str, capabilities: Mapping[str, Any] | None
    ) -> None:
        self.read = read
        self.write = write
        self.version = version
        self.capabilities = capabilities
        self._ids = count(1)

    async def open(self) -> None:
        """Shake hands, where the revision has that."""
        if not is_modern(self.version):
            await self.ask("initialize", handshake(self.version, self.capabilities))
            await self.send(message("notifications/initialized", version=self.version))

    async def send(self, sent: Any) -> None:
        parsed: JSONRPCMessage = jsonrpc_message_adapter.validate_python(sent)
        await self.write.send(SessionMessage(parsed))

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        received: SessionMessage = await self.read.receive()
        return received.message.model_dump(by_alias=True, exclude_unset=True, mode="json")

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request_id = next(self._ids)
        await self.send(
            message(
                method,
                params,
                version=self.version,
                request_id=request_id,
                capabilities=self.capabilities,
            )
        )
        while True:
            received = await self.receive()
            if received.get("id") == request_id and "method" not in received:
                return received


@asynccontextmanager
async def raw_http(
    url: str, version: str, capabilities: Mapping[str, Any] | None = None
) -> AsyncGenerator[RawHttp]:
    """Open a client over HTTP."""
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
        client = RawHttp(http, url, version, capabilities)
        await client.open()
        yield client


@asynccontextmanager
async def raw_pipe(
    edge: Edge, version: str, capabilities: Mapping[str, Any] | None = None
) -> AsyncGenerator[RawPipe]:
    """Open a client whose edge serves it alone."""
    async with (
        create_client_server_memory_streams() as (near, far),
        anyio.create_task_group() as tasks,
    ):
        options = edge.server.create_initialization_options()
        tasks.start_soon(edge.server.run, *far, options)
        client = RawPipe(*near, version, capabilities)
        await client.open()
        yield client
        tasks.cancel_scope.cancel()
