"""A plugin's way to its server: one request, one answer or one `PluginError`, never a repeat."""

from collections.abc import Mapping
from typing import Any

from plugway_external_bridge.client.breaker import Breaker
from plugway_external_bridge.wire.hooks import Hook
from plugway_hookspecs import PluginError, Server, ServerError, ServerUnavailableError


class Link:
    """What all interceptors of one `external` plugin share."""

    def __init__(self, server: Server, plugin: str, breaker: Breaker) -> None:
        self.server = server
        self.plugin = plugin
        self.breaker = breaker

    async def ask(
        self, method: str, params: Mapping[str, Any], hook: Hook, timeout: float | None
    ) -> dict[str, Any]:
        """Send one request during a hook; `timeout` is in seconds.

        Whatever is not a result raises `PluginError`: what it means is the operator's to say, with
        `on_error`. The server's own words are only in the cause, since they may quote the payload.
        """
        name = self.server.name
        try:
            with self.breaker.watch():
                return await self.server.request(method, params, timeout=timeout)
        except ServerError as error:
            raise self.failure(hook, f"server {name!r} answered error {error.code}") from error
        except ServerUnavailableError as error:
            raise self.failure(hook, f"server {name!r} gave no answer") from error

    def failure(self, hook: Hook, message: str) -> PluginError:
        """Return the error for a call that led to no verdict."""
        return PluginError(message, plugin=self.plugin, hook=hook.name)
