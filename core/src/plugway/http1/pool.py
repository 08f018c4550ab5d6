"""Connections to one origin that are kept alive between requests."""

import asyncio
import ssl as tls
from collections import deque

import anyio

from plugway.http1 import head
from plugway.http1.connection import Connection
from plugway.http1.dialling import dial
from plugway.http1.errors import ConnectError, ConnectTimeoutError
from plugway.http1.origin import Origin, Proxy
from plugway.http1.response import Response


class Pool:
    """Connections to one origin, kept alive.

    There are as many as there are requests at the same time; `max_idle` of them stay for
    `idle_seconds`, which is less than the five seconds after which common servers close them.
    Nothing is ever sent twice: who gets a `BrokenError` decides. A pool belongs to one event loop.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        ssl: tls.SSLContext | None = None,
        connect_timeout: float = 10.0,
        max_idle: int = 64,
        idle_seconds: float = 4.0,
        proxy: str | None = None,
    ) -> None:
        """Take the context that servers are verified by, for https; it is told to offer HTTP/1.1.

        `proxy` is `http://user:password@host:port`. Times are seconds. Raises `ValueError`.
        """
        if (origin.scheme == "https") != (ssl is not None):
            raise ValueError("https needs an SSL context, and http can't have one")
        if proxy is not None and origin.uds is not None:
            raise ValueError("a Unix socket is not reached through a proxy")
        if ssl is not None:
            ssl.set_alpn_protocols(["http/1.1"])
        self._origin = origin
        self._ssl = ssl
        self._connect_timeout = connect_timeout
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._proxy = None if proxy is None else Proxy.of(proxy)
        self._fixed = b"host: %b\r\naccept-encoding: gzip, deflate\r\n" % origin.field
        self._base = b""
        if self._proxy is not None and origin.scheme == "http":
            self._base = b"http://" + origin.field
            if self._proxy.authorization is not None:
                self._fixed += b"proxy-authorization: %b\r\n" % self._proxy.authorization
        self._connections: set[Connection] = set()
        self._idle: deque[Connection] = deque()  # the one that was used last is the last
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self, method: bytes, target: bytes, headers: head.Headers, body: bytes | None = None
    ) -> Response:
        """Send a request and return its response once the head of it is there.

        The caller bounds how long that takes, and reads the response or closes it. Raises
        `BadRequestError`, `ConnectError`, `BrokenError`, `ProtocolError` and `DecodingError`.
        """
        request = head.write(method, self._base, target, self._fixed, headers, body)
        connection = self._take() or await self._connect()
        try:
            await connection.exchange(request, body or b"")
            return Response(connection, self._release)
        except BaseException:
            connection.abort()
            raise

    def close(self) -> None:
        """Close all connections; requests that are under way end with a `BrokenError`."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        for connection in list(self._connections):
            connection.abort()

    def _take(self) -> Connection | None:
        """Return the connection that was used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            # the loop may be late: neither the timer nor the end of a stream has been seen then
            fresh = asyncio.get_running_loop().time() - connection.idle_since < self._idle_seconds
            if fresh and connection.usable:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        if self._closed:
            raise ConnectError("the pool is closed")
        with anyio.move_on_after(self._connect_timeout):
            try:
                connection = await self._open()
            except (OSError, UnicodeError) as error:
                raise ConnectError(f"no connection: {error}") from error
            if self._closed:
                connection.abort()
                raise ConnectError("the pool was closed meanwhile")
            return connection
        raise ConnectTimeoutError(f"no connection within {self._connect_timeout:g} seconds")

    async def _open(self) -> Connection:
        """Open a connection; its TLS session is a new one, as asyncio can't resume one.

        `create_connection` takes a context, and no `SSLSession` as `SSLContext.wrap_bio` would.
        """
        loop = asyncio.get_running_loop()
        sock = await dial(self._origin, self._proxy)
        try:
            name = None if self._ssl is None else self._origin.host
            if self._origin.uds is None:
                _, connection = await loop.create_connection(
                    self._make, sock=sock, ssl=self._ssl, server_hostname=name
                )
            else:
                _, connection = await loop.create_unix_connection(
                    self._make, sock=sock, ssl=self._ssl, server_hostname=name
                )
        except BaseException:
            sock.close()
            raise
        self._connections.add(connection)
        return connection

    def _make(self) -> Connection:
        return Connection(self._lost)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _release(self, connection: Connection) -> None:
        """Take a connection back that a response has let go."""
        if self._closed or len(self._idle) >= self._max_idle or not connection.usable:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long; the first ones have been for the longest."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_seconds
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.popleft().abort()
        self._sweeping = None
        if self._idle:
            due = self._idle[0].idle_since + self._idle_seconds
            self._sweeping = loop.call_at(due, self._sweep)
