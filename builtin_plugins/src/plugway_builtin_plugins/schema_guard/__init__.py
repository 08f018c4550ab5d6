"""Hold tool calls and their results to the schemas that the tool declares."""

from plugway_builtin_plugins.schema_guard.plugin import SchemaGuard

__all__ = ["SchemaGuard"]
