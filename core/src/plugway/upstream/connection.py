"""What stands between an upstream and the wire: the interface that connections implement."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import anyio
from anyio.abc import TaskStatus

from plugway.upstream.calls import Call
from plugway.upstream.errors import Fault
from plugway_hookspecs.frozen import EMPTY

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The largest message that is read, so that no server can fill the memory."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What negotiation found out about the server; raw JSON values."""

    era: Literal["modern", "legacy"]
    protocol_version: str
    capabilities: Mapping[str, Any] = EMPTY
    server_info: Mapping[str, Any] = EMPTY
    instructions: str = ""
    session: bool = False
    """Whether a legacy server keeps a session, in which it can ask the client."""


class Connection(Protocol):
    """One negotiated connection; usable from any task until `over` is set."""

    @property
    def peer(self) -> Peer:
        """What the server said when the connection was made."""
        ...

    @property
    def over(self) -> anyio.Event:
        """Set as soon as the connection takes no more requests."""
        ...

    @property
    def fault(self) -> Fault | None:
        """Why it is over."""
        ...

    async def request(self, call: Call) -> dict[str, Any]:
        """Send one request and return its raw result.

        Raises `ServerError` for a JSON-RPC error and `NoAnswerError` for everything else.
        Cancelling it cancels the request on the server.
        """
        ...

    async def hears(self) -> None:
        """Wait until what the server sends outside of requests arrives here, or never will."""
        ...

    async def quiet(self) -> None:
        """Wait until the server has been told of every request that was given up."""
        ...

    async def tell(self, method: str) -> None:
        """Send a notification without params."""
        ...


class Connector(Protocol):
    """Makes connections to one server, one at a time."""

    @property
    def stderr_tail(self) -> str:
        """The last lines of the program's standard error; empty where there is no program."""
        ...

    def resources(self) -> AbstractAsyncContextManager[None]:
        """Hold what outlives a connection, such as a connection pool."""
        ...

    async def serve(self, *, task_status: TaskStatus[Connection]) -> None:
        """Own one connection from opening to closing, in this task.

        Reports it through `task_status.started` once it is negotiated and returns when it is
        closed. Raises `ConnectFailedError` if no connection comes about, nothing afterwards.
        """
        ...
