"""Read ContextForge's `plugins/config.yaml` as it is."""

from plugway.config.tree import Node

_TOP = frozenset(
    {
        "plugin_dirs",
        "plugin_settings",
        "server_settings",
        "grpc_server_settings",
        "unix_socket_server_settings",
    }
)


def is_contextforge(root: Node) -> bool:
    """Tell whether a file is ContextForge's."""
    return bool(_TOP & root.entries.keys())


def from_contextforge(root: Node) -> tuple[Node, list[str]]:
    """Return the plugins in plugway's own form, and what was ignored."""
    return root, []
