"""Keep what plugins noted about a request while its client is asked for more.

A server may answer `input_required` with a `requestState`; the client sends that back with its
answers, as a new request (2026-07-28, multi round-trip requests). For plugins it is the same one:
what they noted in the first round is there in the next.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any

from plugway_hookspecs import Operation

MAX_KEPT = 1000
"""Requests whose notes are kept; the oldest make room."""

KEEP_SECONDS = 600.0
"""How long a client may take to answer."""


GiveBack = Callable[[], None]
"""Keeps notes again, for another try at the same round."""


@dataclass(frozen=True, slots=True, eq=False)
class _Notes:
    states: dict[str, dict[str, Any]]
    shared: dict[str, Any]
    until: float


class Rounds:
    """The notes of requests that go on in another round."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Keep nothing yet; `clock` gives the time in seconds."""
        self._clock = clock
        self._kept: OrderedDict[bytes, _Notes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, operation: Operation, result: Mapping[str, Any], name: str) -> None:
        """Keep an operation's notes, if its result asks for another round.

        `name` is what the client asked for, and will ask for again; plugins may have renamed it.
        """
        if result.get("resultType") != "input_required":
            return
        state = result.get("requestState")
        if not isinstance(state, str) or not (operation.states or operation.shared):
            return
        until = self._clock() + KEEP_SECONDS
        notes = _Notes(operation.states, operation.shared, until)
        self._keep(_key(operation, name, state), notes)

    def resume(self, operation: Operation, params: Mapping[str, Any]) -> GiveBack | None:
        """Give an operation the notes of the round before, if there was one; they serve once.

        Returns what has to be called if the operation fails, since its client may try again: it
        keeps the notes as they were.
        """
        state = params.get("requestState")
        if not isinstance(state, str):
            return None
        key = _key(operation, operation.name, state)
        self._expire()
        notes = self._kept.pop(key, None)
        if notes is None or notes.until <= self._clock():
            return None
        operation.states = {plugin: dict(own) for plugin, own in notes.states.items()}
        operation.shared = dict(notes.shared)
        return partial(self._keep, key, notes)

    def _keep(self, key: bytes, notes: _Notes) -> None:
        self._kept[key] = notes
        self._expire()
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _expire(self) -> None:
        """Forget what nobody came back for; the oldest are in front."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)


def _key(operation: Operation, name: str, state: str) -> bytes:
    """Bind notes to who asked, and for what: nobody else's state leads to them."""
    who = operation.principal
    parts = (operation.method, name, who.user, who.tenant, operation.client.name, state)
    return blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=16).digest()
