"""Count what passes the gateway, for Prometheus."""

from plugway_builtin_plugins.stats.plugin import Stats

__all__ = ["Stats"]
