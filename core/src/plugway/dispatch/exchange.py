"""A client's request as the dispatcher takes it: plain JSON values, whatever the transport."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from plugway.federation.view import WHOLE, View
from plugway.timing import Limit
from plugway_hookspecs import Client, Principal
from plugway_hookspecs.context import ANONYMOUS
from plugway_hookspecs.frozen import EMPTY

Progress = Callable[[dict[str, Any]], Awaitable[None]]
"""Takes the params of `notifications/progress`, without the token, which each hop has its own of.

There is a number in `progress`; `total` is one, and `message` a string, where they are there.
"""
Log = Callable[[dict[str, Any]], Awaitable[None]]
Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Puts a request to the client (method, params), and returns the raw result.

Raises `RpcError` with what the client answers instead.
"""


class Session(Protocol):
    """A handshake-era client, from its handshake until it is gone."""

    async def ask(self, server: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Put a server's question, which belongs to no request, to the client.

        Raises `RpcError`.
        """
        ...

    async def tell(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send the client a notification that belongs to no request."""
        ...

    def on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the client is gone; it may not raise, nor block.

        Returns the way to take it back.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """What a server may know of the client behind a request."""

    capabilities: Mapping[str, Any] = EMPTY
    """What the client declared, as raw JSON values."""
    session: Session | None = None
    """The client's session; None for clients of the stateless era (2026-07-28)."""
    roots: Mapping[str, Any] | None = None
    """What a client of the stateless era has said of its roots, in an earlier round."""
    asks: dict[frozenset[str], Mapping[str, Any]] = field(
        default_factory=dict[frozenset[str], Mapping[str, Any]]
    )
    """What servers may ask it, by what is allowed to them: upstreams keep it here."""


class Watches(Protocol):
    """The resources that one client follows, by the URIs that it uses."""

    async def add(self, uri: str, server: str, inward: str, principal: Principal) -> None:
        """Follow a resource, which the server knows as `inward`, for who is asking.

        Raises what the server answers instead.
        """
        ...

    def remove(self, uri: str) -> None:
        """Follow it no longer; no matter whether it was followed."""
        ...


@dataclass(slots=True, eq=False)
class Request:
    """One JSON-RPC request of a client."""

    method: str
    params: Mapping[str, Any]
    client: Client
    modern: bool
    """Whether the client speaks 2026-07-28 or later; decides the shape of the result."""
    principal: Principal = ANONYMOUS
    headers: Mapping[str, str] = EMPTY
    on_progress: Progress | None = None
    """None when the client did not ask for progress."""
    on_log: Log | None = None
    """Takes the params of `notifications/message`."""
    log_level: str | None = None
    view: View = WHOLE
    """What the client's endpoint shows, and under which names; `params` are in those."""
    record: list[Any] | None = None
    """Where the chains write what they did; None when nobody listens."""
    caller: Caller | None = None
    """What servers may know of the client; None for what is not a client's request."""
    ask: Ask | None = None
    """Asks the client while it waits (handshake era); else questions go into the result."""
    watches: Watches | None = None
    """Where subscriptions to resources go; None where the client can't be told of changes."""
    limit: Limit | None = None
    """The time that the request may take; the dispatcher sets it."""
