"""Arguments as people type them, made into what a tool expects."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plugway.cli.app import CommandLineError
from plugway.jsonvalues import is_array, is_object


def read_arguments(
    text: str | None, pairs: Sequence[str], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Join `--args` and all `-a key=value`; the schema says which values are plain strings.

    Raises `CommandLineError` for what can't be read, `OSError` for a file that can't.
    """
    arguments = _read_object(text) if text is not None else {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise CommandLineError(f"-a takes key=value, not {pair!r}")
        arguments[key] = _value(value, _property(schema, key))
    return arguments


def _read_object(text: str) -> dict[str, Any]:
    """Read a JSON object: given as such, in a file (`@file`), or on standard input (`@-`)."""
    place = "--args"
    if text.startswith("@"):
        place = "standard input" if text == "@-" else text[1:]
        text = sys.stdin.read() if text == "@-" else Path(place).read_text(encoding="utf-8")
    try:
        value = json.loads(text)
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
