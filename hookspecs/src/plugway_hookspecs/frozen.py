"""JSON values that can't be changed in place, so that sharing them between plugins is safe.

`FrozenDict` and `FrozenList` are real `dict`s and `list`s: `isinstance`, `json.dumps`, orjson and
pydantic treat them as such. Only the methods that change them raise.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Never, Self, final

from plugway_hookspecs.errors import NotJsonError

MAX_DEPTH = 128
"""Levels of nesting; deeper values are refused before they can exhaust the stack."""

_SCALARS = frozenset({str, int, bool, type(None)})
HINT = (
    "payloads are immutable: return payload.replace(...) instead; thaw(value) gives a copy to edit"
)


def _refuse(*_: object, **__: object) -> Never:
    raise TypeError(HINT)


@final
class FrozenDict(dict[str, Any]):
    """A JSON object that can't be changed in place; what it is made of is frozen with it."""

    __slots__ = ()

    def __new__(cls, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> Self:
        """Freeze `items`; raises `NotJsonError` as `freeze` does."""
        frozen: Self = freeze(dict(items))
        return frozen

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        """Do nothing: `dict.__init__` would let anybody add items later."""

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


@final
class FrozenList(list[Any]):
    """A JSON array that can't be changed in place; what it is made of is frozen with it."""

    __slots__ = ()

    def __new__(cls, items: Iterable[Any] = ()) -> Self:
        """Freeze `items`; raises `NotJsonError` as `freeze` does."""
        frozen: Self = freeze(list(items))
        return frozen

    def __init__(self, items: Iterable[Any] = ()) -> None:
        """Do nothing: `list.__init__` would let anybody replace the items later."""

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


_new_dict, _fill_dict = dict.__new__, dict[str, Any].update
_new_list, _fill_list = list.__new__, list[Any].extend


def freeze(value: Any) -> Any:
    """Return `value` as an immutable JSON value; what is frozen already is returned as it is.

    Raises `NotJsonError`, with the path, for whatever JSON can't carry: other types, keys that are
    not strings, NaN and infinities, nesting deeper than `MAX_DEPTH`, cycles.
    """
    try:
        return _freeze(value, 0)
    except NotJsonError as error:
        path = "".join(_locate(value, 0) or ()).removeprefix(".")
        raise NotJsonError(str(error.args[0]).removesuffix(" at the top"), path) from None


def _freeze(value: Any, depth: int) -> Any:
    kind: type[Any] = value.__class__
    if kind in _SCALARS or kind is FrozenDict or kind is FrozenList:
        return value
    if depth >= MAX_DEPTH and issubclass(kind, dict | list | tuple):
        raise NotJsonError(f"more than {MAX_DEPTH} levels of nesting", "")
    if issubclass(kind, dict):
        return _freeze_dict(value, depth + 1)
    if issubclass(kind, list | tuple):
        return _freeze_list(value, depth + 1)
    return _plain(value, kind)


def _freeze_dict(value: dict[Any, Any], depth: int) -> FrozenDict:
    scalars = _SCALARS
    for key in value:
        if type(key) is not str:
            raise NotJsonError(f"a key of type {type(key).__name__}", "")
    frozen = _new_dict(FrozenDict)
    items = {k: v if type(v) in scalars else _freeze(v, depth) for k, v in value.items()}
    _fill_dict(frozen, items)
    return frozen


def _freeze_list(value: Iterable[Any], depth: int) -> FrozenList:
    scalars = _SCALARS
    frozen = _new_list(FrozenList)
    _fill_list(frozen, [v if type(v) in scalars else _freeze(v, depth) for v in value])
    return frozen


def _plain(value: Any, kind: type[Any]) -> Any:
    """Return a scalar as JSON has it, without whatever a subclass adds to it."""
    if issubclass(kind, float):
        if math.isfinite(value):
            return float.__float__(value)
        raise NotJsonError(f"{float.__float__(value)} is not a JSON number", "")
    if issubclass(kind, str):  # enumerations and the like
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    raise NotJsonError(f"a value of type {kind.__name__}", "")


def _locate(value: Any, depth: int) -> list[str] | None:
    """Return the steps to the first place that `_freeze` refuses; only on the way to an error."""
    kind: type[Any] = value.__class__
    if not issubclass(kind, dict | list | tuple) or kind is FrozenDict or kind is FrozenList:
        return None if _is_json(value) else []
    items: Iterable[tuple[str, Any]] = ((f"[{index}]", item) for index, item in enumerate(value))
    if issubclass(kind, dict):
        if any(type(key) is not str for key in value):
            return []
        items = ((f".{key}", item) for key, item in value.items())
    if depth >= MAX_DEPTH:
        return []
    for step, item in items:
        if (found := _locate(item, depth + 1)) is not None:
            return [step, *found]
    return None


def _is_json(value: Any) -> bool:
    try:
        _freeze(value, 0)
    except NotJsonError:
        return False
    return True


EMPTY = FrozenDict()


def thaw(value: Any) -> Any:
    """Return a deep copy of `value` made of plain, changeable dicts and lists."""
    kind: type[Any] = value.__class__
    if issubclass(kind, dict):
        return {key: thaw(item) for key, item in value.items()}
    if issubclass(kind, list | tuple):
        return [thaw(item) for item in value]
    return value
