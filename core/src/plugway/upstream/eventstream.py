"""Read server-sent events (WHATWG HTML, section 9.2), of which none may fill the memory."""

from dataclasses import dataclass

from plugway.upstream.lines import ENDS, Line, LineSplitter


@dataclass(frozen=True, slots=True)
class Event:
    """One event; of data that is too long only the ends are known."""

    name: str
    data: Line


class EventReader:
    """Turns chunks of bytes into events, in time that is linear in their length."""

    def __init__(self, limit: int) -> None:
        """Read events of at most `limit` bytes whole."""
        self.last_id = ""
        """The id of the last event, from which on the stream can be resumed."""
        self.retry = 1.0
        """Seconds to wait before that."""
        self._limit = limit
        self._lines = LineSplitter(limit)
        self._after_return = False
        self._name = ""
        self._id = ""
        self._data = bytearray()
        self._head = b""

    def restart(self) -> None:
        """Expect a new stream, which goes on after the last event."""
        self._lines = LineSplitter(self._limit)
        self._after_return = False
        self._name, self._data, self._head = "", bytearray(), b""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes."""
        done: list[Event] = []
        for line in self._lines.feed(self._with_newlines(chunk)):
            if line.head:
                self._take(line)
            elif (event := self._finish()) is not None:
                done.append(event)
        return done

    def _with_newlines(self, chunk: bytes) -> bytes:
        """Write every end of a line in the same way; the two bytes of one may come apart."""
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")
        self._after_return = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, line: Line) -> None:
        field, _, value = line.head.partition(b":")
        if field == b"event":
            self._name = value.removeprefix(b" ").decode(errors="replace")
        elif field == b"id":
            if b"\0" not in value and line.whole:
                self._id = value.removeprefix(b" ").decode(errors="replace")
        elif field == b"retry":
            if value.strip().isdigit() and len(value) < 9:
                self.retry = int(value) / 1000
        elif field == b"data":
            self._data += value.removeprefix(b" ") + line.tail + b"\n"
            if not line.whole or len(self._data) > self._limit:
                self._head = self._head or bytes(self._data[:ENDS])
                del self._data[:-ENDS]

    def _finish(self) -> Event | None:
        self.last_id = self._id
        name, data, head = self._name or "message", bytes(self._data[:-1]), self._head
        self._name, self._data, self._head = "", bytearray(), b""
        if head:
            return Event(name, Line(head, data, whole=False))
        return Event(name, Line(data)) if data else None
