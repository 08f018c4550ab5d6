"""HTTP routes of plugins, without an HTTP library: what they get, and what they return."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from plugway_hookspecs.frozen import EMPTY

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request for a plugin's route; the gateway has checked who may send it."""

    method: str
    path: str
    """The route's own path, as the plugin declared it."""
    query: Mapping[str, str] = EMPTY
    """The parameters behind `?`; of those that are repeated the last one."""
    headers: Mapping[str, str] = EMPTY
    """In lower case, without credentials; empty without capability `read_headers`."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer of a plugin's route; text is sent as UTF-8.

    Raises `ValueError` for headers that HTTP can't carry.
    """

    body: str | bytes = b""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = EMPTY

    def __post_init__(self) -> None:
        for name, value in {**self.headers, "content-type": self.content_type}.items():
            if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value) or not _latin(value):
                raise ValueError(f"the header {name!r} is not one that HTTP can carry")


def _latin(value: str) -> bool:
    return all(ord(character) < 256 for character in value)


Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True, eq=False)
class HttpRoute:
    """One route: a path under `/plugins/<plugin's name>`, and the `async def` that answers."""

    path: str
    """Begins with a slash, such as `/metrics`; compared as a whole."""
    handler: Handler
    methods: tuple[str, ...] = ("GET",)
    """In capitals; `GET` includes `HEAD`."""
