"""Resolve the references of a JSON Schema inside it; nothing is ever fetched."""

from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

MAX_DEPTH = 64
"""Levels of nesting in a schema."""

_META_SCHEMAS = ("http://json-schema.org/", "https://json-schema.org/")


class SchemaError(ValueError):
    """A schema can't be used; the message says why."""


class References:
    """The places in a schema that references can point to."""

    def __init__(self, schema: Any) -> None:
        """Find identifiers and anchors; raises `SchemaError` for a schema that nests too deep."""
        self._bases: dict[int, str] = {}
        self._resources: dict[str, Any] = {"": schema}
        self._anchors: dict[str, Any] = {}
        self._register(schema, "", 0)

    def resolve(self, reference: Any, owner: dict[str, Any]) -> Any:
        """Return the schema that a reference in `owner` points to, None for a standard meta-schema.

        Raises `SchemaError` if it leads outside or nowhere.
        """
        if not isinstance(reference, str):
            raise SchemaError("a $ref is no text")
        target = urljoin(self._bases[id(owner)], reference)
        resource, fragment = urldefrag(target)
        if target in self._anchors:
            return self._anchors[target]
        if resource not in self._resources:
            if resource.startswith(_META_SCHEMAS):
                return None
            raise SchemaError(f"$ref {_short(reference)} leads outside the schema")
        return _at(self._resources[resource], unquote(fragment), reference)

    def _register(self, value: Any, base: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SchemaError(f"it nests deeper than {MAX_DEPTH} levels")
        kind: type[Any] = value.__class__
        if issubclass(kind, list):
            for item in value:
                self._register(item, base, depth + 1)
        elif issubclass(kind, dict):
            self._register_object(value, base, depth)

    def _register_object(self, schema: dict[str, Any], base: str, depth: int) -> None:
        identifier = schema.get("$id")
        if isinstance(identifier, str):
            base = urljoin(base, urldefrag(identifier).url)
            self._resources.setdefault(base, schema)
        self._bases[id(schema)] = base
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                self._anchors.setdefault(f"{base}#{schema[keyword]}", schema)
        for item in schema.values():
            self._register(item, base, depth + 1)


def _at(document: Any, pointer: str, reference: str) -> Any:
    """Return what a JSON pointer (RFC 6901) points to."""
    found = document
    if pointer and not pointer.startswith("/"):
        raise SchemaError(f"$ref {_short(reference)} leads nowhere")
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key) if found.__class__ is list else key]
        except (IndexError, KeyError, TypeError, ValueError):
            raise SchemaError(f"$ref {_short(reference)} leads nowhere") from None
    return found


def _short(reference: str) -> str:
    return repr(reference if len(reference) <= 100 else f"{reference[:100]}...")
