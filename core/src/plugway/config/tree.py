"""A configuration file as a tree of values that know where they stand."""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from plugway.errors import ConfigError

Scalar: TypeAlias = str | int | float | bool | None
Key: TypeAlias = str | int
Path: TypeAlias = tuple[Key, ...]

_PLAIN_KEY = re.compile(r"[\w$-]+")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of a file; for what stands under a key, `line` is the line of the key.

    `path` is where the file has it, which after a translation is not where the tree has it.
    """

    value: "Scalar | dict[str, Node] | list[Node]"
    line: int
    path: Path = ()

    def get(self, key: Key) -> "Node | None":
        """Return the entry or item, or None where there is none."""
        if isinstance(key, str):
            return self.entries.get(key)
        return self.items[key] if key < len(self.items) else None

    @property
    def entries(self) -> "dict[str, Node]":
        """Return the entries of a mapping; empty for everything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "list[Node]":
        """Return the items of a list; empty for everything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def text(self) -> str | None:
        """Return the value if it is a string."""
        return self.value if isinstance(self.value, str) else None


@dataclass(slots=True, eq=False)
class Reading:
    """A file's tree in plugway's own form, what to say about it, and what is wrong with it."""

    root: Node
    notes: list[str] = field(default_factory=list[str])
    errors: list[ConfigError] = field(default_factory=list[ConfigError])
    alternatives: str = "${VAR:-default} or ${file:path}"
    """What may stand in the place of a reference to a variable that is not set."""

    def error(self, message: str, node: Node) -> None:
        """Add an error about a node."""
        self.errors.append(ConfigError(message, line=node.line, path=render(node.path)))


def locate(root: Node, place: Path) -> tuple[Node, Path]:
    """Return the deepest node on the way to `place`, and what of `place` does not exist."""
    node = root
    for depth, key in enumerate(place):
        child = node.get(key)
        if child is None:
            return node, place[depth:]
        node = child
    return node, ()


def render(path: Path) -> str:
    """Write a path the way people do: `plugins[2].config.mask`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text
