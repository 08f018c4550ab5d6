"""Let a configuration name places in a message: `content[*].text`, `**.phone`, `files[0].path`."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import eq
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from plugway_builtin_plugins.globs import escape
from plugway_builtin_plugins.parts import Path
from plugway_builtin_plugins.patterns import Pattern

_STEP = re.compile(r"(?:^|\.)(?P<key>(?:\\.|[^.\[\]\\])+)|\[(?P<index>\d+|\*)\]")
_CHARACTER = re.compile(r"\\(?P<literal>.)|(?P<plain>.)", re.DOTALL)
_WILD = {"*": ".*", "?": "."}
_Step: TypeAlias = Callable[[str | int], bool]


class Field:
    """A place in a message, and all that is below it.

    Keys are separated by dots, indexes stand in brackets; `*` is any key or index, `[*]` any index,
    `**` any number of both; a key may be a glob. A backslash takes the next character literally.
    """

    __slots__ = ("_steps", "source")

    def __init__(self, source: str) -> None:
        """Read a place; raises `ValueError` that says what is wrong with it."""
        self.source = source
        self._steps = tuple(_read(source))

    def covers(self, path: Path) -> bool:
        """Tell whether the place is `path` or above it."""
        states = self._free({0})
        for part in path:
            if len(self._steps) in states:
                return True
            states = self._free(set(self._advance(states, part)))
        return len(self._steps) in states

    def _advance(self, states: Iterable[int], part: str | int) -> Iterator[int]:
        for state in states:
            step = self._steps[state]
            if step is None:
                yield state
            elif step(part):
                yield state + 1

    def _free(self, states: set[int]) -> set[int]:
        """Add the states that are reached by taking `**` for nothing."""
        for state in tuple(states):
            after = state
            while after < len(self._steps) and self._steps[after] is None:
                after += 1
                states.add(after)
        return states


def _read(source: str) -> Iterator[_Step | None]:
    """Yield what each step of a path has to be; None for any number of steps."""
    position = 0
    while position < len(source) or not position:
        match = _STEP.match(source, position)
        if match is None:
            place = f"at {source[position:]!r}" if source else "because it is empty"
            raise ValueError(f"field {source!r} can't be read {place}: write a.b[0].c or **.c")
        key, index = match["key"], match["index"]
        yield _key(key) if key else _is_index if index == "*" else partial(eq, int(index))
        position = match.end()


def _key(source: str) -> _Step | None:
    if source == "**":
        return None
    if source == "*":
        return lambda _: True
    characters = list(_CHARACTER.finditer(source))
    if any(match["plain"] in _WILD for match in characters):
        pattern = Pattern("(?s)" + "".join(map(_translate, characters)))
        return lambda part: isinstance(part, str) and pattern.fullmatch(part)
    return partial(eq, "".join(match["literal"] or match["plain"] for match in characters))


def _translate(character: re.Match[str]) -> str:
    plain = character["plain"]
    return _WILD[plain] if plain in _WILD else escape(character["literal"] or plain)


def _is_index(part: str | int) -> bool:
    return isinstance(part, int)


def _checked(source: str) -> str:
    Field(source)
    return source


FieldSource = Annotated[str, AfterValidator(_checked)]
"""A configuration value that is a place in a message."""
