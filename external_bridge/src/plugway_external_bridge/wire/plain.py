"""Narrowing JSON values that come from elsewhere."""

from typing import Any, TypeGuard


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def object_or_none(value: object) -> dict[str, Any] | None:
    """Return a JSON object as it is, and None for anything else."""
    return value if _is_object(value) else None


def list_or_none(value: object) -> list[Any] | None:
    """Return a JSON array as it is, and None for anything else."""
    return value if _is_list(value) else None


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return object_or_none(value) or {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array as it is, and an empty one for anything else."""
    return list_or_none(value) or []
