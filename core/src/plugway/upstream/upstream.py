"""One MCP server behind the gateway: its state, its reconnects, the names of its errors."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Log, Progress
from plugway.upstream import faults
from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.connection import Connection, Connector, Peer
from plugway.upstream.connector import SdkConnector
from plugway.upstream.errors import (
    ConnectFailedError,
    Fault,
    NoAnswerError,
    ServerTimeoutError,
)
from plugway.upstream.status import State, UpstreamStatus
from plugway_hookspecs import ServerUnavailableError
from plugway_hookspecs.frozen import EMPTY

CONNECTED = "connected"
"""What listeners to list changes get after each connect."""


class Upstream:
    """One configured MCP server: at most one connection, made on demand, remade by itself.

    While the server is down, requests fail at once and `run` keeps trying in the background.
    """

    def __init__(self, name: str, config: ServerConfig, *, one_client: bool = False) -> None:
        self.name = name
        self.config = config
        self._connector: Connector = SdkConnector(
            name, config, self._announce, one_client=one_client
        )
        self._slots = anyio.Semaphore(config.max_concurrency, fast_acquire=True)
        self._listeners: dict[object, Callable[[str], None]] = {}
        self._backoff = Backoff()
        self._state: State = "idle"
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._fault: Fault | None = None
        self._retry_at: float | None = None

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the server declared when it was connected last; empty before."""
        return self._peer.capabilities if self._peer else EMPTY

    @property
    def status(self) -> UpstreamStatus:
        """A snapshot of the upstream."""
        peer = self._peer or Peer("legacy", "")
        fault = self._fault or Fault("")
        return UpstreamStatus(
            name=self.name,
            state=self._state,
            era=peer.era if self._peer else "",
            protocol_version=peer.protocol_version,
            server_info=peer.server_info,
            capabilities=peer.capabilities,
            instructions=peer.instructions,
            error=f"server {self.name!r} {fault.reason}" if self._fault else "",
            hint=fault.hint,
            stderr_tail=self._connector.stderr_tail,
            retry_in=self._retry_in(),
        )

    def on_list_changed(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each list-changed notification's method; returns the way to stop.

        It is called with `connected` after each connect; it may not raise, nor block.
        """
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    async def connect(self) -> None:
        """Connect if there is no live connection; raises `ServerUnavailableError`."""
        await self._live()

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
    ) -> dict[str, Any]:
        """Send one request (any method) and return its raw result.

        `timeout` is in seconds and includes waiting for a connection and for a free slot; without
        it the server's configured one holds. `on_progress` asks the server for progress; `on_log`
        takes the params of log messages, at `log_level` where the server is told per request.
        `tool_schema` is the input schema of the tool that is called: some arguments are mirrored
        in HTTP headers. Cancelling the caller cancels the request.

        Raises `ServerError` for a JSON-RPC error, `ServerTimeoutError` when time is up and
        `ServerUnavailableError` when there is no answer for another reason. Nothing is sent twice
        that the server may have processed.
        """
        call = Call(method, params, on_progress, on_log, log_level, tool_schema)
        limit = self.config.timeout if timeout is None else timeout
        with anyio.move_on_after(limit):
            async with self._slots:
                return await self._send(call)
        did_not = "connect" if self._state == "connecting" else f"answer {method}"
        message = f"server {self.name!r} did not {did_not} within {limit:g} s"
        raise ServerTimeoutError(message, server=self.name, timeout=limit)

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
            await self._pause(error.fault, self._backoff.failed())
            return
        began = anyio.current_time()
        self._backoff.connected()
        self._connection, self._peer = connection, connection.peer
        self._enter("up")
        self._announce(CONNECTED)
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

    def _announce(self, event: str) -> None:
        for listener in list(self._listeners.values()):
            listener(event)

    async def _live(self) -> Connection:
        """Return the live connection, waiting for the attempt that is under way."""
        self._wanted.set()
        while True:
            connection = self._connection
            if connection is not None and not connection.over.is_set():
                return connection
            if self._state == "down":
                raise self._unavailable(self._fault or faults.GONE)
            await self._changed.wait()

    async def _send(self, call: Call) -> dict[str, Any]:
        try:
            return await self._send_once(call)
        except NoAnswerError as error:
            if not error.fault.unsent:
                raise self._unavailable(error.fault) from None
        try:
            return await self._send_once(call)
        except NoAnswerError as error:
            raise self._unavailable(error.fault) from None

    async def _send_once(self, call: Call) -> dict[str, Any]:
        connection = await self._live()
        return await connection.request(call)

    def _unavailable(self, fault: Fault) -> ServerUnavailableError:
        message = f"server {self.name!r} {fault}"
        if (seconds := self._retry_in()) is not None:
            message = (
                f"server {self.name!r} is unavailable: it {fault}; next try in {seconds:.1f} s"
            )
        return ServerUnavailableError(message, server=self.name)

    def _retry_in(self) -> float | None:
        if self._retry_at is None:
            return None
        return max(0.0, self._retry_at - anyio.current_time())
