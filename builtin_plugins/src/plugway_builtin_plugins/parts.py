"""Take a payload apart: its values, what each of them is, and where it is in the MCP message."""

from typing import Any, NamedTuple, TypeAlias

from plugway_builtin_plugins.shapes import ENTRIES, PAYLOADS, Shape
from plugway_hookspecs import Payload

Path: TypeAlias = tuple[str | int, ...]


class Part(NamedTuple):
    """A value in a payload, what it is and where."""

    attribute: str
    value: Any
    shape: Shape
    path: Path


def parts(payload: Payload) -> list[Part]:
    """Return the parts of a payload that have leaves, but not the entries of a list."""
    entries = ENTRIES.get(type(payload))
    return [
        Part(attribute, getattr(payload, attribute), shape, _root(payload, attribute))
        for attribute, shape in PAYLOADS[type(payload)].items()
        if attribute != entries
    ]


def entries(payload: Payload) -> list[Part]:
    """Return the entries of a list; other payloads have none."""
    attribute = ENTRIES.get(type(payload))
    if attribute is None:
        return []
    shape, path = PAYLOADS[type(payload)][attribute], _root(payload, attribute)
    return [
        Part(attribute, entry, shape, (*path, index))
        for index, entry in enumerate(getattr(payload, attribute))
    ]


def _root(payload: Payload, attribute: str) -> Path:
    return () if attribute == "extra" else (payload.WIRE.get(attribute, attribute),)


def show(path: Path) -> str:
    """Return a path as text, such as `content[0].text`."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")
