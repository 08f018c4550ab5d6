"""The plugins of a configuration, running without a gateway round them."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import anyio.to_thread

from plugway.config import Config, from_data, load
from plugway.executor.record import failures
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry
from plugway.testing.calls import REQUESTS, Call, make_operation
from plugway.testing.kinds import Kind, find_kinds
from plugway.testing.options import CallOptions
from plugway.testing.outcome import Outcome
from plugway.testing.servers import Answer, stand_ins
from plugway_hookspecs import Payload, Server
from plugway_hookspecs.frozen import EMPTY


class Plugins:
    """Running plugins; `call` them, or look at one by its name: `plugins["cache"].memory`."""

    def __init__(self, config: Config, registry: Registry) -> None:
        """Call the plugins of a registry."""
        self._config = config
        self._registry = registry

    def __getitem__(self, name: str) -> Any:
        """Return the plugin object of that name; raises `KeyError`."""
        for instance in self._registry.instances:
            if instance.name == name:
                return instance.plugin
        raise KeyError(name)

    def hooks(self) -> set[str]:
        """Return the hooks in which a plugin is asked."""
        return {hook for hook in self._registry.hooks.chains if self._registry.chain(hook)}

    async def call(
        self,
        payload: Payload,
        *,
        answer: Payload | None = None,
        hook: str | None = None,
        raise_errors: bool = True,
        **options: Unpack[CallOptions],
    ) -> Outcome:
        """Give a payload to the plugins that the gateway would ask about it.

        A request passes the pre hooks; if none denies it, `answer` (what the server would say) or
        what a plugin responds passes the post hooks. A result or a list passes the post hooks.
        `hook` calls that one only.

        Raises `PluginError`, caused by the plugin's own exception, where a plugin fails; with
        `raise_errors=False` it means what `on_error` says.
        """
        self._check_answer(payload, answer, hook)
        operation = make_operation(self._config, payload, options)
        call = Call(self._registry, self._config, operation, answer)
        if hook is None and type(payload) in REQUESTS:
            outcome = await call.exchange(payload)
        else:
            outcome = await call.one_hook(hook or self._only_hook(payload), payload)
        if raise_errors and (failed := failures(operation)):
            raise failed[0]
        return outcome

    def hooks_for(self, payload: Payload) -> set[str]:
        """Return the hooks that a payload passes; raises `TypeError` for what is no payload."""
        kind = type(payload)
        if (exchange := REQUESTS.get(kind)) is not None:
            return {exchange.pre, exchange.post}
        chains = self._registry.hooks.chains
        found = {hook for hook, (takes, _) in chains.items() if takes is kind}
        if not found:
            raise TypeError(f"no hook takes {kind.__name__}: give a payload, such as a ToolCall")
        return found

    def _only_hook(self, payload: Payload) -> str:
        hooks = sorted(self.hooks_for(payload))
        if len(hooks) > 1:
            choice = " or ".join(f"hook={hook!r}" for hook in hooks)
            raise TypeError(f"several hooks take {type(payload).__name__}: say {choice}")
        return hooks[0]

    def _check_answer(self, payload: Payload, answer: Payload | None, hook: str | None) -> None:
        exchange = REQUESTS.get(type(payload))
        if answer is None:
            return
        if exchange is None or hook not in {None, exchange.pre}:
            raise TypeError("`answer` is for a request, and comes behind its pre hooks")
        if type(answer) is not exchange.result:
            wanted, got = exchange.result.__name__, type(answer).__name__
            raise TypeError(f"the answer to {type(payload).__name__} is {wanted}, not {got}")


@asynccontextmanager
async def open_plugins(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    kinds: Mapping[str, Kind] = EMPTY,
    servers: Mapping[str, Server | Answer] = EMPTY,
    env: Mapping[str, str] = os.environ,
) -> AsyncGenerator[Plugins]:
    """Start the plugins of a configuration, a file or its contents as a dict, and stop them.

    `kinds` has plugin kinds that no installed package announces. No server is contacted:
    `servers` has what answers in their place, an `async def` of method and params. `env` is what
    `${VAR}` is looked up in.

    Raises `ConfigError` for what is wrong in the configuration, `StartupError` for plugins that
    can't start.
    """
    read = await anyio.to_thread.run_sync(partial(_read, config, env))
    discovery = await find_kinds(kinds, {entry.kind for entry in read.plugins})
    async with open_registry(read, discovery, stand_ins(read.servers, servers)) as registry:
        yield Plugins(read, registry)


def _read(config: str | os.PathLike[str] | Mapping[str, Any], env: Mapping[str, str]) -> Config:
    if isinstance(config, Mapping):
        return from_data(config, env=env)
    return load(Path(config), env=env)
