"""Put a gateway together: servers, plugins, catalog, dispatcher."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version

import anyio
import anyio.to_thread

from plugway.audit.ledger import Ledger, open_ledger
from plugway.catalog import Catalog, Member
from plugway.config import Config
from plugway.discovery import Discovery, discover
from plugway.dispatcher import Dispatcher
from plugway.downstream.edge import Edge
from plugway.errors import StartupError
from plugway.federation import Federation
from plugway.registry import Registry, open_registry
from plugway.tracing import chain_spans
from plugway.upstream import Upstream, open_upstreams
from plugway_hookspecs import PlugwayError

VERSION = version("plugway")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Gateway:
    """A running gateway."""

    config: Config
    discovery: Discovery
    upstreams: Mapping[str, Upstream]
    registry: Registry
    catalog: Catalog
    dispatcher: Dispatcher
    edge: Edge


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
    discovery = await anyio.to_thread.run_sync(discover)  # reads files
    async with (
        open_ledger(config) if audited else nullcontext() as ledger,
        open_upstreams(config.servers, one_client=one_client) as upstreams,
        open_registry(config, discovery, upstreams, strict=strict) as registry,
    ):
        gateway = _assemble(config, discovery, upstreams, registry, ledger)
        async with anyio.create_task_group() as tasks:
            if strict:
                await _connect_required(config, upstreams)
            for name, server in config.servers.items():
                if server.expose:
                    tasks.start_soon(_warm_up, upstreams[name])
            yield gateway
            tasks.cancel_scope.cancel()


def _assemble(
    config: Config,
    discovery: Discovery,
    upstreams: Mapping[str, Upstream],
    registry: Registry,
    ledger: Ledger | None,
) -> Gateway:
    settings = config.gateway
    catalog = Catalog(
        [
            Member(
                upstreams[name],
                server.effective_prefix(name),
                server.list_timeout,
                settings.max_payload_bytes,
            )
            for name, server in config.servers.items()
            if server.expose
        ]
    )
    dispatcher = Dispatcher(
        catalog,
        upstreams,
        registry,
        server_info={"name": settings.name, "version": VERSION},
        request_timeout=settings.request_timeout,
        max_payload_bytes=settings.max_payload_bytes,
        deny_as_error=settings.deny_as == "error",
        ledger=ledger,
    )
    if (spans := chain_spans(VERSION)) is not None:
        dispatcher.listen(spans)
    federation = Federation(
        catalog.members,
        settings.instructions,
        lambda name: upstreams[name].status.instructions,
    )
    edge = Edge(settings.name, VERSION, dispatcher, federation)
    return Gateway(config, discovery, upstreams, registry, catalog, dispatcher, edge)


async def _connect_required(config: Config, upstreams: Mapping[str, Upstream]) -> None:
    missing: list[str] = []
    for name, server in config.servers.items():
        if server.required:
            try:
                await upstreams[name].connect()
            except PlugwayError as error:
                missing.append(str(error))
    if missing:
        raise StartupError(missing)


async def _warm_up(upstream: Upstream) -> None:
    """Connect before the first client asks; a server that can't be reached is retried anyway."""
    try:
        await upstream.connect()
    except PlugwayError as error:
        log.warning("%s", error)
