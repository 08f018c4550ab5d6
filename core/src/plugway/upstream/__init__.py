"""The gateway's side towards MCP servers."""

from plugway.upstream.errors import ServerTimeoutError
from plugway.upstream.opening import Upstreams, open_pool, open_upstreams
from plugway.upstream.status import UpstreamStatus
from plugway.upstream.upstream import CONNECTED, Upstream

__all__ = [
    "CONNECTED",
    "ServerTimeoutError",
    "Upstream",
    "UpstreamStatus",
    "Upstreams",
    "open_pool",
    "open_upstreams",
]
