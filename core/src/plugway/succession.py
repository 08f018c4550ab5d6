"""Generation after generation: each is built beside the one in force, then takes its place."""

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from plugway.config import Config, GatewayConfig
from plugway.dispatch.parking import Parks
from plugway.dispatch.rounds import Rounds
from plugway.dispatch.sealing import Sealer
from plugway.errors import StartupError
from plugway.federation.catalog import Catalog, Member
from plugway.federation.endpoints import make_endpoints
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.plugins.discovery import Discovery, discover
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry
from plugway.starting import Start
from plugway.upstream import Upstream, Upstreams
from plugway_hookspecs import PlugwayError
from plugway_hookspecs.frozen import EMPTY

GRACE_SECONDS = 5.0
"""How long a retired generation waits for its requests beyond their own timeout."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """What became of one configuration."""

    config: Config
    discovery: Discovery
    upstreams: Mapping[str, Upstream]
    registry: Registry
    catalog: Catalog
    generation: Generation


Install = Callable[[Built], None]
"""Has requests answered from what was built, from then on; must not fail."""


class Succession:
    """Builds generations, one at a time, and closes each when its last request has left."""

    def __init__(self, tasks: TaskGroup, pool: Upstreams, parks: Parks, *, strict: bool) -> None:
        """Run each generation in a task of `tasks`, with servers from `pool`."""
        self.current: Built | None = None
        self._tasks = tasks
        self._pool = pool
        self._parks = parks
        self._strict = strict
        self._ended = False
        self._turn = anyio.Lock()
        self._waits: dict[Generation, anyio.CancelScope] = {}

    async def advance(self, config: Config, install: Install | None = None) -> Built:
        """Build a generation, `install` it, and retire the one before.

        Raises `StartupError` as at the start; then everything new is closed, and nothing else has
        changed. Nor has it when this is cancelled before what is new is in force.
        """
        start = Start[Built]()
        async with self._turn:
            discovery = await anyio.to_thread.run_sync(_discover)
            self._tasks.start_soon(self._live, config, discovery, install, start)
            built = await start.wait()
        if built is None:
            raise _stopping()
        return built

    def end(self) -> None:
        """Close all generations; requests that are under way are not waited for."""
        self._ended = True
        for wait in self._waits.values():
            wait.cancel()

    async def _live(
        self, config: Config, discovery: Discovery, install: Install | None, start: Start[Built]
    ) -> None:
        """Own a generation from its first plugin's start to its last one's stop."""
        before = self.current
        held = before.upstreams if before else EMPTY
        with start, self._pool.hold(config.servers, held) as upstreams:
            old = before.registry if before else None
            opening = open_registry(config, discovery, upstreams, strict=self._strict, before=old)
            del old, held
            async with opening as registry:
                if self._strict:
                    await _connect_required(config, upstreams)
                await start.last_call()
                built = self._take_over(config, discovery, upstreams, registry, before)
                del before  # or it would live for as long as its successor
                with anyio.CancelScope() as wait:
                    self._waits[built.generation] = wait
                    self._put_in_force(built, install)
                    start.succeed(built)
                    await built.generation.drained.wait()
                self._close(built, wait)

    def _take_over(
        self,
        config: Config,
        discovery: Discovery,
        upstreams: Mapping[str, Upstream],
        registry: Registry,
        before: Built | None,
    ) -> Built:
        """Give what was built what it takes over; nothing may come between this and its use."""
        if self._ended:
            raise _stopping()
        registry.take_over(upstreams)
        return _assemble(config, discovery, upstreams, registry, self._parks, before)

    def _put_in_force(self, built: Built, install: Install | None) -> None:
        before, self.current = self.current, built
        if install is not None:
            install(built)
        for member in built.catalog.members:
            if before is None or built.upstreams[member.name] not in before.upstreams.values():
                self._pool.warm_up(built.upstreams[member.name])
        if before is not None:
            retired = before.generation
            limit = retired.request_timeout + GRACE_SECONDS
            self._waits[retired].deadline = anyio.current_time() + limit
            retired.retire()

    def _close(self, built: Built, wait: anyio.CancelScope) -> None:
        del self._waits[built.generation]
        built.catalog.close()
        if wait.cancelled_caught and not self._ended:
            left = built.generation.requests
            log.warning("%d requests don't end; the plugins that they use are stopped", left)


def _stopping() -> StartupError:
    return StartupError(["the gateway is stopping"])


def _discover() -> Discovery:
    importlib.invalidate_caches()  # packages that were installed while we ran
    return discover()


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


def _assemble(
    config: Config,
    discovery: Discovery,
    upstreams: Mapping[str, Upstream],
    registry: Registry,
    parks: Parks,
    before: Built | None,
) -> Built:
    settings = config.gateway
    catalog = Catalog(_members(config, upstreams, before.catalog.members if before else ()))

    def said(name: str) -> str:
        return upstreams[name].status.instructions

    generation = Generation(
        catalog,
        upstreams,
        registry,
        Federation(catalog.members, settings.instructions, said),
        request_timeout=settings.request_timeout,
        max_payload_bytes=settings.max_payload_bytes,
        deny_as_error=settings.deny_as == "error",
        endpoints=make_endpoints(config, catalog.members, said),
        input_timeout=settings.input_timeout,
        rounds=before.generation.rounds if before else Rounds(),
        sealer=_sealer(settings, before),
        parks=parks,
    )
    return Built(config, discovery, upstreams, registry, catalog, generation)


def _sealer(settings: GatewayConfig, before: Built | None) -> Sealer:
    """Return what opens what the one before has sealed, unless its keys are given up."""
    if before and _state(before.config.gateway) == _state(settings):
        return before.generation.sealer
    return Sealer([key.get_secret_value() for key in settings.state_keys], settings.input_timeout)


def _state(settings: GatewayConfig) -> tuple[Any, ...]:
    return settings.state_keys, settings.input_timeout


def _members(
    config: Config, upstreams: Mapping[str, Upstream], before: tuple[Member, ...]
) -> list[Member]:
    """Return the exposed servers; those that are offered as before keep what they have listed."""
    old = {member.name: member for member in before}
    members: list[Member] = []
    for name, server in config.servers.items():
        if not server.expose:
            continue
        prefix, limit = server.effective_prefix(name), config.gateway.max_payload_bytes
        new = Member(upstreams[name], prefix, server.list_timeout, limit)
        kept = old.get(name)
        members.append(kept if kept is not None and kept.same(new) else new)
    return members
