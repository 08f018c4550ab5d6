"""Remember answers for a while: the ones asked for least recently make room."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from plugway_builtin_plugins.repeats import Request
from plugway_builtin_plugins.result_cache.freshness import Result
from plugway_hookspecs import Context

_write = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def key_of(payload: Request, context: Context) -> bytes:
    """Return what tells one question from another: who asks whom what, in every detail.

    As JSON text, since Python takes 1, 1.0 and true for the same; and as its digest, so that no
    personal data lies about.
    """
    who = context.principal
    asker = (who.user, who.tenant, who.groups)
    text = _write((asker, context.server, context.method, payload.to_wire()))
    return blake2b(text.encode(), digest_size=32).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An answer, and under which circumstances it is one."""

    result: Result
    server: str
    definition: Mapping[str, Any] | None
    """What was asked, as the server listed it then."""
    since: float
    until: float
    size: int


class Memory:
    """Answers by the digest of their question."""

    def __init__(self, max_entries: int, max_bytes: int, clock: Callable[[], float]) -> None:
        """Remember nothing yet; `clock` gives the time in seconds."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """The bytes that all answers take, as JSON text."""
        return self._bytes

    def find(self, key: bytes, definition: Mapping[str, Any] | None) -> tuple[Any, float] | None:
        """Return an answer and its age in seconds, if there is one that is still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._clock()
        if entry.until <= now or entry.definition != definition:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.result, now - entry.since

    def keep(self, key: bytes, result: Result, seconds: float, context: Context) -> None:
        """Remember an answer for some seconds, if there is room for it at all."""
        self._drop(key)
        now, size = self._clock(), len(_write(result.to_wire()))
        if size > self._max_bytes:
            return
        entry = Entry(result, context.server, context.definition, now, now + seconds, size)
        self._entries[key] = entry
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def forget(self, server: str) -> None:
        """Forget all that a server answered."""
        for key in [key for key, entry in self._entries.items() if entry.server == server]:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
