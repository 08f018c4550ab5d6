"""What the gateway offers to a plugin while it lives."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol


class Server(Protocol):
    """A configured MCP server, reached over the gateway's own pooled, guarded connection."""

    @property
    def name(self) -> str:
        """The server's name in the configuration."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the server declared when it was connected last; empty before."""
        ...

    async def connect(self) -> None:
        """Connect if there is no live connection; raises `ServerUnavailableError`."""
        ...

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Send one request (any method) and return its raw result; `timeout` is in seconds.

        Connects first where needed. Raises `ServerError` for a JSON-RPC error,
        `ServerUnavailableError` when there is no answer. Nothing is ever sent twice.
        """
        ...


class Host(Protocol):
    """The gateway, seen from a plugin; given to `plugin_startup`."""

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the plugin."""
        ...

    def server(self, name: str) -> Server:
        """Return the server of that name from `mcpServers`; raises `KeyError` if there is none."""
        ...

    def parts_changed(self) -> None:
        """Ask the gateway to read the plugin's `parts()` again and compile the chains anew."""
        ...


class CommandGroup(Protocol):
    """The part of a click group that `register_commands` needs."""

    def add_command(self, cmd: Any, name: str | None = None) -> None:
        """Add one click command."""
        ...
