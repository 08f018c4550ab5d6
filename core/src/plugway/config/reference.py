"""The configuration's JSON Schema, for editors and for the reference."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from plugway.config.document import Config

_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}
_ABOUT = ("title", "description", "default")
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs"})
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties"})
_NOT_TEXT = frozenset({"integer", "number", "boolean"})


def schema(kinds: Mapping[str, type[BaseModel]] | None = None) -> dict[str, Any]:
    """Return the JSON Schema of the configuration, with `${VAR}` allowed for any scalar.

    With `kinds`, from the name of a plugin kind to its `Config`, editors also complete and check
    what is under `config:`.
    """
    top = _with_references(Config.model_json_schema(by_alias=True))
    top["properties"]["$schema"] = {"type": "string"}
    definitions = top["$defs"]
    rules: list[dict[str, Any]] = []
    for kind, model in sorted((kinds or {}).items()):
        reference = f"#/$defs/{kind}.config/$defs/"
        own = model.model_json_schema(by_alias=True, ref_template=reference + "{model}")
        definitions[f"{kind}.config"] = _with_references(own)
        then = {"properties": {"config": {"$ref": f"#/$defs/{kind}.config"}}}
        rules.append({"if": {"properties": {"kind": {"const": kind}}}, "then": then})
    if rules:
        definitions["PluginEntry"]["allOf"] = rules
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top}


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") in _NOT_TEXT or "enum" in schema:
        kept: dict[str, Any] = {key: schema[key] for key in _ABOUT if key in schema}
        rest = {key: value for key, value in schema.items() if key not in kept}
        return {**kept, "anyOf": [rest, _REFERENCE]}
    return {key: _walk(key, value) for key, value in schema.items()}


def _walk(keyword: str, value: Any) -> Any:
    """Visit the schemas under one keyword of a schema; what isn't a schema stays as it is."""
    if keyword in _NAMED_SCHEMAS:
        schemas: dict[str, dict[str, Any]] = value
        return {name: _with_references(schema) for name, schema in schemas.items()}
    if keyword in _SCHEMA_LISTS:
        options: list[dict[str, Any]] = value
        return [_with_references(option) for option in options]
    if keyword in _SCHEMAS and isinstance(value, dict):
        return _with_references(cast("dict[str, Any]", value))
    return value
