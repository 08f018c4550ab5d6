"""Open every configured server, share those that a reload leaves alone, and close them all."""

import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType

import anyio
from anyio.abc import TaskGroup

from plugway.config import ServerConfig
from plugway.foreign import describe, stack
from plugway.tasks import plain_task_group
from plugway.upstream.upstream import Upstream
from plugway_hookspecs import PlugwayError
from plugway_hookspecs.frozen import EMPTY

log = logging.getLogger(__name__)

_NOT_OF_THE_CONNECTION = {"prefix", "endpoint_prefix", "expose", "list_timeout", "required"}
"""Settings that say how a server is offered, and can change while it stays connected."""


class Upstreams:
    """The upstreams of a gateway, whose generations share what they have in common."""

    def __init__(self, tasks: TaskGroup, *, one_client: bool, fast_lane: bool = True) -> None:
        """Own the connections in `tasks`; see `open_upstreams` for the rest."""
        self._tasks = tasks
        self._one_client = one_client
        self._fast_lane = fast_lane
        self._users: dict[Upstream, int] = {}
        self._scopes: dict[Upstream, anyio.CancelScope] = {}

    @contextmanager
    def hold(
        self, servers: Mapping[str, ServerConfig], before: Mapping[str, Upstream] = EMPTY
    ) -> Generator[Mapping[str, Upstream]]:
        """Offer an upstream for each server, the one from `before` where it is the same.

        When the block ends, those that no other block holds are closed.
        """
        held = {
            name: self._kept(before.get(name), config) or self._open(name, config)
            for name, config in servers.items()
        }
        del before  # or what is in it would live for as long as this block
        for upstream in held.values():
            self._users[upstream] += 1
        try:
            yield MappingProxyType(held)
        finally:
            for upstream in held.values():
                self._release(upstream)

    def _kept(self, upstream: Upstream | None, config: ServerConfig) -> Upstream | None:
        if upstream is None or upstream not in self._users:
            return None
        old, new = (
            each.model_dump(exclude=_NOT_OF_THE_CONNECTION) for each in (upstream.config, config)
        )
        return upstream if old == new else None

    def make(self, name: str, config: ServerConfig) -> Upstream:
        """Make an upstream that was not there before; it is run until nobody holds it."""
        return Upstream(name, config, one_client=self._one_client, fast_lane=self._fast_lane)

    def _open(self, name: str, config: ServerConfig) -> Upstream:
        upstream = self.make(name, config)
        self._users[upstream] = 0
        self._scopes[upstream] = anyio.CancelScope()
        self._tasks.start_soon(self._run, upstream, self._scopes[upstream])
        return upstream

    def warm_up(self, upstream: Upstream) -> None:
        """Connect before the first client asks; a server that can't be reached is retried."""
        self._tasks.start_soon(self._warm_up, upstream)

    async def _warm_up(self, upstream: Upstream) -> None:
        try:
            await upstream.connect()
        except PlugwayError as error:
            if upstream in self._users:
                log.warning("%s", error)

    @staticmethod
    async def _run(upstream: Upstream, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await upstream.run()
            except Exception as error:  # noqa: BLE001 - one server must not end all others
                what = f"server {upstream.name!r} is lost: it {describe(error)}"
                log.critical("%s\n%s", what, stack(error))

    def _release(self, upstream: Upstream) -> None:
        self._users[upstream] -= 1
        if not self._users[upstream]:
            del self._users[upstream]
            self._scopes.pop(upstream).cancel()


@asynccontextmanager
async def open_pool(
    *, one_client: bool = False, fast_lane: bool = True
) -> AsyncGenerator[Upstreams]:
    """Offer a place for upstreams; on exit all connections are closed and no child is left."""
    async with plain_task_group() as tasks:
        try:
            yield Upstreams(tasks, one_client=one_client, fast_lane=fast_lane)
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_upstreams(
    servers: Mapping[str, ServerConfig],
    *,
    one_client: bool = False,
    fast_lane: bool = True,
) -> AsyncGenerator[Mapping[str, Upstream]]:
    """Offer an upstream for each server; each connects when it is first used.

    With `one_client`, log messages that belong to no call for certain go to the one under way; with
    several clients they would tell one of them of another, and go to nobody. With `fast_lane`,
    requests over HTTP are sent without the SDK's client.

    On exit all connections are closed and no child process is left.
    """
    async with open_pool(one_client=one_client, fast_lane=fast_lane) as pool:
        with pool.hold(servers) as upstreams:
            yield upstreams
