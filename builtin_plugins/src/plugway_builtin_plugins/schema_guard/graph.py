"""Lay a JSON Schema out as a graph: which subschemas apply to a value, and to what is in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from plugway_builtin_plugins.schema_guard.references import References

_Object: TypeAlias = dict[str, Any]

_META_WEIGHT = 100
"""Subschemas of a standard meta-schema, about."""
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_IN_PLACE_BY_NAME = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_OTHER_KEYS = ("additionalProperties", "unevaluatedProperties")
_EVERY_ITEM = ("additionalItems", "contains", "unevaluatedItems")


@dataclass(slots=True, eq=False)
class Node:
    """One subschema, and the numbers of those that it applies."""

    weight: int = 1
    """What checking one value costs, without the other subschemas."""
    pattern: bool = False
    key_patterns: int = 0
    in_place: list[int] = field(default_factory=list[int])
    properties: dict[str, int] = field(default_factory=dict[str, int])
    every_key: list[int] = field(default_factory=list[int])
    other_keys: list[int] = field(default_factory=list[int])
    names: list[int] = field(default_factory=list[int])
    prefix: list[int] = field(default_factory=list[int])
    every_item: list[int] = field(default_factory=list[int])

    def at_key(self, key: str) -> Iterator[int]:
        """Yield what applies to the value of a property."""
        yield from self.every_key
        if key in self.properties:
            yield self.properties[key]
        else:
            yield from self.other_keys

    def at_index(self, index: int) -> Iterator[int]:
        """Yield what applies to an item of an array."""
        yield from self.every_item
        if index < len(self.prefix):
            yield self.prefix[index]

    def all(self) -> Iterator[int]:
        """Yield all that applies to anything."""
        yield from (*self.in_place, *self.properties.values(), *self.every_key, *self.other_keys)
        yield from (*self.names, *self.prefix, *self.every_item)


def read_graph(schema: Any) -> list[Node]:
    """Return the subschemas of a schema; the first is the schema itself.

    Raises `SchemaError` for references that lead outside or nowhere.
    """
    return _Reader(schema).nodes


class _Reader:
    """Gives every subschema a number when it is met first."""

    def __init__(self, schema: Any) -> None:
        self._references = References(schema)
        self._numbers: dict[int, int] = {}
        self._schemas: list[Any] = []
        self.nodes: list[Node] = []
        self._number(schema)
        read = 0
        while read < len(self.nodes):
            if isinstance(self._schemas[read], dict):
                self._read(self._schemas[read], self.nodes[read])
            read += 1

    def _number(self, schema: Any) -> int:
        number = self._numbers.setdefault(id(schema), len(self.nodes))
        if number == len(self.nodes):
            self._schemas.append(schema)
            self.nodes.append(Node())
        return number

    def _read(self, schema: _Object, node: Node) -> None:
        node.weight += sum(len(part) // 8 for part in schema.values() if _is_container(part))
        node.pattern = "pattern" in schema
        for keyword in _REFERENCES:
            if keyword in schema:
                self._refer(schema[keyword], schema, node)
        for keyword in _IN_PLACE:
            node.in_place += self._each(schema.get(keyword))
        for keyword in _IN_PLACE_BY_NAME:
            node.in_place += self._named(schema.get(keyword)).values()
        self._read_object(schema, node)
        self._read_array(schema, node)

    def _refer(self, reference: Any, owner: _Object, node: Node) -> None:
        target = self._references.resolve(reference, owner)
        if target is None:
            node.weight += _META_WEIGHT
        else:
            node.in_place.append(self._number(target))

    def _read_object(self, schema: _Object, node: Node) -> None:
        node.properties = self._named(schema.get("properties"))
        node.every_key = list(self._named(schema.get("patternProperties")).values())
        node.key_patterns = len(node.every_key)
        node.names = self._each(schema.get("propertyNames"))
        for keyword in _OTHER_KEYS:
            node.other_keys += self._each(schema.get(keyword))

    def _read_array(self, schema: _Object, node: Node) -> None:
        node.prefix = self._each(schema.get("prefixItems"))
        items = schema.get("items")
        if isinstance(items, list):  # before 2020-12
            node.prefix += self._each(schema["items"])
        else:
            node.every_item += self._each(items)
        for keyword in _EVERY_ITEM:
            node.every_item += self._each(schema.get(keyword))

    def _each(self, value: Any) -> list[int]:
        """Return the numbers of a subschema or a list of them; anything else is none."""
        schemas: list[Any] = value if issubclass(value.__class__, list) else [value]
        return [self._number(schema) for schema in schemas if isinstance(schema, dict)]

    def _named(self, value: Any) -> dict[str, int]:
        if not isinstance(value, dict):
            return {}
        named = cast("_Object", value).items()
        return {name: self._number(schema) for name, schema in named if isinstance(schema, dict)}


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list)
