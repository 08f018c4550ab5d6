"""The errors of the contract.

PlugwayError
 ├─ NotJsonError             a payload holds something that can't go out       .path
 ├─ PluginError              a plugin failed (never a verdict)                 .plugin .hook
 ├─ ServerError              an MCP server answered with a JSON-RPC error      .server .code .data
 └─ ServerUnavailableError   an MCP server could not be reached, or vanished   .server
"""

from typing import Any


class PlugwayError(Exception):
    """Root of every error that plugway raises on purpose."""


class NotJsonError(PlugwayError, TypeError):
    """A payload holds what JSON can't carry, or what MCP does not have there; `path` says where."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(f"{message} at {path or 'the top'}")
        self.path = path


class PluginError(PlugwayError):
    """A plugin failed: it raised, timed out, or returned what its hook does not allow."""

    def __init__(self, message: str, *, plugin: str, hook: str) -> None:
        super().__init__(f"plugin {plugin!r} in {hook}: {message}")
        self.message = message
        self.plugin = plugin
        self.hook = hook


class ServerError(PlugwayError):
    """An MCP server answered with a JSON-RPC error."""

    def __init__(self, message: str, *, server: str, code: int, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.server = server
        self.code = code
        self.data = data


class ServerUnavailableError(PlugwayError):
    """An MCP server could not be reached, or its connection was lost during a request."""

    def __init__(self, message: str, *, server: str) -> None:
        super().__init__(message)
        self.message = message
        self.server = server
