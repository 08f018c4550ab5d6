"""Start the configured plugins, or keep what is the same, and stop them in the end."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from plugway.config import Config
from plugway.errors import StartupError
from plugway.plugins.discovery import Discovery
from plugway.plugins.hooktable import collect_hooks, configured_kinds
from plugway.plugins.host import PluginHost
from plugway.plugins.instances import Instance
from plugway.plugins.lifecycle import (
    create,
    keep,
    release,
    start,
    stop,
)
from plugway.plugins.registry import Problem, Registry
from plugway_hookspecs import (
    Mode,
    PlugwayError,
    Server,
)

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_registry(
    config: Config,
    discovery: Discovery,
    servers: Mapping[str, Server],
    *,
    strict: bool = True,
    before: Registry | None = None,
) -> AsyncGenerator[Registry]:
    """Start the configured plugins, and stop them when the block ends.

    With `strict`, a plugin that guards and can't be started raises `StartupError`: failing closed
    starts here. Without, it is among `Registry.problems`. The registry shares the plugins that are
    the same in `before`, and they are stopped when the last of the two is done with them.
    """
    gateway = config.gateway
    kinds = configured_kinds(config, discovery)
    hooks = await anyio.to_thread.run_sync(collect_hooks, kinds)  # imports
    registry = Registry(
        hooks,
        queue=gateway.background_queue,
        workers=gateway.background_workers,
        threads=gateway.threads,
        timeout=gateway.request_timeout,
    )
    try:
        await _fill(registry, config, discovery, servers, before)
        del before  # or it would live for as long as its successor
        fatal = [f"{p.plugin}: {p.message}" for p in registry.problems if p.fatal]
        if strict and fatal:
            raise StartupError(fatal)
        for problem in registry.problems:
            level = logging.ERROR if problem.fatal else logging.WARNING
            log.log(level, "plugin %r is not running: %s", problem.plugin, problem.message)
        async with registry.background.running():
            yield registry
    finally:
        for instance in reversed(registry.instances):
            await release(instance)
        registry.close()


async def _fill(
    registry: Registry,
    config: Config,
    discovery: Discovery,
    servers: Mapping[str, Server],
    before: Registry | None,
) -> None:
    """Add the configured plugins and compile the chains."""
    old = {instance.name: instance for instance in before.instances} if before else {}
    for index, entry in enumerate(config.plugins):
        if entry.mode is not Mode.DISABLED:
            await _add(registry, config, index, discovery, servers, old.get(entry.name))
    registry.compile()


async def _add(
    registry: Registry,
    config: Config,
    index: int,
    discovery: Discovery,
    servers: Mapping[str, Server],
    old: Instance | None,
) -> None:
    """Create and start one plugin, or keep the old one, and compile it; or note its problem."""
    entry = config.plugins[index]
    instance: Instance | None = None
    try:
        source = discovery.kind(entry.kind)
        instance = await keep(entry, source, servers, registry.hooks, old) if old else None
        if instance is None:
            instance = await create(config, index, source, registry.hooks)

            def changed(instance: Instance = instance) -> None:
                if instance in registry.instances:
                    registry.parts_changed(instance)

            host = PluginHost(entry.name, servers, changed, registry.chain)
            await start(instance, host, registry.hooks)
        registry.add(instance)
    except BaseException as error:
        if instance is not None and not instance.running.users:
            await stop(instance)
        if not isinstance(error, PlugwayError):
            raise
        fatal = entry.required and not entry.effective_mode.observes
        registry.problems.append(Problem(entry.name, str(error), fatal))
