"""Remember what was sent to handshake-era clients, so that they can resume a broken stream.

The SDK has one store for all sessions and names streams by request ids, which sessions have in
common. Here every session has its own memory, found through the context of the HTTP request: that
of the request that opens a session is also the one in which the SDK routes the session's messages.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

from plugway.downstream.sessions import connection_of

EVENT_COST = 512
"""Bytes that an event takes besides its message."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One message as it was sent; without any, the mark at the beginning of a stream."""

    stream: str
    message: bytes
    last: bool
    """Whether the stream ends with it."""

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return len(self.message) + EVENT_COST


class Streams:
    """The streams of one session, each named by its request's id, with their latest events."""

    def __init__(self, dropped: Callable[[str, Event], None], owner: object) -> None:
        """Begin without events; nobody but `owner` may know of them."""
        self.owner = owner
        self.size = 0
        self.unanswered: set[str] = set()
        """Those whose last event is still to come."""
        self.over = False
        """Whether nobody can resume any more, so that nothing need be kept."""
        self._dropped = dropped
        self._events: OrderedDict[str, Event] = OrderedDict()
        self._name = ""
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._events

    def next_id(self) -> str:
        """Return an id that no other event of any session has."""
        if not self._name:  # most requests have no stream
            self._name = secrets.token_hex(8)
        return f"{self._name}-{next(self._numbers)}"

    def add(self, event_id: str, event: Event) -> None:
        """Keep an event."""
        self._events[event_id] = event
        self.size += event.size

    def drop_oldest(self) -> None:
        """Forget the event that was first."""
        event_id, event = self._events.popitem(last=False)
        self.size -= event.size
        self._dropped(event_id, event)

    def close(self) -> None:
        """Forget all events, and keep none that is still to come."""
        self.over = True
        while self._events:
            self.drop_oldest()

    def after(self, event_id: str) -> tuple[str | None, list[tuple[str, Event]]]:
        """Return the stream of an event and what followed on it.

        There is no stream where it has ended, or where the event is not known.
        """
        found = self._events.get(event_id)
        if found is None or found.last:
            return None, []
        events = iter(self._events.items())
        while next(events)[0] != event_id:
            pass
        rest: list[tuple[str, Event]] = []
        for later_id, event in events:
            if event.stream == found.stream:
                rest.append((later_id, event))
                if event.last:  # the same id after that is another request's
                    return None, rest
        return found.stream, rest


class Events(EventStore):
    """The events of all sessions; where one limit is reached the oldest go first.

    It has no length: the SDK takes an empty store for none.
    """

    def __init__(self, *, most: int, session_bytes: int, total_bytes: int) -> None:
        """Keep at most `most` events and `session_bytes` of a session, `total_bytes` in all."""
        self._most = most
        self._session_bytes = session_bytes
        self._total_bytes = total_bytes
        self._oldest: OrderedDict[str, Streams] = OrderedDict()
        self._sessions: dict[str, Streams] = {}
        self._current: ContextVar[Streams] = ContextVar("plugway_streams")
        self.size = 0

    @property
    def sessions(self) -> int:
        """How many sessions may resume streams."""
        return len(self._sessions)

    @property
    def current(self) -> Streams:
        """The streams of the session whose HTTP request, or whose message, this is."""
        return self._current.get()

    def enter(self, session_id: str | None, owner: object) -> Streams | None:
        """Begin an HTTP request; returns the session's streams, if the owner has such a session."""
        known = self._sessions.get(session_id or "")
        if known is not None and known.owner != owner:
            known = None
        self._current.set(Streams(self._dropped, owner) if known is None else known)
        return known

    async def follow(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Keep a session's events from its first request until its connection is over."""
        connection = connection_of(ctx)
        session_id = connection.session_id
        if session_id is not None and session_id not in self._sessions:
            self._sessions[session_id] = self.current
            connection.exit_stack.callback(self._forget, session_id)
        return await call_next(ctx)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Remember what goes out to the client; returns the event's id."""
        streams = self.current
        event_id = streams.next_id()
        last = isinstance(message, JSONRPCResponse | JSONRPCError)
        if last:
            streams.unanswered.discard(stream_id)
        if streams.over:
            return event_id
        text = message.model_dump_json(by_alias=True, exclude_unset=True) if message else ""
        event = Event(stream_id, text.encode(), last)
        streams.add(event_id, event)
        self._oldest[event_id] = streams
        self.size += event.size
        while len(streams) > self._most or streams.size > self._session_bytes:
            streams.drop_oldest()
        while self.size > self._total_bytes:
            next(iter(self._oldest.values())).drop_oldest()
        return event_id

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send again what followed on the stream; returns it if there may be more to come."""
        streams, sent = self.current, last_event_id
        while True:  # until nothing has come while it was sent
            stream, events = streams.after(sent)
            for sent, event in events:
                if event.message:
                    message = jsonrpc_message_adapter.validate_json(event.message, by_name=False)
                    await send_callback(EventMessage(message, sent))
            if not events or stream is None:
                return stream

    def _dropped(self, event_id: str, event: Event) -> None:
        del self._oldest[event_id]
        self.size -= event.size

    def _forget(self, session_id: str) -> None:
        self._sessions.pop(session_id).close()
