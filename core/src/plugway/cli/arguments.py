"""Arguments as people type them, made into what a tool expects."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plugway.cli.app import CommandLineError
from plugway.jsonvalues import is_array, is_object


def add_pairs(
    arguments: Mapping[str, Any], pairs: Sequence[str], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Add all `-a key=value` to the arguments; the schema says which values are plain strings.

    Raises `CommandLineError` for what is no pair.
    """
    joined = dict(arguments)
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise CommandLineError(f"-a takes key=value, not {pair!r}")
        joined[key] = _value(value, _property(schema, key))
    return joined


def read_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object: given as such, in a file (`@file`), or on standard input (`@-`).

    Raises `CommandLineError` for what is no object, `OSError` for a file that can't be read.
    """
    if text is None:
        return {}
    place, content = "--args", text
    if text == "@-":
        place, content = "standard input", sys.stdin.read()
    elif text.startswith("@"):
        place = text[1:]
        content = Path(place).read_text(encoding="utf-8")
    try:
        value = json.loads(content)
    except ValueError as error:
        raise CommandLineError(f"{place} is not JSON: {error}") from None
    if not is_object(value):
        raise CommandLineError(f'{place} must be a JSON object, such as \'{{"name": "Ada"}}\'')
    return value


def _property(schema: Mapping[str, Any], key: str) -> Any:
    properties = schema.get("properties")
    return properties.get(key) if is_object(properties) else None


def _value(text: str, schema: Any) -> Any:
    types = _types(schema)
    if "string" in types and not (text == "null" and "null" in types):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _types(schema: Any) -> set[str]:
    """Return the JSON types that a schema names, at its top or in its alternatives."""
    if not is_object(schema):
        return set()
    named = schema.get("type", [])
    types = {named} if isinstance(named, str) else set(named)
    for key in ("anyOf", "oneOf"):
        if is_array(alternatives := schema.get(key)):
            types |= {each for one in alternatives for each in _types(one)}
    return types
