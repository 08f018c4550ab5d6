"""Write docs/configuration.md from the configuration's own models; run it without arguments."""

import json
from pathlib import Path
from typing import Any

from plugway.config import schema

TARGET = Path(__file__).parent.parent / "docs" / "configuration.md"

HEAD = """\
# Configuration

One file, YAML (or a client's `mcpServers` JSON as it is). This page is made from the models in
`core/src/plugway/config/`; `plugway schema` prints the same as JSON Schema, and
`plugway init` writes a file to start from. [reloading.md](reloading.md) tells what happens when
it changes while the gateway runs.

Durations are seconds, or `250ms`, `2s`, `1m`, `1h`; sizes are bytes, or `512KiB`, `4MiB`.
`${VAR}`, `${VAR:-default}` and `${file:/path}` may stand in any value; `$$` is a plain `$`.
"""

SECTIONS = [
    ("ServerConfig", "Servers", "Under `mcpServers:`, by name."),
    (
        "VirtualServer",
        "Virtual servers",
        "Under `virtualServers:`, by name; [endpoints.md](endpoints.md) tells what they are.",
    ),
    ("PluginEntry", "Plugins", "A list under `plugins:`."),
    ("Condition", "Conditions", "Under a plugin's `when:`; any of several must match."),
    ("GatewayConfig", "Gateway", "Under `gateway:`."),
    ("AuditConfig", "Audit", "Under `audit:`; [audit.md](audit.md) tells what it is."),
]


def render() -> str:
    """Return the page."""
    definitions = schema()["$defs"]
    parts = [HEAD]
    for name, title, intro in SECTIONS:
        rows = [_row(key, value) for key, value in definitions[name]["properties"].items()]
        table = ["| key | default | |", "|---|---|---|", *rows]
        parts.append("\n".join([f"## {title}\n", f"{intro}\n", *table]) + "\n")
    return "\n".join(parts)


def _row(key: str, value: dict[str, Any]) -> str:
    default = value.get("default")
    shown = "" if default in (None, [], {}) else f"`{json.dumps(default).strip(chr(34))}`"
    meaning = " ".join(value.get("description", "").split()).replace("|", "\\|")
    return f"| `{key}` | {shown} | {meaning} |"


if __name__ == "__main__":
    TARGET.write_text(render())
