"""Run one plugin on one payload."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Unpack, cast

from plugway.testing.kinds import Kind, kind_name
from plugway.testing.options import CallOptions, EntryOptions, RunOptions
from plugway.testing.outcome import Outcome
from plugway.testing.plugins import Plugins, open_plugins
from plugway.testing.servers import Answer
from plugway_hookspecs import Payload, Server
from plugway_hookspecs.frozen import EMPTY


async def run(
    plugin: Kind | str,
    payload: Payload,
    *,
    config: Mapping[str, Any] = EMPTY,
    answer: Payload | None = None,
    hook: str | None = None,
    servers: Mapping[str, Server | Answer] = EMPTY,
    raise_errors: bool = True,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Start a plugin, give it one payload, and stop it.

    `plugin` is a class, a module, or the name of an installed kind; `config` is what stands under
    `config:` in a configuration, and `mode`, `when`, `timeout` and the like mean what they mean
    there. The rest is as in `Plugins.call` and `open_plugins`.

    Raises `TypeError` where the plugin has no hook for the payload, and what `open_plugins` and
    `Plugins.call` raise.
    """
    entry, call = split(options)
    async with open_plugin(plugin, config, servers, entry) as plugins:
        has = plugins.hooks()
        if not has & (plugins.hooks_for(payload) if hook is None else {hook}):
            where = hook or " or ".join(sorted(plugins.hooks_for(payload)))
            message = (
                f"it has no {where} for {type(payload).__name__}, only {', '.join(sorted(has))}"
            )
            raise TypeError(f"plugin {kind_name(plugin)!r} would not be asked: {message}")
        return await plugins.call(
            payload, answer=answer, hook=hook, raise_errors=raise_errors, **call
        )


@asynccontextmanager
async def open_plugin(
    plugin: Kind | str,
    config: Mapping[str, Any],
    servers: Mapping[str, Server | Answer],
    entry: EntryOptions,
) -> AsyncGenerator[Plugins]:
    """Start one plugin under the name of its kind, and stop it."""
    name = kind_name(plugin)
    kinds = EMPTY if isinstance(plugin, str) else {name: plugin}
    configured = {"plugins": [{"name": name, "kind": name, "config": config, **entry}]}
    async with open_plugins(configured, kinds=kinds, servers=servers) as plugins:
        yield plugins


def split(options: RunOptions) -> tuple[EntryOptions, CallOptions]:
    """Tell what is about the plugin's entry from what is about the call."""
    about_entry = EntryOptions.__annotations__
    entry = {key: value for key, value in options.items() if key in about_entry}
    call = {key: value for key, value in options.items() if key not in about_entry}
    return cast("EntryOptions", entry), cast("CallOptions", call)
