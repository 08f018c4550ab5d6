"""Read all that there is to read in a payload, in one go and without saying where."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from plugway_builtin_plugins.blobs import decode_blob
from plugway_builtin_plugins.parts import Part
from plugway_builtin_plugins.shapes import Kind, Shape


class Texts(NamedTuple):
    """What there is to read in a payload, in no special order."""

    values: list[str]
    """Texts, references and, as text, numbers; keys too."""
    keys: set[str]
    """Keys that scalars may be found under."""


def read_texts(where: Iterable[Part]) -> Texts:
    """Return all that a visitor would see, without saying where."""
    found = Texts([], set())
    for part in where:
        _read(part.value, part.shape, found)
    return found


def _read(value: Any, shape: Shape, found: Texts) -> None:
    kind: type[Any] = value.__class__
    if shape.kind is Kind.OPAQUE or value is None:
        return
    if kind is str:
        found.values.append(value)
    elif issubclass(kind, dict):
        _read_object(value, shape, found)
    elif issubclass(kind, list):
        for item in value:
            _read(item, shape, found)
    elif kind is not bool:
        found.values.append(number_text(value))


def _read_object(value: dict[str, Any], shape: Shape, found: Texts) -> None:
    shape = shape.of(value)
    fields, rest = shape.fields, shape.rest or shape
    for key, item in value.items():
        inner = fields.get(key)
        if inner is None:
            inner = rest
            if shape.keys is not Kind.OPAQUE:
                found.keys.add(key)
                found.values.append(key)
        if inner.kind is Kind.BLOB and isinstance(item, str):
            text, _ = decode_blob(item, value.get("mimeType"))
            if text is not None:
                found.values.append(text)
        else:
            _read(item, inner, found)


def number_text(value: float) -> str:
    """Return a number as people write it: integers, also those in floats, as bare digits."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
