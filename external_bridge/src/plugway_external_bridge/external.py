"""The plugin kind `external`: plugins that live on another MCP server."""

from collections.abc import Sequence
from typing import cast

from plugway_external_bridge.client import contextforge, interceptors
from plugway_external_bridge.client.breaker import Breaker
from plugway_external_bridge.client.link import Link
from plugway_external_bridge.client.listing import list_interceptors
from plugway_external_bridge.config import ExternalConfig
from plugway_external_bridge.errors import SetupError
from plugway_hookspecs import (
    Host,
    Part,
    Plugin,
    PluginConfig,
    ServerUnavailableError,
    hookimpl,
)


class External(Plugin):
    """Plugins on another MCP server, as steps of this chain."""

    class Config(ExternalConfig):
        """Which server, which of its plugins, and how to talk to them."""

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        super().__init__(config, name=name)
        self._config = cast("ExternalConfig", config)
        self._link: Link | None = None
        self._parts: Sequence[Part] = ()

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        """Connect, find out what the server speaks, and make a step of each of its plugins.

        Raises `SetupError` where it can't be used as configured, `ServerUnavailableError` where it
        can't be reached.
        """
        config = self._config
        try:
            server = host.server(config.server)
        except KeyError as error:
            raise SetupError(f"there is no server {config.server!r} in mcpServers") from error
        link = Link(server, self.name, Breaker(server.name))
        await server.connect()
        listing = await list_interceptors(server, config)
        if listing is not None:
            self._parts = interceptors.build_parts(listing, config, link, host.logger)
        else:
            self._parts = await contextforge.open_parts(server, config, link, host.logger)
        self._link = link

    @hookimpl
    async def plugin_health(self) -> str | None:
        """Return one sentence if the server can't be reached or does not answer."""
        if self._link is None:
            return "it has not been started"
        server = self._link.server
        if self._link.breaker.is_open:
            return f"server {server.name!r} does not answer"
        try:
            await server.connect()
        except ServerUnavailableError:
            return f"server {server.name!r} can't be reached"
        return None

    def parts(self) -> Sequence[Part]:
        """Return a step for each of the server's plugins."""
        return self._parts
