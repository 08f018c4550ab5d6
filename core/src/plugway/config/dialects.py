"""Recognise who wrote a configuration, and put it into plugway's own form."""

from plugway.config.clients import from_client
from plugway.config.contextforge import from_contextforge, is_contextforge
from plugway.config.jinja import mark, unmark
from plugway.config.json_source import read_json
from plugway.config.tree import Node, Reading
from plugway.config.yaml_source import read_yaml
from plugway.errors import ConfigError

_OWN = frozenset({"plugins", "virtualServers", "gateway", "audit"})


def read(text: str, *, json: bool) -> Reading:
    """Return a file's tree in plugway's own form, with what was found on the way.

    Raises `ConfigError` for what is not even YAML or JSON.
    """
    if json:
        root = _mapping(read_json(text))
        return _own(root) if _OWN & root.entries.keys() else from_client(root)
    marked = mark(text)
    root = _mapping(read_yaml(marked))
    if is_contextforge(root):
        return from_contextforge(unmark(root))
    return _own(root if marked == text else _mapping(read_yaml(text)))


def _mapping(root: Node) -> Node:
    if not isinstance(root.value, dict):
        raise ConfigError("expected a mapping with `mcpServers`", line=root.line)
    return root


def _own(root: Node) -> Reading:
    entries = {key: node for key, node in root.entries.items() if key != "$schema"}
    return Reading(Node(entries, root.line, root.path))
