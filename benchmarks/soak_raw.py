"""Clients of the soak, of both eras, that are nothing but HTTP and JSON."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from typing import Any

import anyio
import httpx2
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import ProgressFnT
from soak_peers import MODERN, Caller, FailedError, Message, Turns, text_of

LEGACY = "2025-11-25"
CHANGED = "notifications/resources/updated"


class RawPeer:
    """A client that is nothing but HTTP and JSON."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        url: str,
        caller: Caller,
        *,
        modern: bool,
        capabilities: Message,
    ) -> None:
        self._http = http
        self._url = url
        self._caller = caller
        self._modern = modern
        self._capabilities = capabilities
        self._ids = count(1)
        self._session = ""
        self._followed = Turns()
        self._updates: dict[str, anyio.Event] = {}

    async def call(
        self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None
    ) -> str:
        """Call a tool and return its text; answer what it asks."""
        params: Message = {"name": tool, "arguments": arguments}
        if progress is not None:
            params["_meta"] = {"progressToken": arguments["token"]}
        result = await self.request("tools/call", params, progress)
        while result.get("resultType") == "input_required":
            answers = {
                key: self._caller.answer(asked["params"]["message"])
                for key, asked in result["inputRequests"].items()
            }
            again = {**params, "inputResponses": answers, "requestState": result["requestState"]}
            result = await self.request("tools/call", again, progress)
        return text_of(result)

    async def tools(self) -> Message:
        """Return the whole list."""
        return await self.request("tools/list", {})

    async def read(self, uri: str) -> str:
        """Return a resource's text."""
        result = await self.request("resources/read", {"uri": uri})
        return str(result["contents"][0]["text"])

    async def prompt(self, name: str, arguments: dict[str, str]) -> str:
        """Return the text of a prompt."""
        result = await self.request("prompts/get", {"name": name, "arguments": arguments})
        return str(result["messages"][0]["content"]["text"])

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncGenerator[anyio.Event]:
        """Follow a resource; the event is set when it has changed."""
        async with self._followed.turn(uri):
            changed = self._updates[uri] = anyio.Event()
            if self._modern:
                async with self._listening(uri):
                    yield changed
                return
            await self.request("resources/subscribe", {"uri": uri})
            yield changed
            await self.request("resources/unsubscribe", {"uri": uri})

    @asynccontextmanager
    async def _listening(self, uri: str) -> AsyncGenerator[None]:
        stands = anyio.Event()
        failure: list[Exception] = []

        async def listen() -> None:
            params = {"notifications": {"resourceSubscriptions": [uri]}}
            try:
                await self.request("subscriptions/listen", params, acknowledged=stands.set)
            except (FailedError, httpx2.HTTPError) as error:
                failure.append(error)
            stands.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await stands.wait()
            if not failure:
                yield
            tasks.cancel_scope.cancel()
        if failure:
            raise failure[0]

    async def request(
        self,
        method: str,
        params: Message,
        progress: ProgressFnT | None = None,
        acknowledged: Callable[[], None] | None = None,
    ) -> Message:
        """Send one request and return its result."""
        ident = f"r{next(self._ids)}"
        message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": self._own(params)}
        headers = self._headers(method, params)
        try:
            async with self._http.stream(
                "POST", self._url, json=message, headers=headers
            ) as response:
                self._session = response.headers.get("mcp-session-id", self._session)
                async for each in _messages(response):
                    if each.get("id") == ident and "method" not in each:
                        return _result(each)
                    await self._take(each, params, progress, acknowledged)
        except anyio.get_cancelled_exc_class():
            if not self._modern:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await self._notify("notifications/cancelled", {"requestId": ident})
            raise
        raise FailedError(f"no answer to {method} in a response of status {response.status_code}")

    async def _take(
        self,
        message: Message,
        params: Message,
        progress: ProgressFnT | None,
        acknowledged: Callable[[], None] | None,
    ) -> None:
        """Take what comes before the answer."""
        given: Message = message.get("params", {})
        match message.get("method"):
            case "elicitation/create":
                answer = {"id": message["id"], "result": self._caller.answer(given["message"])}
                await self._post({"jsonrpc": "2.0", **answer})
            case "notifications/progress" if progress is not None:
                if given["progressToken"] != params["_meta"]["progressToken"]:
                    self._caller.asked_wrongly(f"progress of another call: {given}")
                await progress(given["progress"], given.get("total"), given.get("message"))
            case "notifications/subscriptions/acknowledged" if acknowledged is not None:
                acknowledged()
            case method if method == CHANGED:
                if (changed := self._updates.get(given["uri"])) is not None:
                    changed.set()
            case _:
                pass

    def _own(self, params: Message) -> Message:
        if not self._modern:
            return params
        meta = {
            **params.get("_meta", {}),
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": self._capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "soak", "version": "0"},
        }
        return {**params, "_meta": meta}

    def _headers(self, method: str, params: Message) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream"}
        if self._modern:
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if name := params.get("name", params.get("uri")):
                headers["Mcp-Name"] = name
        elif self._session:
            headers |= {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self._session}
        return headers

    async def _notify(self, method: str, params: Message | None = None) -> None:
        with suppress(httpx2.HTTPError):
            await self._post({"jsonrpc": "2.0", "method": method, "params": params or {}})

    async def _post(self, message: Message) -> None:
        await self._http.post(self._url, json=message, headers=self._headers("", {}))

    async def begin(self, tasks: TaskGroup) -> None:
        """Shake hands, and hear what belongs to no request; in `tasks`."""
        if self._modern:
            return
        info = {"name": "soak", "version": "0"}
        given = {"protocolVersion": LEGACY, "capabilities": self._capabilities, "clientInfo": info}
        await self.request("initialize", given)
        await self._notify("notifications/initialized")
        listening = anyio.Event()
        tasks.start_soon(self._hear, listening)
        await listening.wait()

    async def _hear(self, listening: anyio.Event) -> None:
        try:
            async with self._http.stream(
                "GET", self._url, headers=self._headers("", {})
            ) as response:
                listening.set()
                async for message in _messages(response):
                    await self._take(message, {}, None, None)
        except httpx2.HTTPError:
            listening.set()

    async def end(self) -> None:
        """Say that the session is over."""
        if not self._modern:
            with anyio.move_on_after(5), suppress(httpx2.HTTPError):
                await self._http.delete(self._url, headers=self._headers("", {}))


@asynccontextmanager
async def raw_peer(
    url: str, caller: Caller, *, modern: bool, asks: bool, polite: bool
) -> AsyncGenerator[RawPeer]:
    """Connect a raw client; one that is not `polite` vanishes without a word."""
    capabilities: Message = {"elicitation": {"form": {}} if modern else {}} if asks else {}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=60))
        peer = RawPeer(http, url, caller, modern=modern, capabilities=capabilities)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        await peer.begin(tasks)
        yield peer
        if polite:
            await peer.end()


async def _messages(response: httpx2.Response) -> AsyncGenerator[Message]:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        body = await response.aread()
        if body:
            yield _parsed(response.status_code, body)
        return
    async for line in response.aiter_lines():
        if line.startswith("data:") and (data := line[5:].strip()):
            yield json.loads(data)


def _parsed(status: int, body: bytes) -> Message:
    try:
        message: Message = json.loads(body)
    except ValueError:
        raise FailedError(f"status {status}: {body[:200]!r}") from None
    return message


def _result(message: Message) -> Message:
    if "error" in message:
        raise FailedError(str(message["error"]["message"]))
    result: Message = message["result"]
    return result
