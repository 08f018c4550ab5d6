"""A plugin's life: made, started, kept by a reload, released, stopped."""

import inspect
import logging
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
from pydantic import ValidationError

from plugway.config import Config, PluginEntry
from plugway.errors import PluginSetupError
from plugway.executor.conditions import compile_conditions
from plugway.executor.steps import Policy
from plugway.foreign import describe, is_failure, stack
from plugway.plugins.discovery import KindSource, validate_hooks
from plugway.plugins.hookcheck import implementations
from plugway.plugins.hooktable import HookTable
from plugway.plugins.host import PluginHost
from plugway.plugins.instances import Instance, ModuleInstance, Running
from plugway.plugins.routes import check_routes
from plugway_hookspecs import (
    Part,
    Plugin,
    PlugwayError,
    Server,
)
from plugway_hookspecs.plugin import DEFAULT_PRIORITY

STARTUP_SECONDS = 30.0
SHUTDOWN_SECONDS = 5.0

log = logging.getLogger(__name__)


async def create(config: Config, index: int, source: KindSource, hooks: HookTable) -> Instance:
    """Load the kind of `config.plugins[index]` and make an instance of it.

    Raises `PluginLoadError` where the package is broken, `ConfigError` where the entry is, and
    `PluginSetupError` where the kind refuses what looked right.
    """
    entry = config.plugins[index]
    if (failure := hooks.failures.get(entry.kind)) is not None:
        raise failure
    kind = await anyio.to_thread.run_sync(source.load)  # imports
    if isinstance(kind, ModuleType):
        if entry.config or entry.server:
            message = f"kind {entry.kind!r} is a module and takes no config"
            raise PluginSetupError(message, plugin=entry.name)
        plugin: object = ModuleInstance(kind)
    else:
        plugin = _construct(config, index, kind)
    _check_hooks(plugin, entry.name, hooks)
    return Instance(entry, Running(source, kind, plugin), _policy(entry, kind))


async def keep(
    entry: PluginEntry,
    source: KindSource,
    servers: Mapping[str, Server],
    hooks: HookTable,
    before: Instance,
) -> Instance | None:
    """Return an instance round the object of `before`, if `entry` would only make the same again.

    What it is made of is its kind, its settings, and the servers it asked for. Raises
    `PluginLoadError`, and `PluginSetupError` where it implements a hook that is not in `hooks`.
    """
    if (failure := hooks.failures.get(entry.kind)) is not None:
        raise failure
    kind = await anyio.to_thread.run_sync(source.load)
    running = before.running
    asked = running.host.asked if running.host else {}
    same = (
        running.users > 0
        and kind is running.kind
        and entry.server == before.entry.server
        and repr(entry.config) == repr(before.entry.config)  # 1 == True, and is not the same
        and all(servers.get(name) is server for name, server in asked.items())
    )
    if not same:
        return None
    _check_hooks(running.plugin, entry.name, hooks)
    _check_parts(running.plugin, running.parts, entry.name, hooks)
    if source.version != running.source.version:
        new, old = source.version, running.source.version
        message = "plugin %r: version %s is installed, %s goes on running until a restart"
        log.warning(message, entry.name, new, old)
    return Instance(entry, running, _policy(entry, kind))


def _check_hooks(plugin: object, name: str, hooks: HookTable) -> None:
    if wrong := validate_hooks(plugin, hooks.arguments):
        raise PluginSetupError("; ".join(wrong), plugin=name)


def _construct(config: Config, index: int, kind: type[Plugin]) -> Plugin:
    entry = config.plugins[index]
    values = dict(entry.config)
    if entry.server is not None:
        values.setdefault("server", entry.server)
    try:
        settings = kind.Config.model_validate(values)
    except ValidationError as error:
        raise config.invalid(error, kind.Config, "plugins", index, "config") from None
    except Exception as error:  # a validator of its own may raise anything
        raise _setup_error(f"the config of kind {entry.kind!r}", error, entry.name) from error
    try:
        return kind(settings, name=entry.name)
    except Exception as error:
        raise _setup_error(f"kind {entry.kind!r}", error, entry.name) from error


def _setup_error(what: str, error: BaseException, plugin: str) -> PluginSetupError:
    """Repeat only what was written for operators; other messages may quote a secret."""
    log.debug("plugin %r: %s failed\n%s", plugin, what, stack(error))
    if isinstance(error, PlugwayError):
        return PluginSetupError(str(error), plugin=plugin)
    message = f"{what} {describe(error)}; the log has the stack at level debug (-v)"
    return PluginSetupError(message, plugin=plugin)


def _policy(entry: PluginEntry, kind: type[Plugin] | ModuleType) -> Policy:
    declared: frozenset[str] = frozenset()
    priority = DEFAULT_PRIORITY
    if not isinstance(kind, ModuleType):
        declared, priority = kind.capabilities, kind.priority
    granted = declared if entry.capabilities is None else frozenset(entry.capabilities)
    return Policy(
        mode=entry.effective_mode,
        on_error=entry.effective_on_error,
        priority=priority if entry.priority is None else entry.priority,
        timeout=entry.timeout,
        threaded=entry.threaded,
        when=compile_conditions(entry.when),
        capabilities=granted,
        retry_after=entry.retry_after,
        skip_disabled=entry.while_disabled == "skip",
    )


async def start(instance: Instance, host: PluginHost, hooks: HookTable) -> None:
    """Call `plugin_startup`, read parts and routes; raises `PluginSetupError`."""
    instance.running.host = host
    step = "plugin_startup"
    try:
        with anyio.move_on_after(STARTUP_SECONDS) as scope:
            await call_lifecycle(instance.plugin, "plugin_startup", host)
            read_parts(instance, hooks)
            step = "register_routes"
            found = await call_lifecycle(instance.plugin, "register_routes")
            instance.running.routes = check_routes(instance.name, () if found is None else found)
    except BaseException as error:
        if not is_failure(error):
            raise
        raise _setup_error(step, error, instance.name) from error
    if scope.cancelled_caught:
        message = f"{step} took longer than {STARTUP_SECONDS:g} s"
        raise PluginSetupError(message, plugin=instance.name)


def read_parts(instance: Instance, hooks: HookTable) -> None:
    """Ask a plugin what steps it consists of now; raises `PluginSetupError` for nonsense."""
    plugin = instance.plugin
    parts = tuple(plugin.parts()) if isinstance(plugin, Plugin) else ()
    _check_parts(plugin, parts, instance.name, hooks)
    instance.running.parts = parts


def _check_parts(plugin: object, parts: tuple[Part, ...], name: str, hooks: HookTable) -> None:
    if parts and (own := sorted(hooks.chains.keys() & implementations(plugin).values())):
        message = f"it has parts, so its own {own[0]} would never be called: make it a part"
        raise PluginSetupError(message, plugin=name)
    names = [part.name for part in parts]
    for part in parts:
        if names.count(part.name) > 1:
            message = f"two of its parts are called {part.name!r}"
            raise PluginSetupError(message, plugin=name)
        if wrong := validate_hooks(part.plugin, hooks.arguments):
            message = f"part {part.name!r}: {'; '.join(wrong)}"
            raise PluginSetupError(message, plugin=name)


async def release(instance: Instance) -> None:
    """Let go of a plugin; the last registry to do so stops it."""
    instance.running.users -= 1
    if not instance.running.users:
        await stop(instance)


async def stop(instance: Instance) -> None:
    """Call `plugin_shutdown`; what goes wrong there is logged, since nobody can act on it."""
    try:
        with anyio.fail_after(SHUTDOWN_SECONDS, shield=True):
            await call_lifecycle(instance.plugin, "plugin_shutdown")
    except BaseException as error:  # foreign code
        if not is_failure(error):
            raise
        log.warning("plugin %r failed to shut down: %s", instance.name, describe(error))


async def call_lifecycle(plugin: object, hook: str, *arguments: Any) -> Any:
    """Call one lifecycle hook of one plugin, if it implements it."""
    found = [name for name, implemented in implementations(plugin).items() if implemented == hook]
    if not found:
        return None
    method = getattr(plugin, found[0])
    wanted = len(inspect.signature(method).parameters)
    answer = method(*arguments[:wanted])
    return await answer if inspect.isawaitable(answer) else answer
