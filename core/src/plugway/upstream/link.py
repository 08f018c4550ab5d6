"""One link to a server: a connection that is made on demand, and remade by itself."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

import anyio
from anyio.abc import TaskGroup

from plugway.upstream import faults
from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.connection import Connection, Connector, Peer
from plugway.upstream.errors import ConnectFailedError, Fault, NoAnswerError, ServerTimeoutError
from plugway.upstream.levels import LEVELS
from plugway.upstream.status import State, UpstreamStatus
from plugway_hookspecs import PlugwayError, ServerUnavailableError
from plugway_hookspecs.frozen import EMPTY


class Link:
    """At most one connection, made when it is first wanted.

    While the server is down, requests fail at once and `run` keeps trying in the background.
    """

    def __init__(
        self, server: str, connector: Connector, on_connected: Callable[["Link"], None]
    ) -> None:
        """Prepare a link to `server`; `on_connected` is called after each connect."""
        self.server = server
        self.refused = False
        """Whether the server said last that it does not speak the link's era."""
        self.calls = 0
        """How many requests are under way, in whichever direction."""
        self.used = anyio.current_time()
        """When a request was under way last."""
        self.level = len(LEVELS)
        """The lowest log level that was set, as an index of `LEVELS`; beyond them for none."""
        self.watched: dict[str, list[Callable[[str], None]]] = {}
        """Resources whose changes somebody waits for, and how to tell them."""
        self.followed = set[str]()
        """Resources that the connection is subscribed to."""
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._connector = connector
        self._on_connected = on_connected
        self._backoff = Backoff()
        self._state: State = "idle"
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._fault: Fault | None = None
        self._retry_at: float | None = None
        self._waiting = 0

    def turn(self, uri: str) -> anyio.Lock:
        """Return the lock under which a resource is subscribed to, and no longer."""
        if (lock := self._turns.get(uri)) is None:
            lock = self._turns[uri] = anyio.Lock(fast_acquire=True)
        return lock

    def updated(self, uri: str) -> None:
        """Tell those who wait for it that a resource has changed."""
        for watcher in list(self.watched.get(uri, ())):
            watcher(uri)

    @property
    def busy(self) -> bool:
        """Whether somebody uses it now, or waits to."""
        return bool(self.calls or self.watched or self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it has been closed for good."""
        return self._fault is faults.SHUT_DOWN

    @property
    def state(self) -> State:
        """Whether it is connected."""
        return self._state

    @property
    def peer(self) -> Peer | None:
        """What the server said when it was connected last; None before."""
        return self._peer

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the server declared when it was connected last; empty before."""
        return self._peer.capabilities if self._peer else EMPTY

    @property
    def status(self) -> UpstreamStatus:
        """A snapshot of the link."""
        peer = self._peer or Peer("legacy", "")
        fault = self._fault or Fault("")
        return UpstreamStatus(
            name=self.server,
            state=self._state,
            era=peer.era if self._peer else "",
            protocol_version=peer.protocol_version,
            server_info=peer.server_info,
            capabilities=peer.capabilities,
            instructions=peer.instructions,
            error=f"server {self.server!r} {fault.reason}" if self._fault else "",
            hint=fault.hint,
            stderr_tail=self._connector.stderr_tail,
            retry_in=self._retry_in(),
        )

    async def connect(self) -> Connection:
        """Return the live connection, waiting for the attempt that is under way.

        Raises `ServerUnavailableError`.
        """
        self._wanted.set()
        self._waiting += 1
        try:
            while True:
                connection = self._connection
                if connection is not None and not connection.over.is_set():
                    return connection
                if self._state == "down":
                    raise self._unavailable(self._fault or faults.GONE)
                await self._changed.wait()
        finally:
            self._waiting -= 1
            self.used = anyio.current_time()

    async def request(self, call: Call) -> dict[str, Any]:
        """Send one request and return its raw result.

        Nothing is sent twice that the server may have processed. Raises `ServerError` and
        `ServerUnavailableError`.
        """
        with self.in_use():
            return await self._send(call)

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Count a block as a request that is under way."""
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1
            self.used = anyio.current_time()

    async def quiet(self) -> None:
        """Wait until the server has heard of every request that was given up, if it is there."""
        if self._connection is None or self._connection.over.is_set():
            return
        with self.in_use():
            await self._connection.quiet()
            with suppress(PlugwayError):  # what answers a ping has heard what was sent before
                await self.request(Call("ping"))

    async def tell(self, method: str) -> None:
        """Send a notification without params, if there is a connection."""
        if self._connection is not None and not self._connection.over.is_set():
            await self._connection.tell(method)

    async def run(self) -> None:
        """Own the connection: make it when it is first wanted, remake it when it is lost.

        Runs until it is cancelled; nothing of it is left then, and requests fail.
        """
        try:
            async with self._connector.resources(), anyio.create_task_group() as tasks:
                await self._wanted.wait()
                while True:
                    await self._attempt(tasks)
        finally:
            self._connection, self._retry_at = None, None
            self._enter("down", faults.SHUT_DOWN)

    async def _attempt(self, tasks: TaskGroup) -> None:
        """Connect and stay until the connection is over; then, or on failure, wait a while."""
        self._enter("connecting", self._fault)
        try:
            connection: Connection = await tasks.start(self._connector.serve)
        except ConnectFailedError as error:
            self.refused = error.unspoken
            await self._pause(error.fault, self._backoff.failed())
            return
        began = anyio.current_time()
        self._backoff.connected()
        self._connection, self._peer, self.refused = connection, connection.peer, False
        self.followed = set[str]()
        self._enter("up")
        self._on_connected(self)
        await connection.over.wait()
        self._connection = None
        fault = connection.fault or faults.GONE
        await self._pause(fault, self._backoff.lost(anyio.current_time() - began))

    async def _pause(self, fault: Fault, delay: float) -> None:
        self._fault = fault
        if delay:
            self._retry_at = anyio.current_time() + delay
            self._enter("down", fault)
            await anyio.sleep(delay)
            self._retry_at = None

    def _enter(self, state: State, fault: Fault | None = None) -> None:
        self._state = state
        self._fault = fault
        self._changed.set()
        self._changed = anyio.Event()

    async def _send(self, call: Call) -> dict[str, Any]:
        try:
            return await (await self.connect()).request(call)
        except NoAnswerError as error:
            if not error.fault.unsent:
                raise self._unavailable(error.fault) from None
        try:
            return await (await self.connect()).request(call)
        except NoAnswerError as error:
            raise self._unavailable(error.fault) from None

    def timed_out(self, what: str, timeout: float) -> ServerTimeoutError:
        """Return the error that says what the server did not do within so many seconds."""
        message = f"server {self.server!r} did not {what} within {timeout:g} s"
        return ServerTimeoutError(message, server=self.server, timeout=timeout)

    def _unavailable(self, fault: Fault) -> ServerUnavailableError:
        message = f"server {self.server!r} {fault}"
        if (seconds := self._retry_in()) is not None:
            message = (
                f"server {self.server!r} is unavailable: it {fault}; next try in {seconds:.1f} s"
            )
        return ServerUnavailableError(message, server=self.server)

    def _retry_in(self) -> float | None:
        if self._retry_at is None:
            return None
        return max(0.0, self._retry_at - anyio.current_time())
