"""The links of clients: one for each session that a server can ask something, and some to lend.

A server of the handshake era learns at its handshake what it may ask, and asks whenever it likes.
So a client with a session has a link of its own to it. Requests of clients of the stateless era
take one each, in turns, from a pool for each combination of what can be asked: nothing else tells
reliably which of two requests under way a question is for.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Ask, Session
from plugway.limits import wire_size
from plugway.upstream.asked import declared_in_session
from plugway.upstream.changes import LIST_CHANGED
from plugway.upstream.connector import SdkConnector, Terms
from plugway.upstream.link import Link
from plugway.upstream.pool import Pool, Returns
from plugway_hookspecs import NotJsonError

MAX_TOLD = 1000
"""Notifications that wait for one slow client; what is over is dropped."""

MAX_TOLD_BYTES = 4 * 1024 * 1024
"""How large they may be together, unless it is one alone."""

TOLD = frozenset({"notifications/message", "notifications/elicitation/complete", *LIST_CHANGED})
"""Notifications that a client gets of its own link; of resources it hears where it asked to."""

FAREWELL_SECONDS = 5.0
"""How long a server may take to hear that a request is given up, before its link is closed."""

REAP_SECONDS = 15.0
"""How often idle links are looked for, at least."""

log = logging.getLogger(__name__)

Event = Callable[[Link, str, Mapping[str, Any]], None]

_Told = tuple[str, Mapping[str, Any], int]
"""Method, params, and bytes of a notification."""


@dataclass(slots=True, eq=False)
class _Open:
    scope: anyio.CancelScope
    drop: Callable[[Link], object]
    session: Session | None
    tell: MemoryObjectSendStream[_Told]
    told: MemoryObjectReceiveStream[_Told]
    waiting: int = 0
    """The bytes of what waits to be told."""
    dropped: int = 0
    leaving: bool = False
    """Whether nobody gets it any more."""


class ClientLinks:
    """The links of one server's clients; `run` owns them."""

    def __init__(
        self,
        server: str,
        config: ServerConfig,
        on_event: Event,
        on_connected: Callable[[Link], None],
        on_ask: Ask,
        *,
        fast_lane: bool = True,
    ) -> None:
        """Prepare; `on_event` and `on_ask` take what is for no request, and for no session."""
        self.server = server
        self.config = config
        self._fast_lane = fast_lane
        self._on_event = on_event
        self._on_connected = on_connected
        self._on_ask = on_ask
        self._tasks: TaskGroup | None = None
        self._sessions: dict[Session, Link] = {}
        self._pools: dict[tuple[str, str], Pool] = {}
        self._full = False
        self._returns = Returns()
        self._open: dict[Link, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def run(self) -> None:
        """Own the links until cancelled, and close those that nobody has used for a while."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                while True:
                    await anyio.sleep(min(self.config.session_idle / 4, REAP_SECONDS))
                    self._reap()
            finally:
                tasks.cancel_scope.cancel()
                self._tasks = None  # there are no more from now on
                for link in list(self._open):
                    self._close(link)

    def of_session(self, session: Session, asks: Mapping[str, Any]) -> Link | None:
        """Return the session's own link; None where there are too many of them."""
        if (link := self._sessions.get(session)) is not None:
            return link
        dropping = ExitStack()
        declared, on_ask = declared_in_session(asks), partial(session.ask, self.server)
        link = self._make(declared, on_ask, lambda _: dropping.close(), session)
        if link is not None:
            self._sessions[session] = link
            dropping.callback(self._sessions.pop, session)
            dropping.callback(session.on_close(partial(self._leave, session)))
        return link

    def is_of_session(self, link: Link) -> bool:
        """Whether a link is one session's own."""
        opened = self._open.get(link)
        return opened is not None and opened.session is not None

    def known(self, session: Session) -> Link | None:
        """Return the session's own link, if it has one."""
        return self._sessions.get(session)

    def pool(self, asks: Mapping[str, Any], roots: Mapping[str, Any] | None) -> Pool | None:
        """Return the pool of clients that can be asked the same and have the same roots.

        Servers remember a client's roots, so those of another one need another link. None where
        there is no link, and no room for one.
        """
        key = repr(asks), "" if roots is None else _digest(roots)
        if (pool := self._pools.get(key)) is None:
            pool = self._new_pool(key, asks, roots)
            if pool.first is not None:
                self._pools[key] = pool
        return None if pool.empty else pool

    def newest(self, asks: Mapping[str, Any]) -> Pool | None:
        """Return the newest pool of clients that can be asked the same, whatever their roots."""
        same = [pool for (asked, _), pool in self._pools.items() if asked == repr(asks)]
        return same[-1] if same else self.pool(asks, None)

    def _new_pool(
        self, key: tuple[str, str], asks: Mapping[str, Any], roots: Mapping[str, Any] | None
    ) -> Pool:
        async def on_ask(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
            if method == "roots/list" and roots is not None:
                return dict(roots)
            return await self._on_ask(method, params)

        def drop(link: Link) -> None:
            pool.drop(link)
            if pool.empty and self._pools.get(key) is pool:  # who still waits may make others
                del self._pools[key]

        pool = Pool(lambda: self._make(asks, on_ask, drop), self.retire, self._returns)
        return pool

    def _make(
        self,
        declared: Mapping[str, Any],
        on_ask: Ask,
        drop: Callable[[Link], object],
        session: Session | None = None,
    ) -> Link | None:
        if self._tasks is None or not self._room():
            return None
        streams = anyio.create_memory_object_stream[_Told](MAX_TOLD)

        def event(method: str, params: Mapping[str, Any]) -> None:
            self._on_event(link, method, params)
            if session is not None and method in TOLD:
                self._tell(opened, method, params)

        async def asked(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
            with link.in_use():  # the server waits for the answer
                return await on_ask(method, params)

        terms = Terms("legacy", declared, asked)
        connector = SdkConnector(
            self.server,
            self.config,
            event,
            one_client=True,
            terms=terms,
            fast_lane=self._fast_lane,
        )
        link = Link(self.server, connector, self._on_connected)
        self._open[link] = opened = _Open(anyio.CancelScope(), drop, session, *streams)
        self._tasks.start_soon(self._run, link, opened)
        return link

    def _tell(self, opened: _Open, method: str, params: Mapping[str, Any]) -> None:
        size = _size(params)
        if not opened.waiting or opened.waiting + size <= MAX_TOLD_BYTES:
            try:
                opened.tell.send_nowait((method, params, size))
            except anyio.WouldBlock:
                pass
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return  # the client has gone
            else:
                opened.waiting += size
                return
        opened.dropped += 1
        if opened.dropped == 1:
            log.warning("server %r floods a client with %s", self.server, method)

    @staticmethod
    async def _run(link: Link, opened: _Open) -> None:
        with opened.scope, opened.tell, opened.told:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(link.run)
                if opened.session is not None:
                    async for method, params, size in opened.told:
                        await opened.session.tell(method, params)
                        opened.waiting -= size

    def _room(self) -> bool:
        if len(self._open) >= self.config.session_limit:
            self._make_room()
        full = len(self._open) >= self.config.session_limit
        if full and not self._full:
            log.warning(
                "server %r has %d connections for clients: further ones share one on which it can "
                "ask them nothing (max_sessions)",
                *(self.server, len(self._open)),
            )
        self._full = full
        return not full

    def _make_room(self) -> None:
        """Close the link that was lent longest ago, if one is not lent now."""
        idle = [each for each, opened in self._open.items() if opened.session is None]
        idle = [link for link in idle if not link.busy]
        if idle:
            self._close(min(idle, key=lambda link: link.used))

    def _reap(self) -> None:
        before = anyio.current_time() - self.config.session_idle
        for link, opened in list(self._open.items()):
            if not link.busy and (opened.leaving or link.used < before):
                self._close(link)

    def _leave(self, session: Session) -> None:
        if (link := self._sessions.get(session)) is not None:
            self._close(link)

    def retire(self, link: Link) -> None:
        """Lend a link no more; close it when its server has heard that a request is given up."""
        opened = self._open.get(link)
        if opened is not None and self._tasks is not None:
            opened.drop(link)
            self._tasks.start_soon(self._close_soon, link)

    async def _close_soon(self, link: Link) -> None:
        with anyio.move_on_after(FAREWELL_SECONDS):
            await link.quiet()
        self.close(link)

    def close(self, link: Link) -> None:
        """Close a link, if it is open; where lists are still fetched through it, after that."""
        if (opened := self._open.get(link)) is not None:
            opened.drop(link)
            opened.leaving = True
            if not link.busy:
                self._close(link)

    def _close(self, link: Link) -> None:
        opened = self._open.pop(link)
        opened.drop(link)
        opened.scope.cancel()


def _size(params: Mapping[str, Any]) -> int:
    try:
        return wire_size(params)
    except NotJsonError:  # it may still go alone
        return MAX_TOLD_BYTES


def _digest(roots: Mapping[str, Any]) -> str:
    text = json.dumps(roots, sort_keys=True, default=dict)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
