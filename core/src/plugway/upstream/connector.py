"""Own connections through the SDK: open, negotiate, keep, close, each in one task."""

import dataclasses
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import httpx2
from anyio.abc import TaskStatus
from mcp_types import INVALID_REQUEST, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Ask
from plugway.foreign import stack
from plugway.upstream import faults
from plugway.upstream.connection import Connection, Peer
from plugway.upstream.errors import ConnectFailedError, Fault, NoAnswerError
from plugway.upstream.fallback import Fallback
from plugway.upstream.http import http_pool, http_transport
from plugway.upstream.inbox import Notified
from plugway.upstream.negotiation import NotSpokenError, negotiate
from plugway.upstream.output import Output
from plugway.upstream.posting import Poster, can_send, http1_pool
from plugway.upstream.sdk import SdkConnection
from plugway.upstream.sse import sse_transport
from plugway.upstream.stdio import stdio_transport
from plugway_hookspecs import ServerError
from plugway_hookspecs.frozen import EMPTY

PROBE_TIMEOUT = 10.0
"""Seconds for a server to answer the modern way, at most a third of what connecting may take."""
MAX_QUOTE = 200
"""Characters of a server's own message that an error quotes."""

_NO_ERA = frozenset({400, 404, 405})
_NO_ERA_CODES = frozenset({METHOD_NOT_FOUND, INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION})
"""How servers answer who speaks to them in an era that they don't know."""

_UNEXPLAINED = (None, -15, -9)
"""How programs end that were terminated or killed here."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a server is connected."""

    era: Literal["auto", "modern", "legacy"]
    capabilities: Mapping[str, Any] = EMPTY
    """What is declared of the client at the handshake."""
    on_ask: Ask | None = None
    """Answers what the server asks outside requests."""


class SdkConnector:
    """Makes connections to one server; remembers which era it speaks."""

    def __init__(
        self,
        server: str,
        config: ServerConfig,
        on_event: Notified,
        *,
        one_client: bool,
        terms: Terms | None = None,
        fast_lane: bool = True,
    ) -> None:
        """Connect to `server`; without `terms`, as what no client can be asked through.

        With `fast_lane`, requests over HTTP are sent without the SDK's client.
        """
        self._one_client = one_client
        self._server = server
        self._config = config
        self._terms = terms or Terms("auto" if config.era == "mirror" else config.era)
        self._http = config.transport == "http"
        self._on_event = on_event
        self._output = Output(server)
        self._pool: httpx2.AsyncBaseTransport | None = None
        self._fast_lane = fast_lane
        self._poster: Poster | None = None
        self._era = ""
        self._fallback = Fallback(config)
        self._one_program = anyio.Lock()

    @property
    def stderr_tail(self) -> str:
        """The last lines of the program's standard error."""
        return self._output.tail

    @asynccontextmanager
    async def resources(self) -> AsyncGenerator[None]:
        """Hold the pool of HTTP connections, which outlives each MCP connection."""
        async with AsyncExitStack() as stack:
            if self._http:
                with suppress(OSError):  # ssl.SSLError is one; `serve` reports it
                    self._pool = await stack.enter_async_context(http_pool())
                    if self._fast_lane and can_send(self._config):
                        self._poster = Poster(
                            self._config, stack.enter_context(http1_pool(self._config))
                        )
            yield

    async def serve(self, *, task_status: TaskStatus[Connection]) -> None:
        """Own one connection; see `Connector.serve`."""
        if self._http and self._pool is None:
            raise ConnectFailedError(faults.NO_CERTIFICATES)
        era = "legacy" if self._fallback.sse else self._era or self._terms.era
        while True:
            try:
                if self._http:
                    return await self._serve(era, task_status)
                async with self._one_program:  # two of them might fight over files and ports
                    return await self._serve(era, task_status)
            except ConnectFailedError as failure:
                era = self._other_era(era, failure) or self._fallback.turn(failure)
                if not era:
                    raise self._fallback.give_up(failure) from None

    def _other_era(self, era: str, failure: ConnectFailedError) -> str:
        """Return the era in which to try once more, at once; empty for none."""
        if self._terms.era != "auto" or self._fallback.sse:
            return ""
        if era == self._era and failure.refused:
            self._era = ""
            return "auto"
        # some legacy programs die of a method that they don't know, or never answer again
        return "legacy" if era == "auto" and failure.silent and not self._http else ""

    async def _serve(self, era: str, task_status: TaskStatus[Connection]) -> None:
        streamable = self._http and not self._fallback.sse
        connection = SdkConnection(
            self._server,
            http=streamable,
            poster=self._poster if streamable else None,
            one_client=self._one_client,
            on_event=self._on_event,
            on_ask=self._terms.on_ask,
        )
        failure: ConnectFailedError | None = None
        peer: Peer | None = None
        try:
            async with self._transport(connection) as streams, anyio.create_task_group() as tasks:
                await tasks.start(connection.run, streams)
                try:
                    peer = await self._negotiate(connection, era)
                except ConnectFailedError as error:
                    failure = error
                else:
                    self._era = "" if self._fallback.settle() else peer.era
                    connection.agree(peer)
                    task_status.started(connection)
                    await connection.serve(peer)
                tasks.cancel_scope.cancel()
        except ConnectFailedError as error:
            failure = failure or error
        except OSError as error:
            failure = failure or ConnectFailedError(self._not_started(error))
        except Exception as error:  # noqa: BLE001 - the SDK's transports may raise anything
            log.debug("server %r: connection lost\n%s", self._server, stack(error))
            failure = failure or ConnectFailedError(faults.of_crash(error))
        finally:
            connection.retire(faults.GONE)
        if peer is None:
            raise self._explained(failure or ConnectFailedError(faults.CLOSED))

    def _transport(self, connection: SdkConnection) -> AbstractAsyncContextManager[Any]:
        if self._pool is None:
            return stdio_transport(self._config, connection.calls, self._output, connection.retire)
        wire = self._config, self._pool, connection.calls, connection.retire
        if self._fallback.sse:
            return sse_transport(*wire)
        return http_transport(*wire, connection.listening)

    async def _negotiate(self, connection: SdkConnection, era: str) -> Peer:
        limit = self._config.connect_timeout
        try:
            with anyio.fail_after(limit):
                peer = await negotiate(
                    connection,
                    era,
                    probe_timeout=min(PROBE_TIMEOUT, limit / 3),
                    capabilities=self._terms.capabilities,
                )
                # a pipe is a session, whatever is said
                http = self._http and not self._fallback.sse
                return peer if http else dataclasses.replace(peer, session=True)
        except TimeoutError:
            fault = Fault(f"did not answer within {limit:g} s", "raise `connect_timeout`")
            raise ConnectFailedError(fault, silent=True) from None
        except NoAnswerError as error:
            status = error.fault.status
            silent = status is None and not error.fault.unsent
            raise ConnectFailedError(
                error.fault, silent=silent, refused=bool(status), unspoken=status in _NO_ERA
            ) from None
        except ServerError as error:
            said = " ".join(error.message.split())[:MAX_QUOTE]
            fault = Fault(f"refused to connect: {said} (error {error.code})")
            unspoken = error.code in _NO_ERA_CODES
            raise ConnectFailedError(fault, refused=True, unspoken=unspoken) from None
        except NotSpokenError as error:
            raise ConnectFailedError(Fault(str(error)), refused=True, unspoken=True) from None

    def _not_started(self, error: OSError) -> Fault:
        config = self._config
        return faults.of_spawn_error(error, config.command or "", str(config.cwd or ""))

    def _explained(self, failure: ConnectFailedError) -> ConnectFailedError:
        """Add how the program ended and what its output suggests: only now that is known."""
        output = self._output
        if failure.fault is faults.CLOSED and output.exit_code not in _UNEXPLAINED:
            failure.fault = faults.of_exit(output.exit_code)
        if hint := output.hint:
            failure.fault = dataclasses.replace(failure.fault, hint=hint)
        return failure
