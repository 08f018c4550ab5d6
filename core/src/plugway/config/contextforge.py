"""Read ContextForge's `plugins/config.yaml` as it is: its plugins, in plugway's own form."""

import re
import sys
from collections.abc import Mapping

from plugway.config.tree import Node, Reading, Scalar, render
from plugway.plugins.hookcheck import HOOKS
from plugway_hookspecs.context import CAPABILITIES

EQUIVALENTS: Mapping[str, str] = {
    "DenyListPlugin": "deny_list",
    "PIIFilterPlugin": "pii_filter",
    "SchemaGuardPlugin": "schema_guard",
    "SearchReplacePlugin": "regex_transform",
}
"""From the class that a dotted `kind` ends in to the kind that does the same here."""

_TOP = {
    "plugin_dirs": "plugins come from installed packages",
    "plugin_settings": "timeouts are per plugin, and a broken plugin is always an error",
    "server_settings": "it is about their plugin server",
    "grpc_server_settings": "it is about their plugin server",
    "unix_socket_server_settings": "it is about their plugin server",
}
_DESCRIPTIVE = frozenset({"description", "author", "namespace", "version", "tags"})
_IGNORED = {
    "applied_to": "use `when`",
    "max_content_size": "`gateway.max_payload_bytes` is the limit",
}
_OTHER_WIRES = ("grpc", "unix_socket")
_MARKS = frozenset({"hooks", "conditions", "mcp", "applied_to", *_OTHER_WIRES})
_KINDS_ELSEWHERE = frozenset({"isolated_venv", "native", "builtin", "wasm", "PDP"})
_OBSERVING = frozenset({"permissive", "transform", "audit", "fire_and_forget", "background"})


def is_contextforge(root: Node) -> bool:
    """Tell whether a file is ContextForge's, by keys that only it has."""
    if {"mcpServers", "gateway", "audit"} & root.entries.keys():
        return False
    plugins = root.get("plugins")
    return bool(_TOP.keys() & root.entries.keys()) or any(
        _MARKS & plugin.entries.keys() or "." in (_text(plugin, "kind") or "")
        for plugin in (plugins.items if plugins else [])
    )


def from_contextforge(reading: Reading) -> Reading:
    """Return the plugins in plugway's own form, and everything that was ignored.

    A plugin that guards and has no equivalent is an error: a policy that silently does not load is
    no policy.
    """
    root = reading.root
    translation = _Translation(reading)
    entries = {key: node for key, node in root.entries.items() if key not in _TOP}
    plugins = root.get("plugins")
    if plugins is not None and isinstance(plugins.value, list):
        found = [translation.plugin(plugin) for plugin in plugins.items]
        kept: list[Node] = [plugin for plugin in found if plugin is not None]
        entries["plugins"] = Node(kept, plugins.line, plugins.path)
        entries["mcpServers"] = Node(translation.servers, plugins.line, plugins.path)
    for key in sorted(_TOP.keys() & root.entries.keys()):
        reading.notes.append(f"`{key}` is ignored: {_TOP[key]}")
    reading.root = Node(entries, root.line, root.path)
    return reading


class _Translation:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.notes = reading.notes
        self.servers: dict[str, Node] = {}
        self.known: dict[str, str] = {}

    def plugin(self, plugin: Node) -> Node | None:
        """Return one plugin's entry; None where it is left out, which is noted."""
        name = _text(plugin, "name") or render(plugin.path)
        if not isinstance(plugin.value, dict):
            return plugin
        if _text(plugin, "mode") == "disabled":
            self.notes.append(f"the plugin {name!r} is disabled, left out")
            return None
        handled = {"kind", "hooks", "conditions", "mcp", "capabilities", *_OTHER_WIRES}
        entries = {
            key: node
            for key, node in plugin.value.items()
            if key not in handled | _DESCRIPTIVE | _IGNORED.keys() and not _unset(node)
        }
        kind = self._kind(plugin, name)
        if kind is None:
            return None
        entries |= kind | self._conditions(plugin, name) | self._capabilities(plugin, name)
        for key in sorted(_IGNORED.keys() & plugin.value.keys()):
            if not _unset(plugin.value[key]):
                self.notes.append(f"the plugin {name!r}: `{key}` is ignored: {_IGNORED[key]}")
        return Node(entries, plugin.line, plugin.path)

    def _kind(self, plugin: Node, name: str) -> dict[str, Node] | None:
        """Return `kind`, and what follows from it; None for a plugin that is left out."""
        kind = plugin.get("kind")
        if kind is None:
            return {}
        text = kind.text or ""
        if text == "external":
            return self._external(plugin, kind, name)
        last = text.rpartition(".")[2]
        if last in EQUIVALENTS and last != text:
            if not _unset(plugin.entries.get("hooks", Node(None, 0))):
                self.notes.append(f"the plugin {name!r}: `hooks` is ignored: all of its hooks run")
            return {"kind": _like(kind, EQUIVALENTS[last])}
        if "." in text or text in _KINDS_ELSEWHERE:
            self._unloadable(plugin, kind, name, f"the kind {text!r} has no equivalent here")
            return None
        return {"kind": kind}

    def _external(self, plugin: Node, kind: Node, name: str) -> dict[str, Node] | None:
        mcp = plugin.get("mcp")
        if mcp is None or _unset(mcp):
            wires = [key for key in _OTHER_WIRES if plugin.get(key) is not None]
            cause = f"{wires[0]} is not spoken" if wires else "an external plugin needs `mcp`"
            self._unloadable(plugin, kind, name, cause)
            return None
        server, problem = _server(mcp)
        hooks = self._hooks(plugin, name)
        if not problem and hooks is not None and not hooks.items:
            problem = "none of its hooks exists here"
        if problem:
            self._unloadable(plugin, mcp, name, problem)
            return None
        if (config := plugin.get("config")) is not None and not _unset(config):
            self.notes.append(
                f"the plugin {name!r}: `config` is ignored: an external plugin is configured where "
                "it runs"
            )
        remote = {"plugin": plugin.entries.get("name", kind)}
        if hooks is not None:
            remote["hooks"] = hooks
        return {
            "kind": kind,
            "server": _like(mcp, self._register(name, server)),
            "config": Node(remote, mcp.line, mcp.path),
        }

    def _hooks(self, plugin: Node, name: str) -> Node | None:
        """Return those of the hooks that exist here; None where they are not given."""
        given = plugin.get("hooks")
        if given is None or _unset(given):
            return None
        known = [item for item in given.items if item.text in HOOKS]
        if unknown := [str(item.text) for item in given.items if item.text not in HOOKS]:
            self.notes.append(f"the plugin {name!r}: there is no hook {', '.join(unknown)} here")
        return Node(known, given.line, given.path)

    def _register(self, name: str, server: Node) -> str:
        """Add a server and return its name; plugins on the same one share it."""
        content = repr(_plain(server))
        if content not in self.known:
            base = re.sub(r"[^A-Za-z0-9_.-]+|__+", "-", name).strip("-")[:56] or "plugin"
            taken = sum(key == base or key.startswith(f"{base}.") for key in self.servers)
            self.known[content] = f"{base}.{taken}" if taken else base
            self.servers[self.known[content]] = server
        return self.known[content]

    def _unloadable(self, plugin: Node, place: Node, name: str, cause: str) -> None:
        """Note a plugin that only observes; refuse one that guards."""
        if _text(plugin, "mode") in _OBSERVING:
            self.notes.append(f"the plugin {name!r} is left out: {cause}")
        else:
            message = f"{cause}, and the plugin guards: replace it, or set `mode: disabled`"
            self.reading.error(message, place)

    def _conditions(self, plugin: Node, name: str) -> dict[str, Node]:
        given = plugin.get("conditions")
        if given is None or _unset(given):
            return {}
        if not isinstance(given.value, list):
            return {"when": given}
        conditions: list[Node] = []
        for condition in given.items:
            fields = {
                key: _patterns(node, substring=key == "user_patterns")
                for key, node in condition.entries.items()
                if not _unset(node)
            }
            conditions.append(Node(fields, condition.line, condition.path))
            if {"tools", "prompts", "resources"} & fields.keys():
                self.notes.append(
                    f"the plugin {name!r}: conditions name things as clients see them here, such "
                    "as server__tool"
                )
        return {"when": Node(conditions, given.line, given.path)}

    def _capabilities(self, plugin: Node, name: str) -> dict[str, Node]:
        given = plugin.get("capabilities")
        if given is None or _unset(given):
            return {}
        known = [item for item in given.items if item.text in CAPABILITIES]
        if unknown := [str(item.text) for item in given.items if item not in known]:
            self.notes.append(f"the plugin {name!r}: there are no capabilities {unknown} here")
        return {"capabilities": Node(known, given.line, given.path)}


def _server(mcp: Node) -> tuple[Node, str]:
    """Return the entry for `mcpServers`, or why there can't be one."""
    entries = {key: node for key, node in mcp.entries.items() if not _unset(node)}
    for key in ("uds", "tls"):
        if key in entries:
            return mcp, f"`{key}` has no equivalent here"
    proto = (_text(mcp, "proto") or "").upper()
    server = {"expose": _like(mcp, value=False)}
    if proto == "STREAMABLEHTTP" and "url" in entries:
        server["url"] = entries["url"]
    elif proto == "SSE" and "url" in entries:
        server |= {"type": _like(mcp, "sse"), "url": entries["url"]}
    elif proto == "STDIO" and ("cmd" in entries or "script" in entries):
        server |= _program(entries)
        server |= {key: entries[key] for key in ("env", "cwd") if key in entries}
    else:
        return mcp, "`mcp` needs proto STREAMABLEHTTP or SSE with url, or STDIO with script or cmd"
    return Node(server, mcp.line, mcp.path), ""


def _program(entries: Mapping[str, Node]) -> dict[str, Node]:
    if "cmd" in entries and entries["cmd"].items:
        command, *args = entries["cmd"].items
        return {"command": command, "args": Node(args, entries["cmd"].line, entries["cmd"].path)}
    script = entries.get("script", entries.get("cmd", Node(None, 0)))
    interpreters = {"py": sys.executable, "sh": "sh"}
    interpreter = interpreters.get((script.text or "").rpartition(".")[2])
    if interpreter is None:
        return {"command": script}
    return {
        "command": _like(script, interpreter),
        "args": Node([script], script.line, script.path),
    }


def _patterns(node: Node, *, substring: bool) -> Node:
    """Return names, which they compare exactly or as a part, as patterns that mean the same."""
    items: list[Node] = []
    for item in node.items:
        # a leading `!` can't be escaped; `?` matches it too
        text = re.sub(r"([*?[])", r"[\1]", item.text or "")
        text = f"?{text[1:]}" if text.startswith("!") else text
        items.append(_like(item, f"*{text}*" if substring else text))
    return Node(items, node.line, node.path)


def _text(node: Node, key: str) -> str | None:
    child = node.get(key)
    return child.text if child else None


def _unset(node: Node) -> bool:
    return node.value is None or node.value in ([], {})


def _like(node: Node, value: Scalar) -> Node:
    return Node(value, node.line, node.path)


def _plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in sorted(node.value.items())}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value
