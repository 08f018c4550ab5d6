"""Search and replace in everything that passes."""

from plugway_builtin_plugins.regex_transform.plugin import RegexTransform

__all__ = ["RegexTransform"]
