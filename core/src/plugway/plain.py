"""Make what others said fit to be written down: JSON, encodable, and not too long."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

MAX_DEPTH = 5
MAX_ITEMS = 50
MAX_INTEGER = 2**63


def plain_text(value: Any, limit: int) -> str:
    """Return a text of at most `limit` characters that can be encoded, whatever the value is."""
    text = value if isinstance(value, str) else str(plain_number(value, limit))
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    elif text.isascii():
        return text
    # a lone surrogate, as `json.loads` makes one of "\ud800", is in no encoding
    return text.encode(errors="backslashreplace").decode()


def plain_number(value: Any, limit: int) -> Any:
    """Return a number, a flag or nothing as it is; for any other object its type, in words."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        if -MAX_INTEGER <= value < MAX_INTEGER:
            return value
        return hex(value)[:limit]  # `str` refuses integers of thousands of digits
    return f"<{type(value).__name__}>"


def plain_value(value: Any, limit: int, depth: int = MAX_DEPTH) -> Any:
    """Return a JSON value, cut to a few items and levels; texts have at most `limit` characters."""
    if isinstance(value, str):
        return plain_text(value, limit)
    if _is_mapping(value):
        return _object(value, limit, depth - 1) if depth else "{…}"
    if _is_sequence(value):
        return _array(value, limit, depth - 1) if depth else "[…]"
    return plain_number(value, limit)


def _object(value: Mapping[Any, Any], limit: int, depth: int) -> dict[str, Any]:
    shown = list(value.items())[:MAX_ITEMS]
    plain = {plain_text(key, limit): plain_value(item, limit, depth) for key, item in shown}
    if len(value) > len(shown):
        plain["…"] = f"{len(value) - len(shown)} more"
    return plain


def _array(value: Sequence[Any], limit: int, depth: int) -> list[Any]:
    shown = value[:MAX_ITEMS]
    more = len(value) - len(shown)
    return [
        *(plain_value(item, limit, depth) for item in shown),
        *([f"… {more} more"] if more else []),
    ]


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
