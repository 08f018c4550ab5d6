"""Notes that the plugins of one request share, so that one plugin's turn is one change to them."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from plugway_hookspecs.frozen import freeze

_GONE = object()


class Shared(MutableMapping[str, Any]):
    """One turn's view of the shared notes: it reads through, and keeps its changes to itself.

    `take_over` makes the changes everybody's. What is written later, through a reference that
    outlives the turn, stays where nobody sees it.
    """

    __slots__ = ("_base", "_changes")

    def __init__(self, base: dict[str, Any]) -> None:
        self._base = base
        self._changes: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._changes.get(key, self)
        if value is self:
            return self._base[key]
        if value is _GONE:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Write a JSON value; raises `NotJsonError` for anything else."""
        self._changes[key] = freeze(value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._changes[key] = _GONE

    def __iter__(self) -> Iterator[str]:
        for key in dict.fromkeys((*self._base, *self._changes)):
            if self._changes.get(key) is not _GONE:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def take_over(self) -> None:
        """Apply the changes to what everybody sees."""
        for key, value in self._changes.items():
            if value is _GONE:
                self._base.pop(key, None)
            else:
                self._base[key] = value
        self._changes = {}
