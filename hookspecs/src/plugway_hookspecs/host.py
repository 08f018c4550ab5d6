"""What the gateway offers to a plugin while it lives."""

import logging
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, TypeVar

from plugway_hookspecs.context import Context
from plugway_hookspecs.payloads import Payload
from plugway_hookspecs.runner import Outcome

P = TypeVar("P", bound=Payload)


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
        """Ask the gateway to read the plugin's `parts()` again and compile the chains anew.

        Parts may come, and get other objects. Where a part that guards would go, or be allowed
        less, all stays as it is, and the log says so.
        """
        ...

    def implemented(self, hook: str, context: Context) -> bool:
        """Whether `fire` would call anybody; spares making a payload for nobody.

        Raises `PluginError` where no configured plugin adds the hook.
        """
        ...

    async def fire(self, hook: str, payload: P, context: Context) -> Outcome[P]:
        """Run the chain of a custom hook as a part of the operation that `context` is about.

        The outcome has the payload as the plugins left it and, where one of them stopped the chain
        (or failed, and guards), its `Deny`: what that means is for the caller to decide. Raises
        `PluginError` for a hook that no configured plugin adds, for a payload of another type, and
        where hooks fire hooks without end.
        """
        ...


class HookRegistrar(Protocol):
    """Takes the hooks that a package adds; given to `register_hooks`."""

    def add(self, specs: type | ModuleType) -> None:
        """Add the functions marked with `hookspec` in a class or a module.

        Each is `async def name(self, payload: P, context: Context) -> P | Deny | None`, and `P`
        is a frozen, slotted dataclass derived from `Payload`.
        """
        ...


class CommandGroup(Protocol):
    """The part of a click group that `register_commands` needs."""

    def add_command(self, cmd: Any, name: str | None = None) -> None:
        """Add one click command."""
        ...
