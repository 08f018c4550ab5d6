"""Read JSON values that come from outside, and so may have any shape."""

from collections.abc import Mapping
from typing import Any, cast


def as_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def as_strings(value: Any) -> list[str]:
    """Return the strings in a JSON array; none for anything else."""
    if not isinstance(value, list):
        return []
    return [item for item in cast("list[object]", value) if isinstance(item, str)]


def as_number(value: Any) -> float | None:
    """Return a JSON number as it is (integers stay integers), and None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
