"""What all clients of the soak have in common, and those on the SDK."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp.client.session import IncomingMessage
from mcp.shared.dispatcher import ProgressFnT

MODERN = "2026-07-28"

Message = dict[str, Any]


class FailedError(Exception):
    """A request that came back as an error; the text is the error's message."""


@dataclass(slots=True, eq=False)
class Caller:
    """What all clients share: which questions they expect, and how they answer them."""

    asked_wrongly: Callable[[str], None]
    """Takes a question that came to a client which has no call that it belongs to."""
    tokens: set[str] = field(default_factory=set[str])
    """Those of its calls under way."""
    past: set[str] = field(default_factory=set[str])
    """Those of its calls that are over; a question that was on its way may come late."""

    def answer(self, message: str) -> dict[str, Any]:
        """Answer a question about one of its tokens."""
        token = message.rpartition(" ")[2]
        if token not in self.tokens | self.past:
            self.asked_wrongly(f"a client got the question {message!r}, which is another's")
        return {"action": "accept", "content": {"answer": f"re:{token}"}}


class Turns:
    """Locks by URI: in a session a resource is followed or not, however many would like to."""

    def __init__(self) -> None:
        self._locks: dict[str, anyio.Lock] = {}

    def turn(self, uri: str) -> anyio.Lock:
        """Return the lock of one resource."""
        return self._locks.setdefault(uri, anyio.Lock())


class SdkPeer:
    """A client on the SDK."""

    def __init__(self, client: Client, updates: dict[str, anyio.Event], *, modern: bool) -> None:
        self._client = client
        self._followed = Turns()
        self._updates = updates
        self._modern = modern

    async def call(
        self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None
    ) -> str:
        """Call a tool and return its text."""
        with _as_failure():
            result = await self._client.call_tool(tool, arguments, progress_callback=progress)
        return text_of(result.model_dump(by_alias=True, mode="json"))

    async def tools(self) -> Message:
        """Return the whole list."""
        with _as_failure():
            listed = await self._client.list_tools()
        return listed.model_dump(by_alias=True, mode="json")

    async def read(self, uri: str) -> str:
        """Return a resource's text."""
        with _as_failure():
            result = await self._client.read_resource(uri)
        return str(result.model_dump()["contents"][0]["text"])

    async def prompt(self, name: str, arguments: dict[str, str]) -> str:
        """Return the text of a prompt."""
        with _as_failure():
            result = await self._client.get_prompt(name, arguments)
        return str(result.model_dump()["messages"][0]["content"]["text"])

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncGenerator[anyio.Event]:
        """Follow a resource; the event is set when it has changed."""
        with _as_failure():
            if not self._modern:
                async with self._followed.turn(uri):
                    changed = self._updates[uri] = anyio.Event()
                    await self._client.session.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
                    yield changed
                    await self._client.session.unsubscribe_resource(uri)  # pyright: ignore[reportDeprecated]
                return
            changed = anyio.Event()
            async with (
                self._client.listen(resource_subscriptions=[uri]) as events,
                anyio.create_task_group() as tasks,
            ):

                async def hear() -> None:
                    async for event in events:
                        if getattr(event, "uri", None) == uri:
                            changed.set()

                tasks.start_soon(hear)
                yield changed
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def sdk_peer(
    url: str, caller: Caller, *, modern: bool, asks: bool
) -> AsyncGenerator[SdkPeer]:
    """Connect a client on the SDK."""
    updates: dict[str, anyio.Event] = {}

    async def elicited(
        context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult:
        del context
        return types.ElicitResult.model_validate(caller.answer(params.message))

    async def heard(message: IncomingMessage) -> None:
        if isinstance(message, types.ResourceUpdatedNotification) and (
            changed := updates.get(str(message.params.uri))
        ):
            changed.set()

    callback = elicited if asks else None
    mode = MODERN if modern else "legacy"
    async with Client(
        url, mode=mode, cache=None, elicitation_callback=callback, message_handler=heard
    ) as client:
        yield SdkPeer(client, updates, modern=modern)


class _as_failure:  # noqa: N801 - it reads as a block
    """Turn the SDK's errors into ours."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, MCPError):
            raise FailedError(error.message) from None


def text_of(result: Mapping[str, Any]) -> str:
    """Return the text of a tool's result; raises `FailedError` if the tool has failed."""
    text = str(result["content"][0]["text"])
    if result.get("isError"):
        raise FailedError(text)
    return text
