"""Visit every scalar and every key of a payload, each with its place, and rewrite what changes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from plugway_builtin_plugins.blobs import decode_blob, encode_blob
from plugway_builtin_plugins.parts import Part, Path, entries, parts
from plugway_builtin_plugins.shapes import TEXT, Kind, Shape
from plugway_hookspecs import Payload

P = TypeVar("P", bound=Payload)


class Leaf(NamedTuple):
    """A scalar or a key in a payload."""

    value: Any
    """A string, a number or a boolean."""
    kind: Kind
    path: Path
    """Keys and indexes from the top of the MCP message; of a key, the path of its object."""
    key: str = ""
    """The key that a scalar is found under, through lists; empty at the top."""
    is_key: bool = False


Visitor: TypeAlias = Callable[[Leaf], Any]
"""Returns what takes a leaf's place: the very same value where nothing changes."""


def rewrite_payload(payload: P, visit: Visitor) -> P:
    """Return the payload with its leaves replaced by what `visit` says, or the very same payload.

    The entries of a list stay as they are.
    """
    changes: dict[str, Any] = {}
    for part in parts(payload):
        replaced = rewrite(part.value, part.shape, visit, part.path)
        if replaced is not part.value:
            changes[part.attribute] = replaced
    return payload.replace(**changes) if changes else payload


def rewrite_entries(payload: P, review: Callable[[Part], Any]) -> P:
    """Return the payload with what `review` makes of each entry, without those it makes None of."""
    found = entries(payload)
    kept = [(part.value, review(part)) for part in found]
    if all(new is old for old, new in kept):
        return payload
    changed = [new for _, new in kept if new is not None]
    return payload.replace(**{found[0].attribute: changed})


def first_leaf(where: Iterable[Part], matches: Callable[[Leaf], bool]) -> Leaf | None:
    """Return the first leaf that matches."""
    found: list[Leaf] = []

    def visit(leaf: Leaf) -> Any:
        if not found and matches(leaf):
            found.append(leaf)
        return leaf.value

    for part in where:
        rewrite(part.value, part.shape, visit, part.path)
    return found[0] if found else None


def rewrite(
    value: Any, shape: Shape, visit: Visitor, path: Path = (), key: str | None = None
) -> Any:
    """Return `value` with its leaves replaced by what `visit` says, or the very same object."""
    if key is None:
        key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    kind: type[Any] = value.__class__
    if issubclass(kind, dict):
        return _rewrite_object(value, shape, visit, path)
    if issubclass(kind, list):
        return _rewrite_list(value, shape, visit, path, key)
    if value is None or shape.kind is Kind.OPAQUE:
        return value
    return visit(Leaf(value, shape.kind, path, key))


def _rewrite_list(
    items: list[Any], shape: Shape, visit: Visitor, path: Path, key: str
) -> list[Any]:
    changed = False
    replaced: list[Any] = []
    for index, item in enumerate(items):
        new = rewrite(item, shape, visit, (*path, index), key)
        changed = changed or new is not item
        replaced.append(new)
    return replaced if changed else items


def _rewrite_object(
    value: dict[str, Any], shape: Shape, visit: Visitor, path: Path
) -> dict[str, Any]:
    if shape.kind is Kind.OPAQUE:
        return value
    shape = shape.of(value)
    changed = False
    replaced: dict[str, Any] = {}
    for key, item in value.items():
        inner = shape.fields.get(key)
        new_key = key
        if inner is None:
            inner = shape.rest or shape
            if shape.keys is not Kind.OPAQUE:
                new_key = visit(Leaf(key, shape.keys, path, is_key=True))
                if new_key is not key:
                    new_key = _free(new_key, replaced, value)
        if inner.kind is Kind.BLOB:
            new = _rewrite_blob(item, value, visit, (*path, new_key))
        else:
            new = rewrite(item, inner, visit, (*path, new_key), key)
        changed = changed or new is not item or new_key is not key
        replaced[new_key] = new
    return replaced if changed else value


def _free(key: str, taken: Mapping[str, Any], original: Mapping[str, Any]) -> str:
    """Return a rewritten key, numbered if another one came out the same, or was there before."""
    free, number = key, 1
    while free in taken or free in original:
        number += 1
        free = f"{key}#{number}"
    return free


def _rewrite_blob(blob: Any, owner: Mapping[str, Any], visit: Visitor, path: Path) -> Any:
    if not isinstance(blob, str):
        return rewrite(blob, TEXT, visit, path, "blob")
    text, encoded = decode_blob(blob, owner.get("mimeType"))
    if text is None:
        return blob
    new = visit(Leaf(text, Kind.TEXT, path, "blob"))
    if new is text:
        return blob
    return encode_blob(new) if encoded else new
