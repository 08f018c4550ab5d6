"""Configured plugins running without a gateway round them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from plugway.config import Config
from plugway.discovery import discover
from plugway.registry import Registry, open_registry
from plugway.upstream import open_upstreams


@asynccontextmanager
async def open_plugins(config: Config) -> AsyncGenerator[Registry]:
    """Start the plugins, and let them reach their servers; raises `StartupError`."""
    async with (
        open_upstreams(config.servers) as upstreams,
        open_registry(config, discover(), upstreams) as registry,
    ):
        yield registry
