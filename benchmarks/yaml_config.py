"""The gateways that are measured: their configurations, and a kind for them to find."""

import json
from pathlib import Path
from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "plugway": [],
    "plugway 10 no-op": [{"name": f"noop{i}", "kind": "bench_noop"} for i in range(10)],
    "plugway pii": [{"name": "pii", "kind": "pii_filter"}],
}


def plugin_path(folder: Path, here: Path) -> dict[str, str]:
    """Make the no-op kind discoverable, and return the environment for it."""
    metadata = folder / "bench_noop-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-noop\nVersion: 1.0\n")
    entry = "[plugway.plugins.v1]\nbench_noop = noop_plugin:NoOp\n"
    (metadata / "entry_points.txt").write_text(entry)
    return {"PYTHONPATH": f"{folder}:{here}"}


def write(folder: Path, name: str, upstream: int, port: int, plugins: list[dict[str, Any]]) -> Path:
    """Write one gateway's configuration (JSON is YAML) and return its path."""
    path = folder / f"{name.replace(' ', '-')}.yaml"
    config = {
        "mcpServers": {"up": {"url": f"http://127.0.0.1:{upstream}/mcp"}},
        "plugins": plugins,
        "gateway": {"port": port},
    }
    path.write_text(json.dumps(config))
    return path
