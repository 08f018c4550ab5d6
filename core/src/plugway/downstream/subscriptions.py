"""Follow resources for clients: one subscription with a server for all who share a link to it."""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import anyio
import anyio.abc

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Caller
from plugway.jsonrpc import TOO_MANY, UPSTREAM_UNAVAILABLE, RpcError
from plugway_hookspecs import PlugwayError

MAX_FOLLOWED = 10_000
"""How many resources are followed for all clients together."""

RETRY_SECONDS = 1.0
"""How long to wait before a server that a reload has replaced is looked for again."""

log = logging.getLogger(__name__)

Updated = Callable[[str], None]

_Key = tuple[Hashable, str, str]
"""The link to the server, the server, and the URI that it has."""


@dataclass(slots=True, eq=False)
class _Followed:
    listeners: list[tuple[str, Updated]] = field(default_factory=list[tuple[str, Updated]])
    """Who follows it, with the URI that each of them has for it."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    standing: anyio.Event = field(default_factory=anyio.Event)
    error: PlugwayError | None = None


class Subscriptions:
    """What clients follow at present, by the link to the server and the server's own URI."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Follow with the servers of the dispatcher's generations."""
        self.tasks: anyio.abc.TaskGroup | None = None
        self.dispatcher = dispatcher
        self._followed: dict[_Key, _Followed] = {}

    def __len__(self) -> int:
        return len(self._followed)

    async def follow(
        self, uri: str, server: str, inward: str, caller: Caller | None, updated: Updated
    ) -> Callable[[], None]:
        """Call `updated` with `uri` whenever the resource changes; return the way to stop that.

        `inward` is the server's own URI. Clients whose requests take the same link to the server
        share one subscription. Raises what the server answers instead.
        """
        upstream = self.dispatcher.generation.upstreams.get(server)
        link: Hashable = None if upstream is None else upstream.link(caller)
        key = link, server, inward  # URIs of clients depend on the endpoint
        followed = self._followed.get(key)
        if followed is None:
            if self.tasks is None or len(self._followed) >= MAX_FOLLOWED:
                raise RpcError(TOO_MANY, "Too many resources are subscribed to; try again later")
            followed = self._followed[key] = _Followed()
            self.tasks.start_soon(self._keep, key, followed, caller)
        followed.listeners.append(listener := (uri, updated))
        stopped = False

        def stop() -> None:
            nonlocal stopped
            if not stopped:
                stopped = True
                followed.listeners.remove(listener)
                if not followed.listeners:
                    followed.scope.cancel()
                    if self._followed.get(key) is followed:
                        del self._followed[key]

        stands = False
        try:
            await followed.standing.wait()
            if followed.error is not None:
                raise followed.error
            stands = True
        finally:
            if not stands:
                stop()
        return stop

    async def _keep(self, key: _Key, followed: _Followed, caller: Caller | None) -> None:
        """Follow one resource, under whichever generation, until nobody listens."""
        _, server, inward = key

        def updated(_: str) -> None:
            for uri, listener in list(followed.listeners):
                listener(uri)

        with followed.scope:
            try:
                while True:
                    upstream = self.dispatcher.generation.upstreams.get(server)
                    if upstream is None:
                        message = f"Server {server!r} is not there any more"
                        raise RpcError(UPSTREAM_UNAVAILABLE, message)
                    await upstream.watch([inward], caller, updated, followed.standing.set)
                    await anyio.sleep(RETRY_SECONDS)
                    updated(inward)  # nobody tells what changed meanwhile
            except PlugwayError as error:
                followed.error = error
                log.info("%s of %r is followed no longer: %s", inward, server, error)
            finally:
                if self._followed.get(key) is followed:
                    del self._followed[key]
                followed.standing.set()
