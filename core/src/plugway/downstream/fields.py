"""The header fields of one HTTP request, read once for all who look (RFC 9110, section 5)."""

from typing import Any, cast

from starlette.types import Scope

_KEY = "plugway.fields"


class Fields(dict[str, str]):
    """Values by lower-case name; of a field that is there more than once, the first.

    White space at the ends of values, which the parser leaves there, is not part of them.
    """

    __slots__ = ("doubled", "padded")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        """Read what an ASGI server took off the wire; its names are lower-case."""
        super().__init__()
        self.doubled: frozenset[str] = frozenset()
        """Names that are there more than once: each reader on the way might take another."""
        doubled: set[str] = set()
        self.padded = False
        """Whether a value has white space at its ends."""
        for name, given in raw:
            key = name.decode("latin-1")
            value = given.strip(b" \t")
            self.padded |= len(value) != len(given)
            if key in self:
                doubled.add(key)
            else:
                self[key] = value.decode("latin-1")
        self.doubled = frozenset(doubled)


def fields_of(scope: Scope) -> Fields:
    """Return the fields of a request; they are read when the first one asks."""
    found: Any = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = Fields(scope["headers"])
    return cast("Fields", found)
