"""Answer repeated requests from memory."""

from plugway_builtin_plugins.result_cache.plugin import ResultCache

__all__ = ["ResultCache"]
