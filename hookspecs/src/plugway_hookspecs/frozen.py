"""JSON values that can't be changed in place, so that sharing them between plugins is safe.

`FrozenDict` and `FrozenList` are real `dict`s and `list`s: `isinstance`, `json.dumps`, orjson and
pydantic treat them as such. Only the methods that change them raise.
"""

import math
from typing import Any, Never

from plugway_hookspecs.errors import NotJsonError

MAX_DEPTH = 128
"""Levels of nesting; deeper values are refused before they can exhaust the stack."""

_SCALARS = frozenset({str, int, bool, type(None)})
_HINT = (
    "payloads are immutable: return payload.replace(...) instead; thaw(value) gives a copy to edit"
)


def _refuse(*_: object, **__: object) -> Never:
    raise TypeError(_HINT)


class FrozenDict(dict[str, Any]):
    """A JSON object that can't be changed in place."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return {key: thaw(item) for key, item in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A JSON array that can't be changed in place."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = _refuse
    reverse = sort = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: object) -> list[Any]:
        return [thaw(item) for item in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)


EMPTY = FrozenDict()


def freeze(value: Any) -> Any:
    """Return `value` as an immutable JSON value; what is frozen already is returned as it is.

    Raises `NotJsonError`, with the path, for whatever JSON can't carry: other types, keys that are
    not strings, NaN and infinities, nesting deeper than `MAX_DEPTH`, cycles.
    """
    try:
        return _freeze(value, 0)
    except NotJsonError as error:
        raise NotJsonError(str(error.args[0]).removesuffix(" at the top"), _locate(value)) from None


def _freeze(value: Any, depth: int) -> Any:
    kind: type[Any] = value.__class__
    if kind in _SCALARS or kind is FrozenDict or kind is FrozenList:
        return value
    if depth >= MAX_DEPTH:
        raise NotJsonError(f"more than {MAX_DEPTH} levels of nesting", "")
    if issubclass(kind, dict):
        return _freeze_dict(value, depth + 1)
    if issubclass(kind, list | tuple):
        scalars = _SCALARS
        return FrozenList([v if type(v) in scalars else _freeze(v, depth + 1) for v in value])
    if issubclass(kind, float):
        if math.isfinite(value):
            return value
        raise NotJsonError(f"{value} is not a JSON number", "")
    if issubclass(kind, str):  # StrEnum and the like
        return str(value)
    if issubclass(kind, int):
        return int(value)
    raise NotJsonError(f"a value of type {kind.__name__}", "")


def _freeze_dict(value: dict[Any, Any], depth: int) -> FrozenDict:
    scalars = _SCALARS
    for key in value:
        if type(key) is not str:
            raise NotJsonError(f"a key of type {type(key).__name__}", "")
    return FrozenDict({k: v if type(v) in scalars else _freeze(v, depth) for k, v in value.items()})


def _locate(value: Any, path: str = "", depth: int = 0) -> str:
    """Name the place in `value` that `_freeze` refuses; runs only on the way to an error."""
    kind: type[Any] = value.__class__
    items: list[tuple[str, Any]] = []
    if issubclass(kind, dict):
        items = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif issubclass(kind, list | tuple):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    for place, item in items:
        try:
            _freeze(item, depth + 1)
        except NotJsonError:
            return path if depth >= MAX_DEPTH else _locate(item, place, depth + 1)
    return path


def thaw(value: Any) -> Any:
    """Return a deep copy of `value` made of plain, changeable dicts and lists."""
    kind: type[Any] = value.__class__
    if issubclass(kind, dict):
        return {key: thaw(item) for key, item in value.items()}
    if issubclass(kind, list | tuple):
        return [thaw(item) for item in value]
    return value
