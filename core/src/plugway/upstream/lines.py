"""Split what a program writes into lines, of which none may fill the memory."""

from dataclasses import dataclass

ENDS = 256
"""Bytes that are kept of either end of a line that is too long."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; of a line that is too long only `head` and `tail` are known."""

    head: bytes
    tail: bytes = b""
    whole: bool = True


class LineSplitter:
    """Turns chunks of bytes into lines, in time that is linear in their length."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._head = b""

    def feed(self, chunk: bytes) -> list[Line]:
        """Return the lines that `chunk` completes."""
        first, *rest = chunk.split(b"\n")
        self._append(first)
        done: list[Line] = []
        for part in rest:
            done.append(self._finish())
            self._append(part)
        return done

    def _append(self, part: bytes) -> None:
        self._chunks.append(part)
        self._size += len(part)
        if self._size > self._limit:
            kept = b"".join(self._chunks)
            self._head = self._head or kept[:ENDS]
            self._chunks = [kept[-ENDS:]]

    def _finish(self) -> Line:
        content = b"".join(self._chunks)
        whole = self._size <= self._limit
        line = Line(content) if whole else Line(self._head, content[-ENDS:], whole=False)
        self._chunks, self._size, self._head = [], 0, b""
        return line
