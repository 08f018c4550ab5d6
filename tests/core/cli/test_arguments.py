"""Arguments as people type them."""

from typing import Any

import pytest

from plugway.cli.arguments import add_pairs


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "7", "7"),
        ({"type": "string"}, "null", "null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "7", "7"),
        ({"type": ["string", "null"]}, "x", "x"),
        ({"type": "integer"}, "7", 7),
        ({"type": "boolean"}, "true", True),
        ({"type": "array"}, "[1]", [1]),
        ({"type": "integer"}, "seven", "seven"),
        ({}, "7", 7),
        ({}, "Ada", "Ada"),
        (None, "a=b", "a=b"),
    ],
)
def test_the_schema_says_what_a_value_is(schema: Any, text: str, value: Any) -> None:
    properties = {} if schema is None else {"key": schema}
    assert add_pairs({}, [f"key={text}"], {"properties": properties}) == {"key": value}


def test_single_arguments_win_over_the_object() -> None:
    assert add_pairs({"a": 1, "b": 2}, ["b=3"], {}) == {"a": 1, "b": 3}
