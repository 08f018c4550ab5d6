"""What the fields of a payload may hold, read off their annotations."""

from collections.abc import Collection, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from plugway_hookspecs.errors import NotJsonError
from plugway_hookspecs.frozen import FrozenDict, FrozenList

_TYPES: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    NoneType: (NoneType,),
    Mapping: (FrozenDict,),
    Sequence: (FrozenList,),
}
_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    NoneType: "null",
    FrozenDict: "an object",
    FrozenList: "a list",
}


class Shape(NamedTuple):
    """What one field may hold, once it is frozen."""

    types: frozenset[type]
    of_objects: bool
    """Whether a list here may hold nothing but objects."""

    def check(self, value: Any, field: str) -> None:
        """Raise `NotJsonError` for a value of another type."""
        kind: type[Any] = value.__class__
        if kind not in self.types:
            wanted = " or ".join(_NAMES[each] for each in _NAMES if each in self.types)
            raise NotJsonError(f"{_NAMES[kind]} instead of {wanted}", field)
        if self.of_objects and kind is FrozenList:
            for index, item in enumerate(value):
                if type(item) is not FrozenDict:
                    what = f"{_NAMES[type(item)]} instead of an object"
                    raise NotJsonError(what, f"{field}[{index}]")


_known: dict[type[Any], Mapping[str, Shape]] = {}


def shapes(payload: type[Any]) -> Mapping[str, Shape]:
    """Return the shapes of a payload's fields, without those that may hold anything."""
    found = _known.get(payload)
    if found is None:
        found = _known[payload] = _read(payload)
    return found


def _read(payload: type[Any]) -> Mapping[str, Shape]:
    fields: Collection[str] = payload.__slots__
    hints = get_type_hints(payload)
    found = {name: _shape(hint) for name, hint in hints.items() if name in fields}
    return {name: shape for name, shape in found.items() if shape is not None}


def _shape(hint: Any) -> Shape | None:
    choices = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    types: set[type] = set()
    for choice in choices:
        known = _TYPES.get(get_origin(choice) or choice)
        if known is None:
            return None
        types.update(known)
    items = [get_args(choice)[:1] for choice in choices if get_origin(choice) is Sequence]
    of_objects = [bool(of) and get_origin(of[0]) is Mapping for of in items]
    return Shape(frozenset(types), bool(of_objects) and all(of_objects))
