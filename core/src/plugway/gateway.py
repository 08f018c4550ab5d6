"""Put a gateway together: servers, plugins, catalog, dispatcher; and put it together anew."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version

from plugway.audit.ledger import Ledger, open_ledger
from plugway.config import Config
from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.parking import open_parks
from plugway.downstream.edge import Edge
from plugway.federation.catalog import Catalog
from plugway.plugins.discovery import Discovery
from plugway.plugins.registry import Registry
from plugway.reloading import Changes, compare
from plugway.succession import Built, Succession
from plugway.tasks import plain_task_group
from plugway.tracing import chain_spans
from plugway.upstream import Upstream, open_pool

VERSION = version("plugway")


class Gateway:
    """A running gateway. What a reload replaces is replaced at once."""

    def __init__(self, first: Built, succession: Succession, ledger: Ledger | None = None) -> None:
        """Answer from `first`, and from what succeeds it; `ledger` has requests written down."""
        self.started = first.config
        """What it was started with; some of it holds until it is started again."""
        name = first.config.gateway.name
        server_info = {"name": name, "version": VERSION}
        self.dispatcher = Dispatcher(first.generation, server_info=server_info, ledger=ledger)
        if (spans := chain_spans(VERSION)) is not None:
            self.dispatcher.listen(spans)
        self.edge = Edge(name, VERSION, self.dispatcher)
        self._succession = succession
        self._built = first

    async def reload(self, config: Config) -> Changes:
        """Run under another configuration from now on; requests under way end under the old one.

        What did not change is kept: plugins with their state, servers with their connections.
        Raises `StartupError` as `open_gateway` does, and then nothing has changed. Cancelled, it
        has either come into force or changed nothing.
        """
        changes = Changes()

        def install(built: Built) -> None:
            nonlocal changes
            changes = compare(self._built, built, self.started)
            self._built = built
            self.dispatcher.generation = built.generation
            self.edge.take_over(changed=changes.offers)

        await self._succession.advance(config, install)
        return changes

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._built.config

    @property
    def discovery(self) -> Discovery:
        """The plugin kinds that there are."""
        return self._built.discovery

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """The servers, by name."""
        return self._built.upstreams

    @property
    def registry(self) -> Registry:
        """The plugins."""
        return self._built.registry

    @property
    def catalog(self) -> Catalog:
        """What all exposed servers offer."""
        return self._built.catalog


@asynccontextmanager
async def open_gateway(
    config: Config, *, strict: bool = True, one_client: bool = False, audited: bool = True
) -> AsyncGenerator[Gateway]:
    """Start plugins and connect servers; everything is closed when the block ends.

    Raises `StartupError` where a plugin that guards, or a server that is required, is missing, and
    `ConfigError` where the audit file can't be opened. With `strict` off, missing plugins are in
    `Gateway.registry.problems` instead. `one_client` says that there is only one, as over stdio.
    Without `audited` the audit file is left to another gateway.
    """
    async with (
        open_ledger(config) if audited else nullcontext() as ledger,
        open_pool(one_client=one_client, fast_lane=config.gateway.fast_lane) as pool,
        open_parks(config.gateway.input_timeout) as parks,
        plain_task_group() as tasks,
    ):
        succession = Succession(tasks, pool, parks, strict=strict)
        try:
            yield Gateway(await succession.advance(config), succession, ledger)
        finally:
            succession.end()
