"""One MCP server behind the gateway: the links to it, and which of them a request takes."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
from mcp.shared.inbound import find_invalid_x_mcp_header

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Ask, Caller, Log, Progress, Session
from plugway.jsonrpc import METHOD_NOT_FOUND, RpcError
from plugway.timing import Limit
from plugway.upstream.asked import asked_of, declared_per_request
from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.changes import LIST_CHANGED, RESUMED, UPDATED
from plugway.upstream.clients import ClientLinks
from plugway.upstream.connector import SdkConnector
from plugway.upstream.levels import LEVELS, level_index
from plugway.upstream.link import Link
from plugway.upstream.slots import Slot
from plugway.upstream.status import UpstreamStatus
from plugway.upstream.values import as_object
from plugway.upstream.watching import Updated, follow
from plugway_hookspecs import ServerError, ServerUnavailableError
from plugway_hookspecs.frozen import EMPTY

CONNECTED = "connected"
"""What listeners to list changes get after each connect."""

Listener = Callable[[str, object], None]
"""Takes a notification's method, and the link that it concerns; None where it concerns all."""

log = logging.getLogger(__name__)


class Upstream:
    """One configured MCP server.

    `main` is the link for whatever no client has to be asked about; clients that the server may ask
    something have others where its era demands it.
    """

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        *,
        one_client: bool = False,
        fast_lane: bool = True,
    ) -> None:
        self.name = name
        self.config = config
        connector = SdkConnector(
            name, config, self._main_event, one_client=one_client, fast_lane=fast_lane
        )
        self.main = Link(name, connector, self._connected)
        self._clients = ClientLinks(
            name,
            config,
            self._event,
            self._connected,
            self._asked_of_nobody,
            fast_lane=fast_lane,
        )
        self._slots = anyio.Semaphore(config.max_concurrency, fast_acquire=True)
        self._may_ask: frozenset[str] = frozenset(config.asks)
        self._listeners: dict[object, Listener] = {}
        self._wants_roots = False
        """Whether it has asked a client of the stateless era for its roots."""
        self._sessionless = False
        """Whether a server of both eras turned out not to keep sessions of the older one."""

    @property
    def extensions(self) -> Sequence[str] | None:
        """The extensions that clients may use, as far as that is configured."""
        return self.config.extensions

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the server declared when it was connected last; empty before."""
        return self.main.capabilities

    @property
    def status(self) -> UpstreamStatus:
        """A snapshot of the upstream."""
        return self.main.status

    @property
    def sessions(self) -> int:
        """How many links clients have to it."""
        return len(self._clients)

    def on_list_changed(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each list-changed notification's method and the link it concerns.

        It is called with `connected` after each connect; it may not raise, nor block. Returns the
        way to stop.
        """
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    async def connect(self) -> None:
        """Connect if there is no live connection; raises `ServerUnavailableError`."""
        await self.main.connect()

    def link(self, caller: Caller | None) -> Link:
        """Return the link that a client's requests take, as far as the server is known by now."""
        peer = self.main.peer
        era = self.config.era
        if caller is None or peer is None or era == "modern":
            return self.main
        asks = self.asks(caller)
        if caller.session is None:
            return (self._lent_link(caller, asks) if peer.era == "legacy" else None) or self.main
        wanted = era == "mirror" or bool(asks)
        if not wanted or self._sessionless or not self._keeps_sessions:
            return self.main
        return self._clients.of_session(caller.session, asks) or self.main

    def refuses(self, tool: Mapping[str, Any]) -> str:
        """Say why a tool that the server lists can't be called through it; empty if it can.

        Some of its arguments may have to be mirrored in HTTP headers (2026-07-28, SEP-2243).
        """
        peer = self.main.peer
        if self.config.transport != "http" or peer is None or peer.era == "legacy":
            return ""
        return find_invalid_x_mcp_header(as_object(tool.get("inputSchema"))) or ""

    def asks(self, caller: Caller | None) -> Mapping[str, Any]:
        """Return what the server may ask a client: the capabilities that it is told of."""
        if caller is None:
            return EMPTY
        asks = caller.asks.get(self._may_ask)
        if asks is None:  # several times in each request
            asks = caller.asks[self._may_ask] = asked_of(caller.capabilities, self._may_ask)
        return asks

    def pushes(self, caller: Caller | None) -> bool:
        """Whether the server asks the client in the middle of a request, and waits."""
        return self.link(caller) is not self.main

    def needs_roots(self, caller: Caller | None) -> bool:
        """Whether the server wants to know a client's roots, and the client has yet to say them."""
        if caller is None or caller.session is not None or caller.roots is not None:
            return False
        return self._wants_roots and "roots" in self.asks(caller) and self.pushes(caller)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Progress | None = None,
        on_log: Log | None = None,
        log_level: str | None = None,
        tool_schema: Mapping[str, Any] | None = None,
        caller: Caller | None = None,
        on_ask: Ask | None = None,
        extensions: Mapping[str, Any] = EMPTY,
    ) -> dict[str, Any]:
        """Send one request (any method) and return its raw result.

        `timeout` is in seconds and includes waiting for a connection and for a free slot; without
        it the server's configured one holds. `on_progress` asks the server for progress; `on_log`
        takes the params of log messages, at `log_level` where the server is told per request.
        `tool_schema` is the input schema of the tool that is called: some arguments are mirrored
        in HTTP headers. `caller` is what the server may know of the client, and `on_ask` answers
        what it asks meanwhile; `extensions` are those of the client. Cancelling the caller cancels
        the request.

        Raises `ServerError` for a JSON-RPC error, `ServerTimeoutError` when time is up and
        `ServerUnavailableError` when there is no answer for another reason. Nothing is sent twice
        that the server may have processed.
        """
        call = Call(method, params, on_progress, on_log, log_level, tool_schema, on_ask=on_ask)
        call.capabilities = {"extensions": dict(extensions)} if extensions else EMPTY
        limit = self.config.timeout if timeout is None else timeout
        with anyio.move_on_after(limit) as scope:
            async with Slot(self._slots) as slot:
                if on_ask is not None:
                    call.waiting = partial(_waiting, Limit(scope), slot)
                return await self._send(call, caller, slot)
        did_not = "connect" if self.main.state == "connecting" else f"answer {method}"
        raise self.main.timed_out(did_not, limit)

    async def watch(
        self,
        uris: Sequence[str],
        caller: Caller | None,
        updated: Updated,
        started: Callable[[], None],
    ) -> None:
        """Call `updated` with the URI of each of these resources that changes; until cancelled.

        `started` is called once the server has agreed. Reconnects by itself, and calls `updated`
        for what may have changed meanwhile. Returns when the upstream is closed. Raises
        `ServerError` where the server refuses, and `ServerUnavailableError` where it can't be asked
        the first time, or does not answer in time.
        """
        backoff, stands = Backoff(), False

        def stand() -> None:
            nonlocal stands
            if stands:
                for uri in uris:
                    updated(uri)
            stands = True
            started()

        while not self.main.closed:
            began = anyio.current_time()
            try:
                await self._reach(caller)
                link, limit = self._watching(caller), self.config.timeout
                await follow(link, uris, updated, stand, timeout=limit)
            except ServerUnavailableError:
                if not stands:
                    raise
            await anyio.sleep(backoff.lost(anyio.current_time() - began))

    async def tell(self, session: Session, method: str) -> None:
        """Pass a client's notification on, if the client has a link of its own."""
        if (link := self._clients.known(session)) is not None:
            await link.tell(method)

    async def set_level(self, session: Session, level: str) -> None:
        """Have the server log for a client, if the client has a link of its own."""
        if (link := self._clients.known(session)) is not None and link.state == "up":
            link.level = level_index(None)
            await self._set_level(link, level)

    async def run(self) -> None:
        """Own the links until cancelled; nothing of them is left then, and requests fail."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._clients.run)
            await self.main.run()

    @property
    def _keeps_sessions(self) -> bool:
        peer = self.main.peer
        return peer is not None and (peer.era == "modern" or peer.session)

    def _lent_link(self, caller: Caller, asks: Mapping[str, Any]) -> Link | None:
        """Return a link that is lent to requests of clients without a session."""
        if not asks or not self._keeps_sessions:
            return None
        pool = self._clients.pool(asks, caller.roots)
        return None if pool is None else pool.first

    async def _send(self, call: Call, caller: Caller | None, slot: Slot) -> dict[str, Any]:
        link = await self._reach(caller)
        if link is self.main:
            call.capabilities = {**call.capabilities, **declared_per_request(self.asks(caller))}
            call.on_ask = None  # it was not declared there that somebody can be asked
        elif call.on_ask is not None and caller is not None and caller.session is None:
            return await self._send_alone(call, caller, slot)
        return await self._send_on(link, call)

    async def _send_alone(self, call: Call, caller: Caller, slot: Slot) -> dict[str, Any]:
        """Send a request on a link of its own, for as long as it takes."""
        forward, tainted = call.on_ask, False

        async def on_ask(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal tainted
            if method == "roots/list":
                self._wants_roots = True
                if caller.roots is not None:
                    return dict(caller.roots)
                tainted = True
            assert forward is not None  # noqa: S101 - for the type checker
            return await forward(method, params)

        call.on_ask = on_ask
        async with AsyncExitStack() as stack:
            async with slot.left():  # those who have a link need the places
                pool = self._clients.pool(self.asks(caller), caller.roots)
                if pool is None:
                    raise self._no_room()
                link = await stack.enter_async_context(pool.lend())
            try:
                return await self._send_on(link, call)
            finally:
                if tainted:  # it knows one client's roots, and nobody knows which
                    self._clients.close(link)

    def _no_room(self) -> ServerUnavailableError:
        message = f"server {self.name!r} has no room for another client (max_sessions)"
        return ServerUnavailableError(message, server=self.name)

    async def _send_on(self, link: Link, call: Call) -> dict[str, Any]:
        if call.log_level is not None:
            await self._set_level(link, call.log_level)
        elif call.on_log is not None:
            call.log_level = LEVELS[0]  # who was not told a level sends what it likes, or nothing
        return await link.request(call)

    def _watching(self, caller: Caller | None) -> Link:
        """Return the link on which resources are followed, for URIs that the client knows.

        Where a client without a session may have several, it is the one of its latest roots.
        """
        link = self.link(caller)
        if link is self.main or caller is None or caller.session is not None:
            return link
        pool = self._clients.newest(self.asks(caller))
        return (pool.first if pool else None) or link

    async def _reach(self, caller: Caller | None) -> Link:
        """Return the connected link for a caller; what connecting tells may lead to another."""
        if caller is not None and self.main.peer is None:
            await self.main.connect()
        while (link := self.link(caller)) is not self.main:
            try:
                await link.connect()
            except ServerUnavailableError:
                if not self._is_no_session(link):
                    raise
            if self.link(caller) is link:
                return link
        return link

    def _is_no_session(self, link: Link) -> bool:
        """Whether a server of both eras turned the older one down; then nobody tries it again."""
        peer = self.main.peer
        self._sessionless |= link.refused and peer is not None and peer.era == "modern"
        return self._sessionless

    async def _set_level(self, link: Link, level: str) -> None:
        """Have a server of the handshake era log as much as anybody on the link wants to know."""
        peer, index = link.peer, level_index(level)
        if peer is None or peer.era == "modern" or "logging" not in peer.capabilities:
            return
        if index < link.level:
            link.level = index
            try:
                await link.request(Call("logging/setLevel", {"level": level}))
            except (ServerError, ServerUnavailableError) as error:
                log.info("server %r does not set its log level: %s", self.name, error)

    def _connected(self, link: Link) -> None:
        link.level = level_index(None)
        peer, main = link.peer, self.main.peer
        both = main is not None and main.era == "modern" and link is not self.main
        if both and self.config.era == "auto" and peer is not None and not peer.session:
            self._sessionless = True
        if link is self.main:
            self._sessionless = False  # it may be another server by now
            self._announce(CONNECTED)
        else:
            self._forget(CONNECTED, link)

    async def _asked_of_nobody(self, method: str, _: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse what a server asks between the requests of clients that have no session."""
        self._wants_roots |= method == "roots/list"
        raise RpcError(METHOD_NOT_FOUND, f"plugway offers {method} only within requests")

    def _main_event(self, method: str, params: Mapping[str, Any]) -> None:
        self._event(self.main, method, params)

    def _event(self, link: Link, method: str, params: Mapping[str, Any]) -> None:
        if method in LIST_CHANGED:
            if self._clients.is_of_session(link):
                self._forget(method, link)
            else:
                self._announce(method)
        elif method == UPDATED:
            link.updated(str(params.get("uri")))
        elif method == RESUMED:
            for uri in list(link.watched):
                link.updated(uri)

    def _announce(self, event: str) -> None:
        """Say that the lists may have changed for everybody."""
        for listener in list(self._listeners.values()):
            listener(event, None)

    def _forget(self, event: str, link: Link) -> None:
        """Say that the lists may have changed on a link."""
        for listener in list(self._listeners.values()):
            listener(event, link)


@asynccontextmanager
async def _waiting(limit: Limit, slot: Slot) -> AsyncGenerator[None]:
    """Let neither the server's time run nor others wait for it while a client is asked."""
    async with slot.left():
        with limit.stopped():
            yield
