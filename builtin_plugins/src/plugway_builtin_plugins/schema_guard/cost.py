"""Know what checking a value against a schema costs before doing it.

A validator's work can double with each reference and each level of nesting: ten lines of schema and
a few braces would keep it busy for years.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from plugway_builtin_plugins.schema_guard.graph import Node
from plugway_builtin_plugins.schema_guard.references import MAX_DEPTH, SchemaError

MAX_IN_PLACE = 2_000
"""Subschemas that may apply to one and the same value."""
MAX_REMEMBERED = 200_000
"""Subschemas, in all combinations that have come up."""
SMALL = 100
"""Subschemas, counted as often as they are referred to, of a schema that is never expensive."""
PER_CHARACTER = 30
"""What one character costs a pattern that may backtrack 1,000 times."""


class TooExpensiveError(ValueError):
    """Checking a value would cost more than it may."""


class _FullError(Exception):
    """More combinations of subschemas have come up than are remembered."""


class _State:
    """What applies to a value: subschemas, each so many times."""

    def __init__(self, costs: "Costs", applied: Counter[int]) -> None:
        self._costs = costs
        self._nodes = [(costs.nodes[number], times) for number, times in applied.items()]
        self.weight = sum(node.weight * times for node, times in self._nodes)
        self.patterns = sum(times for node, times in self._nodes if node.pattern)
        self.key_patterns = sum(node.key_patterns * times for node, times in self._nodes)
        self._named = {key for node, _ in self._nodes for key in node.properties}
        self._prefixed = max(len(node.prefix) for node, _ in self._nodes)
        self._at: dict[str | int, _State | None] = {}

    def at_key(self, key: str) -> "_State | None":
        """Return what applies to the value of a property."""
        if key not in self._named:
            return self._other_key
        if key not in self._at:
            self._at[key] = self._inside(lambda node: node.at_key(key))
        return self._at[key]

    def at_index(self, index: int) -> "_State | None":
        """Return what applies to an item of an array."""
        if index >= self._prefixed:
            return self._every_item
        if index not in self._at:
            self._at[index] = self._inside(lambda node: node.at_index(index))
        return self._at[index]

    @cached_property
    def _other_key(self) -> "_State | None":
        return self._inside(lambda node: (*node.every_key, *node.other_keys))

    @cached_property
    def _every_item(self) -> "_State | None":
        return self._inside(lambda node: node.every_item)

    @cached_property
    def names(self) -> "_State | None":
        """What applies to the names of properties."""
        return self._inside(lambda node: node.names)

    def _inside(self, targets: Callable[[Node], Iterable[int]]) -> "_State | None":
        inner: Counter[int] = Counter()
        for node, times in self._nodes:
            for number in targets(node):
                for applied, each in self._costs.applied(number).items():
                    inner[applied] += each * times
        return self._costs.state(inner) if inner else None


class Costs:
    """What checking values against one schema costs, in checks of one subschema (some 50 ns)."""

    def __init__(self, nodes: list[Node], *, backtracking: bool) -> None:
        """Take the subschemas; `backtracking` says that patterns cost more than reading a text."""
        self.nodes = nodes
        self._backtracking = backtracking
        self._applied: dict[int, Counter[int]] = {}
        self._states: dict[frozenset[tuple[int, int]], _State] = {}
        self._remembered = 0
        self.small = not backtracking and not self._exceeds(SMALL)

    def check(self, value: Any, limit: int) -> None:
        """Raise `TooExpensiveError` if checking `value` costs more than `limit`.

        Raises `SchemaError` for a schema that applies itself, or too much, to one value.
        """
        try:
            self._check(value, limit)
        except _FullError:
            self._forget()
            try:
                self._check(value, limit)
            except _FullError:
                self._forget()
                raise TooExpensiveError from None

    def _check(self, value: Any, limit: int) -> None:
        total = 0
        waiting = [(value, self.state(self.applied(0)))]
        while waiting:
            value, state = waiting.pop()
            total += state.weight
            kind: type[Any] = value.__class__
            if issubclass(kind, dict):
                for key, item in value.items():
                    total += self._key_cost(key, state)
                    inner = state.at_key(key)
                    if inner is not None:
                        waiting.append((item, inner))
            elif issubclass(kind, list):
                for index, item in enumerate(value):
                    inner = state.at_index(index)
                    if inner is not None:
                        waiting.append((item, inner))
            elif kind is str:
                total += self._text_cost(value, state.patterns)
            if total > limit:
                raise TooExpensiveError

    def _key_cost(self, key: str, state: _State) -> int:
        cost = self._text_cost(key, state.key_patterns)
        if state.names is not None:
            cost += state.names.weight + self._text_cost(key, state.names.patterns)
        return cost

    def _text_cost(self, text: str, patterns: int) -> int:
        return patterns * len(text) * PER_CHARACTER if self._backtracking else 0

    def state(self, applied: Counter[int]) -> _State:
        """Return the one state for a combination of subschemas."""
        combination = frozenset(applied.items())
        if combination not in self._states:
            self._remember(applied)
            self._states[combination] = _State(self, applied)
        return self._states[combination]

    def applied(self, number: int, above: tuple[int, ...] = ()) -> Counter[int]:
        """Return how often each subschema applies to a value that `number` applies to."""
        if number in self._applied:
            return self._applied[number]
        if number in above:
            raise SchemaError("it refers to itself without going into the value")
        if len(above) > MAX_DEPTH:
            raise SchemaError(f"it applies more than {MAX_DEPTH} schemas through each other")
        applied = Counter([number])
        for inner in self.nodes[number].in_place:
            applied.update(self.applied(inner, (*above, number)))
        if applied.total() > MAX_IN_PLACE:
            raise SchemaError(f"it applies more than {MAX_IN_PLACE} schemas to one value")
        self._remember(applied)
        self._applied[number] = applied
        return applied

    def _remember(self, applied: Counter[int]) -> None:
        self._remembered += len(applied)
        if self._remembered > MAX_REMEMBERED:
            raise _FullError

    def _forget(self) -> None:
        self._applied.clear()
        self._states.clear()
        self._remembered = 0

    def _exceeds(self, limit: int) -> bool:
        """Tell whether the schema, with each reference replaced by what it refers to, is larger."""
        size, waiting = 0, [0]
        while waiting and size <= limit:
            node = self.nodes[waiting.pop()]
            size += node.weight
            waiting += node.all()
        return size > limit
