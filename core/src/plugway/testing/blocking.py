"""The same for tests that are plain functions: an event loop in a thread of its own."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from plugway.testing.kinds import Kind
from plugway.testing.options import CallOptions, RunOptions
from plugway.testing.outcome import Outcome
from plugway.testing.plugins import Plugins, open_plugins
from plugway.testing.servers import Answer
from plugway.testing.single import run
from plugway_hookspecs import Payload, Server
from plugway_hookspecs.frozen import EMPTY


class BlockingPlugins:
    """`Plugins` whose `call` is a plain function."""

    def __init__(self, portal: BlockingPortal, plugins: Plugins) -> None:
        """Call `plugins` in the portal's event loop."""
        self._portal = portal
        self._plugins = plugins

    def __getitem__(self, name: str) -> Any:
        """Return the plugin object of that name; raises `KeyError`."""
        return self._plugins[name]

    def call(
        self,
        payload: Payload,
        *,
        answer: Payload | None = None,
        hook: str | None = None,
        raise_errors: bool = True,
        **options: Unpack[CallOptions],
    ) -> Outcome:
        """Do what `Plugins.call` does."""
        call = partial(self._plugins.call, answer=answer, hook=hook, raise_errors=raise_errors)
        return self._portal.call(partial(call, payload, **options))


class Kit:
    """What the fixture `plugway` gives: `run` and `open`, as plain functions."""

    def __init__(self, portal: BlockingPortal) -> None:
        """Run everything in the portal's event loop."""
        self._portal = portal

    def run(
        self,
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
        """Do what `plugway.testing.run` does."""
        call = partial(run, config=config, answer=answer, hook=hook, servers=servers)
        return self._portal.call(
            partial(call, plugin, payload, raise_errors=raise_errors, **options)
        )

    @contextmanager
    def open(
        self,
        config: str | os.PathLike[str] | Mapping[str, Any],
        *,
        kinds: Mapping[str, Kind] = EMPTY,
        servers: Mapping[str, Server | Answer] = EMPTY,
        env: Mapping[str, str] = os.environ,
    ) -> Generator[BlockingPlugins]:
        """Do what `plugway.testing.open_plugins` does."""
        opened = open_plugins(config, kinds=kinds, servers=servers, env=env)
        with self._portal.wrap_async_context_manager(opened) as plugins:
            yield BlockingPlugins(self._portal, plugins)


@contextmanager
def open_kit() -> Generator[Kit]:
    """Start an event loop in a thread, and stop it."""
    with start_blocking_portal() as portal:
        yield Kit(portal)
