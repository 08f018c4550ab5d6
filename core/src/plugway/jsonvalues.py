"""Tell JSON objects and arrays from other values, for the type checkers as well; write them."""

import json
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

import orjson


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def dump(value: Any, *, surrogates: bool = True) -> bytes:
    """Write a JSON value as it goes on the wire.

    Without `surrogates`, halves of surrogate pairs are an error. Raises `ValueError` and
    `TypeError` for what is no JSON.
    """
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:  # integers beyond 64 bits, halves of surrogate pairs
        separators = ",", ":"
        text = json.dumps(value, default=_plain, separators=separators, ensure_ascii=surrogates)
        return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"a {type(value).__name__} is no JSON")
