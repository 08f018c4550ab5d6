"""What configures the proxies that are measured, and a kind of plugin for them to find."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  client_max_body_size 0;
  keepalive_requests 1000000000;
  upstream up {{
    server 127.0.0.1:{upstream};
    keepalive 512;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def noops(count: int) -> list[dict[str, Any]]:
    return [{"name": f"noop{number}", "kind": "bench_noop"} for number in range(count)]


def plugin_path(folder: Path, here: Path) -> dict[str, str]:
    """Make the no-op kind discoverable, and return the environment for it."""
    metadata = folder / "bench_noop-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-noop\nVersion: 1.0\n")
    entry = "[plugway.plugins.v1]\nbench_noop = noop_plugin:NoOp\n"
    (metadata / "entry_points.txt").write_text(entry)
    return {"PYTHONPATH": f"{folder}:{here}"}


def write(
    path: Path,
    servers: Mapping[str, Any],
    plugins: Sequence[Mapping[str, Any]],
    gateway: Mapping[str, Any],
) -> Path:
    """Write one gateway's configuration (JSON is YAML) and return its path."""
    config = {"mcpServers": servers, "plugins": plugins, "gateway": gateway}
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def write_nginx(path: Path, upstream: int, port: int) -> Path:
    """Write what makes nginx a plain reverse proxy that keeps its connections; return the path."""
    user = "user root;" if os.geteuid() == 0 else ""  # or its worker can't enter the folder
    text = NGINX.format(folder=path.parent, user=user, upstream=upstream, port=port)
    path.write_text(text, encoding="utf-8")
    return path
