"""A client's request as the dispatcher takes it: plain JSON values, whatever the transport."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from plugway_hookspecs import Client, Principal
from plugway_hookspecs.context import ANONYMOUS
from plugway_hookspecs.frozen import EMPTY

Progress = Callable[[float, float | None, str | None], Awaitable[None]]
Log = Callable[[dict[str, Any]], Awaitable[None]]


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
    """Takes progress, total and message; None when the client did not ask for progress."""
    on_log: Log | None = None
    """Takes the params of `notifications/message`."""
    log_level: str | None = None
    record: list[Any] | None = None
    """Where the chains write what they did; None when nobody listens."""
