"""Recognise who wrote a configuration, and put it into plugway's own form."""

from plugway.config.clients import from_client
from plugway.config.contextforge import from_contextforge, is_contextforge
from plugway.config.tree import Node
from plugway.errors import ConfigError

_OWN = frozenset({"plugins", "gateway"})


def translate(root: Node, *, json: bool) -> tuple[Node, list[str]]:
    """Return the tree in plugway's own form, and what to say about the translation."""
    if not isinstance(root.value, dict):
        raise ConfigError("expected a mapping with `mcpServers:`", line=root.line)
    if is_contextforge(root):
        return from_contextforge(root)
    if json and not _OWN & root.value.keys():
        return from_client(root)
    entries = {key: node for key, node in root.value.items() if key != "$schema"}
    return Node(entries, root.line, root.path), []
