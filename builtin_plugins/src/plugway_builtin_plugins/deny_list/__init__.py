"""Deny tools, prompts, resources, arguments and content by name, word, glob or pattern."""

from plugway_builtin_plugins.deny_list.plugin import DenyList

__all__ = ["DenyList"]
