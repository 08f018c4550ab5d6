"""Mask or block personal data and credentials."""

from plugway_builtin_plugins.pii_filter.hooks import PiiFindings, PiiHooks
from plugway_builtin_plugins.pii_filter.plugin import PiiFilter

__all__ = ["PiiFilter", "PiiFindings", "PiiHooks"]
