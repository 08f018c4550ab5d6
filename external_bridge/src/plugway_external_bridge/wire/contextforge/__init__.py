"""The second generation of ContextForge's external plugin protocol: three tools on an MCP server.

`get_plugin_configs` and `get_plugin_config` describe the plugins, `invoke_hook` calls one. Its
payloads name things differently from MCP, and each reply is JSON inside a text block.
"""

from plugway_external_bridge.wire.contextforge.configs import (
    HOOK_NAMES,
    PluginDescription,
    plugin_to_wire,
    read_plugin,
)
from plugway_external_bridge.wire.contextforge.payloads import decode, encode, named
from plugway_external_bridge.wire.contextforge.replies import (
    Reply,
    error_to_wire,
    parse,
    read_reply,
    read_violation,
    reply_to_wire,
    violation_to_wire,
)

GET_CONFIGS = "get_plugin_configs"
GET_CONFIG = "get_plugin_config"
INVOKE_HOOK = "invoke_hook"

__all__ = [
    "GET_CONFIG",
    "GET_CONFIGS",
    "HOOK_NAMES",
    "INVOKE_HOOK",
    "PluginDescription",
    "Reply",
    "decode",
    "encode",
    "error_to_wire",
    "named",
    "parse",
    "plugin_to_wire",
    "read_plugin",
    "read_reply",
    "read_violation",
    "reply_to_wire",
    "violation_to_wire",
]
