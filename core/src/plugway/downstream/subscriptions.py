"""Follow resources for clients: one subscription with a server for all who share a link to it."""

import logging
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio
import anyio.abc

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Caller
from plugway.dispatch.routing import UpstreamCalls
from plugway.jsonrpc import TOO_MANY, UPSTREAM_UNAVAILABLE, RpcError
from plugway.shares import Shares, user_of
from plugway_hookspecs import PlugwayError, Principal, ServerUnavailableError
from plugway_hookspecs.context import ANONYMOUS

MAX_FOLLOWED = 10_000
"""How many resources are followed for all clients together."""

MAX_FOLLOWED_BY_ONE = 2500
"""How many of them one user may follow, where it is known who is asking."""

MAX_FOLLOWED_IN_SESSION = 1000
"""How many of them may be followed in one session."""

RETRY_SECONDS = 1.0
"""How long to wait before a server that a reload has replaced is looked for again."""

MISSING_SECONDS = 60.0
"""How long a server may be missing from the configuration until what it tells of is given up."""

log = logging.getLogger(__name__)

Told = Callable[[str], None]
"""Takes a client's URI; may not raise, nor block."""

_Key = tuple[Hashable, str, str]
"""The link to the server, the server, and the URI that it has."""


class _Listener(NamedTuple):
    uri: str
    """The URI that the client has for the resource."""
    updated: Told
    over: Told


@dataclass(slots=True, eq=False)
class _Followed:
    listeners: list[_Listener] = field(default_factory=list[_Listener])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    standing: anyio.Event = field(default_factory=anyio.Event)
    error: PlugwayError | None = None
    upstream: object = None
    """What it is followed with at present."""
    stay: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """The scope in which it is, until another generation has another server of that name."""


class Subscriptions:
    """What clients follow at present, by the link to the server and the server's own URI."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Follow with the servers of the dispatcher's generations."""
        self.tasks: anyio.abc.TaskGroup | None = None
        self.dispatcher = dispatcher
        self._followed: dict[_Key, _Followed] = {}
        at_most = "At most {} resources can be subscribed to {}; unsubscribe from others first"
        self._of_users = Shares(
            MAX_FOLLOWED_BY_ONE, at_most.format(MAX_FOLLOWED_BY_ONE, "by one user")
        )
        self._of_sessions = Shares(
            MAX_FOLLOWED_IN_SESSION, at_most.format(MAX_FOLLOWED_IN_SESSION, "in one session")
        )
        self._missing: set[str] = set()

    def __len__(self) -> int:
        return len(self._followed)

    async def follow(
        self,
        uri: str,
        server: str,
        inward: str,
        caller: Caller | None,
        *,
        principal: Principal = ANONYMOUS,
        session: Hashable | None = None,
        updated: Told,
        over: Told,
    ) -> Callable[[], None]:
        """Call `updated` with `uri` whenever the resource changes; return the way to stop that.

        `inward` is the server's own URI. Clients whose requests take the same link to the server
        share one subscription. Raises what the server answers instead, and `RpcError` where there
        are too many, of all or of this user or session; where the server takes back later what it
        has agreed to, `over` is called, after a last `updated`.
        """
        with ExitStack() as shares:
            shares.callback(self._of_sessions.take(session))
            shares.callback(self._of_users.take(user_of(principal)))
            stop = await self._follow(uri, server, inward, caller, updated=updated, over=over)
            shares.callback(stop)
            return shares.pop_all().close

    async def _follow(
        self,
        uri: str,
        server: str,
        inward: str,
        caller: Caller | None,
        *,
        updated: Told,
        over: Told,
    ) -> Callable[[], None]:
        upstream = self.dispatcher.generation.upstreams.get(server)
        link: Hashable = None if upstream is None else upstream.link(caller)
        key = link, server, inward  # URIs of clients depend on the endpoint
        followed = self._followed.get(key)
        if followed is None:
            if self.tasks is None or len(self._followed) >= MAX_FOLLOWED:
                raise RpcError(TOO_MANY, "Too many resources are subscribed to; try again later")
            followed = self._followed[key] = _Followed()
            self.tasks.start_soon(self._keep, key, followed, caller)
        followed.listeners.append(listener := _Listener(uri, updated, over))
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

    def take_over(self) -> None:
        """Follow with the servers of the dispatcher's new generation, where they are others."""
        upstreams = self.dispatcher.generation.upstreams
        for (_, server, _), followed in self._followed.items():
            if followed.upstream is not upstreams.get(server):
                followed.stay.cancel()

    async def _keep(self, key: _Key, followed: _Followed, caller: Caller | None) -> None:
        """Follow one resource, under whichever generation, until nobody listens."""
        _, server, inward = key

        def updated(_: str) -> None:
            for listener in list(followed.listeners):
                listener.updated(listener.uri)

        def started() -> None:
            if followed.standing.is_set():  # nobody has told what changed meanwhile
                updated(inward)
            followed.standing.set()

        with followed.scope:
            try:
                while True:
                    upstream = await self._upstream(server, wait=followed.standing.is_set())
                    followed.upstream = upstream
                    with anyio.CancelScope() as followed.stay:
                        try:
                            await upstream.watch([inward], caller, updated, started)
                        except ServerUnavailableError:
                            if not followed.standing.is_set():
                                raise
                        await anyio.sleep(RETRY_SECONDS)
            except PlugwayError as error:
                followed.error = error
                log.info("%s of %r is followed no longer: %s", inward, server, error)
            finally:
                if self._followed.get(key) is followed:
                    del self._followed[key]
                if followed.error is not None and followed.standing.is_set():
                    updated(inward)  # who reads it again learns what has become of it
                    for listener in list(followed.listeners):
                        listener.over(listener.uri)
                followed.standing.set()

    async def _upstream(self, server: str, *, wait: bool) -> UpstreamCalls:
        """Return the server that there is now; with `wait`, a reload may bring it back first."""
        with anyio.move_on_after(MISSING_SECONDS if wait else 0):
            while True:
                upstream = self.dispatcher.generation.upstreams.get(server)
                if upstream is not None:
                    self._missing.discard(server)
                    return upstream
                if wait and server not in self._missing:
                    self._missing.add(server)
                    log.warning(
                        "server %r is not in the configuration any more: who follows its resources "
                        "hears nothing until it is back, and is given up after %g s",
                        *(server, MISSING_SECONDS),
                    )
                await anyio.sleep(RETRY_SECONDS)
        self._missing.discard(server)
        raise RpcError(UPSTREAM_UNAVAILABLE, f"Server {server!r} is not there any more")
