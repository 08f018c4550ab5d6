"""Configured plugins running without a gateway round them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread

from plugway.config import Config
from plugway.plugins.discovery import discover
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry
from plugway.upstream import open_upstreams


@asynccontextmanager
async def open_plugins(load: Callable[[], Config]) -> AsyncGenerator[Registry]:
    """Start the plugins of the configuration that `load` reads; they can reach its servers.

    Raises `StartupError` where one that guards is missing, and whatever `load` raises.
    """
    config = await anyio.to_thread.run_sync(load)
    discovery = await anyio.to_thread.run_sync(discover)
    async with (
        open_upstreams(config.servers) as upstreams,
        open_registry(config, discovery, upstreams) as registry,
    ):
        yield registry
