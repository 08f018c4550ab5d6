"""Read the JSON files in which MCP clients keep their servers, unchanged."""

import re

from plugway.config.models import ServerConfig
from plugway.config.tree import Node, Reading
from plugway.errors import ConfigError

_KNOWN = frozenset(ServerConfig.model_fields)
_TYPES = {
    "streamableHttp": "streamable-http",
    "streamable_http": "streamable-http",
    "local": "stdio",
    "remote": "http",
}
_URLS = ("serverUrl", "httpUrl")


def from_client(root: Node) -> Reading:
    """Return the servers in plugway's own form, and what was left out or read differently."""
    servers = _servers(root)
    reading = Reading(root)
    notes = reading.notes
    ignored = sorted(key for key in root.entries if root.entries[key] is not servers)
    ignored = [key for key in ignored if key not in {"$schema", "mcp"}]
    if ignored:
        notes.append(f"{', '.join(ignored)}: not about servers, ignored")
    entries: dict[str, Node] = {}
    for name, server in servers.entries.items():
        if (server.get("disabled") or Node(False, 0)).value is True:
            notes.append(f"the server {name!r} is disabled, left out")
            continue
        valid = _valid_name(name, notes)
        if valid in entries:
            reading.error(f"is called {valid!r} here, which is taken: rename one", server)
        entries[valid] = _server(name, server, notes)
    block = Node(entries, servers.line, servers.path)
    reading.root = Node({"mcpServers": block}, root.line, root.path)
    return reading


def _servers(root: Node) -> Node:
    """Find the block: `mcpServers`, or VS Code's `servers`, alone or in its settings."""
    settings = root.get("mcp") or root
    for found in (root.get("mcpServers"), root.get("servers"), settings.get("servers")):
        if found is not None:
            if not isinstance(found.value, dict):
                raise ConfigError("expected an object of servers", line=found.line)
            return found
    raise ConfigError("has no `mcpServers` (or, for VS Code, `servers`)", line=root.line)


def _valid_name(name: str, notes: list[str]) -> str:
    valid = re.sub(r"[^A-Za-z0-9_.-]+|__+", "-", name).strip("-")[:64]
    if valid and valid != name:
        notes.append(f"the server {name!r} is called {valid!r} here, as tool names allow it")
    return valid or name


def _server(name: str, server: Node, notes: list[str]) -> Node:
    if not isinstance(server.value, dict):
        return server
    entries = dict(server.value)
    entries.pop("disabled", None)
    for key in _URLS:
        if key in entries and "url" not in entries:
            entries["url"] = entries.pop(key)
    kind = entries.get("type")
    if kind is not None and kind.text in _TYPES:
        entries["type"] = Node(_TYPES[kind.text], kind.line, kind.path)
    ignored = sorted(entries.keys() - _KNOWN)
    timeout = entries.get("timeout")
    if timeout is not None and timeout.text is None:
        ignored.append("timeout")
        notes.append(
            f"the server {name!r}: a bare number in `timeout` is ignored, as clients disagree "
            'about its unit; write "30s"'
        )
    unknown = [key for key in ignored if key != "timeout"]
    if unknown:
        notes.append(f"the server {name!r}: {', '.join(unknown)} ignored, no meaning for a gateway")
    kept = {key: node for key, node in entries.items() if key not in ignored}
    return Node(kept, server.line, server.path)
