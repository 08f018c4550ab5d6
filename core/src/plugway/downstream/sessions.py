"""Handshake-era sessions: what clients declared, their log levels, and the ways to reach them."""

from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.shared.dispatcher import Outbound

from plugway.dispatch.exchange import Caller
from plugway.dispatch.extending import guarded
from plugway.downstream.asking import put
from plugway.downstream.endpoints import endpoint_of
from plugway.downstream.subscriptions import Subscriptions
from plugway.jsonvalues import is_object
from plugway.upstream.levels import LEVELS
from plugway_hookspecs import Client, Principal

Context = ServerRequestContext[Any, Any]


def wants_level(wanted: str | None, level: Any) -> bool:
    """Whether a message of `level` is to be sent to who asked for `wanted` and above."""
    return level in LEVELS and (wanted is None or LEVELS.index(level) >= LEVELS.index(wanted))


class Session:
    """One handshake-era client, from its handshake until its connection is gone.

    Implements `plugway.dispatch.exchange.Session` and `Watches`.
    """

    def __init__(
        self, connection: Connection, subscriptions: Subscriptions, client: Client
    ) -> None:
        """Know a client by its connection."""
        self.client = client
        self.caller = Caller(client.capabilities, self)
        self.endpoint = ""
        """The endpoint that it was opened on; empty for the whole federation's."""
        self.log_level: str | None = None
        """Messages below it are not forwarded; None until the client says which."""
        self._connection = connection
        self._subscriptions = subscriptions
        self._watched: dict[str, Callable[[], None]] = {}
        self._on_close: dict[object, Callable[[], None]] = {}
        self._untold: dict[tuple[str, str], dict[str, Any] | None] = {}
        self._telling = False
        self._closed = False

    async def ask(self, server: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Put a server's question, which belongs to no request, to the client."""
        return await self._subscriptions.dispatcher.ask(
            server, method, params, client=self.client, caller=self.caller, put=self._put
        )

    async def _put(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        limit = self._subscriptions.dispatcher.generation.input_timeout
        version = self.client.protocol_version
        return await put(self._connection.outbound, method, params, version=version, limit=limit)

    async def tell(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send the client a notification that belongs to no request."""
        if method == "notifications/message" and not self._hears(params or {}):
            return
        if self._connection.initialized.is_set():
            await self._connection.notify(method, dict(params) if params else None)

    def _hears(self, message: Mapping[str, Any]) -> bool:
        """Whether the client gets a log message; none while there are guards, who don't see it."""
        unguarded = not guarded(self._subscriptions.dispatcher.generation)
        return unguarded and wants_level(self.log_level, message.get("level"))

    def tell_soon(self, method: str, uri: str = "") -> None:
        """Tell the client that something has changed, once however often it does meanwhile."""
        tasks = self._subscriptions.tasks
        if tasks is not None:
            self._untold[method, uri] = {"uri": uri} if uri else None
            if not self._telling:
                self._telling = True
                tasks.start_soon(self._tell_all)

    async def _tell_all(self) -> None:
        try:
            while self._untold:
                (method, uri), params = next(iter(self._untold.items()))
                del self._untold[method, uri]
                await self.tell(method, params)
        finally:
            self._telling = False

    async def add(self, uri: str, server: str, inward: str, principal: Principal) -> None:
        """Follow a resource for the client."""
        if uri in self._watched:
            return
        stop = await self._subscriptions.follow(
            *(uri, server, inward, self.caller),
            principal=principal,
            session=self,
            updated=self._updated,
            over=self.remove,
        )
        if self._closed or uri in self._watched:
            stop()
        else:
            self._watched[uri] = stop

    def remove(self, uri: str) -> None:
        """Follow it no longer."""
        if (stop := self._watched.pop(uri, None)) is not None:
            stop()

    def _updated(self, uri: str) -> None:
        self.tell_soon("notifications/resources/updated", uri)

    def on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the client is gone, at once if it is; return the way not to."""
        token = object()
        if self._closed:
            callback()
        else:
            self._on_close[token] = callback
        return lambda: self._on_close.pop(token, None) and None

    def close(self) -> None:
        """Let go of what is held for the client, whose connection is gone."""
        self._closed = True
        while self._on_close:
            self._on_close.popitem()[1]()
        for uri in list(self._watched):
            self.remove(uri)


class Sessions:
    """All handshake-era sessions that are alive; a session goes with its connection."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        """Start without any."""
        self._subscriptions = subscriptions
        self._sessions: dict[Connection, Session] = {}
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, context: Context) -> Session:
        """Begin a session with the handshake that a request is."""
        connection, params = connection_of(context), context.params or {}
        capabilities = params.get("capabilities")
        client = client_of(context, capabilities if is_object(capabilities) else {})
        session = Session(connection, self._subscriptions, client)
        session.endpoint = "" if context.request is None else endpoint_of(context.request.scope)
        self._sessions[connection] = session
        if connection.session_id is not None:
            self._by_id[connection.session_id] = session
        connection.exit_stack.callback(self._close, connection, session)
        return session

    def _close(self, connection: Connection, session: Session) -> None:
        if self._sessions.get(connection) is session:
            del self._sessions[connection]
            self._by_id.pop(connection.session_id or "", None)
        session.close()

    def endpoint(self, session_id: str) -> str | None:
        """Return the endpoint that a session was opened on; None if there is no such session."""
        session = self._by_id.get(session_id)
        return None if session is None else session.endpoint

    def of(self, context: Context) -> Session:
        """Return the session that a request belongs to."""
        session = self._sessions.get(connection_of(context))
        return self.open(context) if session is None else session

    def announce(self, method: str) -> None:
        """Tell every client that a list has changed."""
        for session in list(self._sessions.values()):
            session.tell_soon(method)


def client_of(context: Context, capabilities: Mapping[str, Any]) -> Client:
    """Return what a client says of itself."""
    known = context.session.client_params
    return Client(
        name=known.client_info.name if known else "",
        version=known.client_info.version if known else "",
        protocol_version=context.protocol_version,
        transport="stdio" if context.request is None else "http",
        capabilities=capabilities,
    )


def connection_of(context: Context) -> Connection:
    """Return the SDK's connection behind a request.

    mcp 2.3 has no public way from a request's context to its connection, which alone knows the
    state of a session; this and `outbound_of` are the only places that reach for such things.
    """
    return context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def outbound_of(context: Context) -> Outbound:
    """Return the stream of a request's own response.

    The public methods of `context.session` cut messages down to the fields that the SDK knows.
    """
    return context.session._request_outbound  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
