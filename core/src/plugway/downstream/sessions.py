"""What the gateway remembers of handshake-era sessions: log levels, and the way to push."""

import logging
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

log = logging.getLogger(__name__)


def wants_level(wanted: str, level: Any) -> bool:
    """Whether a message of `level` is to be sent to who asked for `wanted` and above."""
    return level in LEVELS and LEVELS.index(level) >= LEVELS.index(wanted)


@dataclass(slots=True, eq=False)
class Session:
    """One handshake-era client, from its first request until its connection is gone."""

    log_level: str = "debug"
    """Messages below it are not forwarded; servers send all until a client says otherwise."""


class Sessions:
    """All handshake-era sessions that are alive; a session goes with its connection."""

    def __init__(self) -> None:
        """Start without any."""
        self._sessions: WeakKeyDictionary[Connection, Session] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, context: ServerRequestContext[Any, Any]) -> Session:
        """Return the session that a request belongs to."""
        return self._sessions.setdefault(connection_of(context), Session())

    async def announce(self, method: str) -> None:
        """Push a notification without params to every client that has finished its handshake."""
        for connection in list(self._sessions):
            if connection.initialized.is_set():
                await connection.notify(method, None)


def connection_of(context: ServerRequestContext[Any, Any]) -> Connection:
    """Return the SDK's connection behind a request.

    mcp 2.3 has no public way from a request's context to its connection, which alone knows the
    state of a session; this is the one place that reaches for it.
    """
    return context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
