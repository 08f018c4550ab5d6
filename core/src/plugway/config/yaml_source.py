"""Read YAML 1.2 into a tree, with lines, refusing what would be read otherwise than it looks."""

from typing import Any, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from plugway.config.tree import Node, Path, Scalar, render
from plugway.errors import ConfigError

MAX_NODES = 100_000
"""Values in one file, aliases counted as often as they are used."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class _Mark(Protocol):
    line: int
    column: int


class _YamlNode(Protocol):
    """The library's node, as far as it is used here; `id` is scalar, sequence or mapping."""

    id: str
    tag: str
    value: Any
    start_mark: _Mark


class _Composer(Protocol):
    def compose(self, stream: str) -> _YamlNode | None: ...


class _Marked(Protocol):
    problem: str | None
    context: str | None
    problem_mark: _Mark | None
    context_mark: _Mark | None


def read_yaml(text: str) -> Node:
    """Return the tree of the only document in `text`; raises `ConfigError` with line and path."""
    try:
        top = cast("_Composer", YAML(typ="safe", pure=True)).compose(text)
    except MarkedYAMLError as error:
        raise _explain(cast("_Marked", error)) from None
    except YAMLError as error:
        raise ConfigError(f"is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError("is nested too deeply") from None
    if top is None:
        raise ConfigError("is empty: write at least a `mcpServers:` block")
    return _Builder().build(top, (), _line(top))


def _explain(error: _Marked) -> ConfigError:
    problem = error.problem or error.context or "can't be read"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    column = f" (column {mark.column + 1})" if mark else ""
    if "'\\t'" in problem:
        return ConfigError(f"a tab{column}: YAML is indented with spaces", line=line)
    if "expected a single document" in (error.context or ""):
        return ConfigError("a second document begins here: keep one per file", line=line)
    hint = '; inside { } and [ ], put "${...}" in quotes' if "but got '{'" in problem else ""
    return ConfigError(f"is not YAML: {problem}{column}{hint}", line=line)


class _Builder:
    """Turns the library's nodes, where an alias is the same node again, into a tree."""

    def __init__(self) -> None:
        self.nodes = 0
        self.open: set[int] = set()

    def build(self, node: _YamlNode, path: Path, line: int) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _error(f"more than {MAX_NODES} values (aliases count each time)", path, line)
        if node.id == "scalar":
            return Node(_scalar(node, path, line), line, path)
        if id(node) in self.open:
            raise _error("an alias that contains itself", path, line)
        self.open.add(id(node))
        try:
            return Node(self._container(node, path, line), line, path)
        finally:
            self.open.discard(id(node))

    def _container(self, node: _YamlNode, path: Path, line: int) -> dict[str, Node] | list[Node]:
        if node.tag == f"{_TAG}seq":
            items: list[_YamlNode] = node.value
            return [self.build(item, (*path, n), _line(item)) for n, item in enumerate(items)]
        if node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        raise _error(f"the tag {node.tag} has no meaning here: remove it", path, line)

    def _mapping(self, node: _YamlNode, path: Path) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        pairs: list[tuple[_YamlNode, _YamlNode]] = node.value
        for key, value in pairs:
            line = _line(key)
            if key.tag == _MERGE:
                self._merge(value, path, inherited)
                continue
            name = _key(key, path)
            if name in entries:
                message = f"{name!r} is already there on line {entries[name].line}: remove one"
                raise _error(message, (*path, name), line)
            entries[name] = self.build(value, (*path, name), line)
        return {**inherited, **entries}

    def _merge(self, value: _YamlNode, path: Path, into: dict[str, Node]) -> None:
        """Read `<<`; of several mappings the first wins."""
        sources: list[_YamlNode] = value.value if value.id == "sequence" else [value]
        for source in sources:
            merged = self.build(source, path, _line(source))
            if not isinstance(merged.value, dict):
                raise _error("`<<` needs a mapping", path, _line(source))
            for key, node in merged.entries.items():
                into.setdefault(key, node)


def _key(node: _YamlNode, path: Path) -> str:
    """Return a key as it is written: `404:` and `on:` are the strings "404" and "on"."""
    if node.id == "scalar":
        return str(node.value)
    raise _error("a key must be a single word or a string", path, _line(node))


def _scalar(node: _YamlNode, path: Path, line: int) -> Scalar:
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "str" | "timestamp":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in {"true", "yes", "on"}
        case "int" | "float":
            return _number(text, path, line)
        case _:
            raise _error(f"the tag {node.tag} has no meaning here: remove it", path, line)


def _number(text: str, path: Path, line: int) -> int | float:
    plain = text.replace("_", "").lower()
    try:
        if plain.lstrip("+-").startswith(("0x", "0o", "0b")):
            return int(plain, 0)
        if plain.lstrip("+-").isdigit():
            return int(plain)
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise _error("is tagged as a number and isn't one", path, line) from None


def _line(node: _YamlNode) -> int:
    return node.start_mark.line + 1


def _error(message: str, path: Path, line: int) -> ConfigError:
    return ConfigError(message, line=line, path=render(path))
