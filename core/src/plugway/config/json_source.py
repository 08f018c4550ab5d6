"""Read JSON into a tree, with lines; comments and trailing commas are allowed, as editors do."""

import json
import re

from plugway.config.tree import Node, Path, Scalar, render
from plugway.errors import ConfigError

MAX_DEPTH = 100
"""Levels of nesting; a deeper file is refused before it can exhaust the stack."""

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_SCALAR = re.compile(r"true|false|null|-?\d[\d.eE+-]*")


def read_json(text: str) -> Node:
    """Return the tree of `text`; raises `ConfigError` with line and path."""
    reader = _Reader(text)
    if reader.peek() == "":
        raise ConfigError("is empty: write at least a `mcpServers` object")
    root = reader.value(())
    if reader.peek() != "":
        raise reader.error("something follows the end of the object", ())
    return root


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        """Return the next character that means something; empty at the end."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def error(self, message: str, path: Path) -> ConfigError:
        return ConfigError(f"is not JSON: {message}", line=self.line, path=render(path))

    def value(self, path: Path, line: int | None = None) -> Node:
        start, first = self.peek(), line or self.line
        if len(path) > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of nesting", ())
        match start:
            case "{":
                return Node(self._object(path), first, path)
            case "[":
                return Node(self._array(path), first, path)
            case '"':
                return Node(self._string(path), first, path)
            case _:
                return Node(self._scalar(path), first, path)

    def _object(self, path: Path) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        self.at += 1
        while self.peek() != "}":
            if self.peek() != '"':
                raise self.error('expected a key in double quotes or "}"', path)
            line = self.line
            key = self._string(path)
            if key in entries:
                message = f"{key!r} is already there on line {entries[key].line}: remove one"
                raise ConfigError(message, line=line, path=render((*path, key)))
            self._expect(":", (*path, key))
            entries[key] = self.value((*path, key), line)
            if self.peek() != "}":
                self._expect(",", path)
        self.at += 1
        return entries

    def _array(self, path: Path) -> list[Node]:
        items: list[Node] = []
        self.at += 1
        while self.peek() != "]":
            items.append(self.value((*path, len(items))))
            if self.peek() != "]":
                self._expect(",", path)
        self.at += 1
        return items

    def _expect(self, mark: str, path: Path) -> None:
        if self.peek() != mark:
            raise self.error(f'expected "{mark}"', path)
        self.at += 1

    def _string(self, path: Path) -> str:
        match = _STRING.match(self.text, self.at)
        try:
            text = json.loads(match[0]) if match else None
        except ValueError:
            text = None
        if match is None or text is None:
            raise self.error("a string that is not closed, or a wrong escape in it", path)
        self.at = match.end()
        return str(text)

    def _scalar(self, path: Path) -> Scalar:
        match = _SCALAR.match(self.text, self.at)
        try:
            value: Scalar = json.loads(match[0]) if match else None
        except ValueError:
            match = None
            value = None
        if match is None:
            raise self.error("expected a value", path)
        self.at = match.end()
        return value
