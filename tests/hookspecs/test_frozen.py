import copy
import json
import math
import pickle
from collections.abc import Callable, Iterator
from enum import Enum, IntEnum, StrEnum
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from plugway_hookspecs import FrozenDict, FrozenList, NotJsonError, freeze, thaw
from plugway_hookspecs.frozen import MAX_DEPTH

DICT_CHANGES: list[Callable[[Any], Any]] = [
    lambda d: d.__setitem__("a", 2),
    lambda d: d.__delitem__("a"),
    lambda d: d.__ior__({"b": 1}),
    lambda d: d.clear(),
    lambda d: d.pop("a"),
    lambda d: d.popitem(),
    lambda d: d.setdefault("b", 1),
    lambda d: d.update(b=1),
    lambda d: setattr(d, "b", 1),
    lambda d: setattr(d, "__class__", dict),
]
LIST_CHANGES: list[Callable[[Any], Any]] = [
    lambda v: v.__setitem__(0, 2),
    lambda v: v.__delitem__(0),
    lambda v: v.__iadd__([1]),
    lambda v: v.__imul__(2),
    lambda v: v.append(1),
    lambda v: v.clear(),
    lambda v: v.extend([1]),
    lambda v: v.insert(0, 1),
    lambda v: v.pop(),
    lambda v: v.remove(1),
    lambda v: v.reverse(),
    lambda v: v.sort(),
    lambda v: setattr(v, "b", 1),
    lambda v: setattr(v, "__class__", list),
]


@pytest.mark.parametrize("change", DICT_CHANGES)
def test_no_method_of_a_frozen_object_changes_it(change: Callable[[Any], Any]) -> None:
    frozen = freeze({"a": 1})
    with pytest.raises((TypeError, AttributeError)):
        change(frozen)
    assert frozen == {"a": 1}


@pytest.mark.parametrize("change", LIST_CHANGES)
def test_no_method_of_a_frozen_array_changes_it(change: Callable[[Any], Any]) -> None:
    frozen = freeze([1, 3])
    with pytest.raises((TypeError, AttributeError)):
        change(frozen)
    assert frozen == [1, 3]


@pytest.mark.parametrize(("value", "other"), [({"a": 1}, {"b": 2}), ([1], [2, 3])])
def test_initialising_a_frozen_container_again_changes_nothing(value: Any, other: Any) -> None:
    frozen = freeze(value)
    frozen.__init__(other)
    assert frozen == value


@pytest.mark.parametrize(("kind", "frozen"), [(dict, FrozenDict), (list, FrozenList)])
def test_every_changing_method_that_python_has_is_known_here(kind: type, frozen: type) -> None:
    harmless = {"copy", "get", "items", "keys", "values", "fromkeys", "count", "index"}
    public = {name for name in dir(kind) if not name.startswith("_")}
    changing = {"__setitem__", "__delitem__", "__ior__", "__iadd__", "__imul__", "__init__"}
    for name in (public - harmless) | (changing & set(dir(kind))):
        assert getattr(frozen, name) is not getattr(kind, name), name


def test_the_message_says_what_to_do_instead() -> None:
    with pytest.raises(TypeError, match=r"return payload\.replace\(\.\.\.\) instead"):
        freeze({"a": 1})["a"] = 2


def test_what_goes_into_a_constructor_is_frozen_too() -> None:
    inner = {"b": [1]}
    frozen = FrozenDict({"a": inner})
    array = FrozenList([inner])
    inner["b"].append(2)
    assert frozen == {"a": {"b": [1]}}
    assert array == [{"b": [1]}]
    assert type(frozen["a"]["b"]) is type(array[0]["b"]) is FrozenList
    with pytest.raises(NotJsonError):
        FrozenDict({"a": object()})


def test_what_is_frozen_already_is_not_copied() -> None:
    frozen = freeze({"a": [1]})
    assert freeze(frozen) is frozen
    assert freeze({"b": frozen})["b"] is frozen


def test_everybody_takes_it_for_plain_json() -> None:
    value = {"a": [1, {"b": None}], "c": True}
    frozen = freeze(value)
    assert isinstance(frozen, dict)
    assert isinstance(frozen["a"], list)
    assert frozen == value
    assert json.loads(json.dumps(frozen)) == value
    assert orjson.loads(orjson.dumps(frozen)) == value
    assert TypeAdapter(dict[str, Any]).validate_python(frozen, strict=True) == value


@pytest.mark.parametrize("copier", [copy.deepcopy, thaw, copy.copy])
def test_a_copy_can_be_edited(copier: Callable[[Any], Any]) -> None:
    frozen = freeze({"a": [1]})
    edited = copier(frozen)
    edited["b"] = 2
    assert frozen == {"a": [1]}
    assert type(edited) is dict


def test_a_deep_copy_can_be_edited_all_through() -> None:
    frozen = freeze([{"a": [1]}])
    for edited in (copy.deepcopy(frozen), thaw(frozen)):
        edited[0]["a"].append(2)
    assert frozen == [{"a": [1]}]


def test_pickling_keeps_it_frozen() -> None:
    again = pickle.loads(pickle.dumps(freeze({"a": [{"b": 1}]})))
    assert again == {"a": [{"b": 1}]}
    assert type(again["a"][0]) is FrozenDict


def test_equal_values_hash_equally() -> None:
    assert hash(freeze({"a": [1], "b": 2})) == hash(freeze({"b": 2, "a": [1]}))
    assert len({freeze([1, {"a": 2}]), freeze([1, {"a": 2}])}) == 1


class Colour(StrEnum):
    RED = "red"


class Old(str, Enum):  # noqa: UP042 - what plugins had before StrEnum
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Real(float):
    pass


@pytest.mark.parametrize(
    ("value", "plain"), [(Colour.RED, "red"), (Old.RED, "red"), (Number.ONE, 1), (Real(1.5), 1.5)]
)
def test_a_scalar_of_a_subclass_becomes_the_plain_scalar_it_stands_for(
    value: object, plain: object
) -> None:
    frozen = freeze([value])[0]
    assert frozen == plain
    assert type(frozen) is type(plain)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1}}, "a value of type set at a"),
        ({"a": [0, {"b": object()}]}, "a value of type object at a[1].b"),
        ([b"x"], "a value of type bytes at [0]"),
        (object(), "a value of type object at the top"),
        ({"a": {1: 2}}, "a key of type int at a"),
        ({None: 2}, "a key of type NoneType at the top"),
        ({"a": math.nan}, "nan is not a JSON number at a"),
        ([[-math.inf]], "-inf is not a JSON number at [0][0]"),
        ({"a": Real("inf")}, "inf is not a JSON number at a"),
    ],
)
def test_what_json_cannot_carry_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        freeze(value)
    assert str(caught.value) == message
    assert message.endswith(f" at {caught.value.path or 'the top'}")


@pytest.mark.parametrize("bottom", [1, 1.5, "x", None])
def test_nesting_has_a_limit_whatever_is_at_the_bottom(bottom: object) -> None:
    value: Any = bottom
    for _ in range(MAX_DEPTH):
        value = [value]
    freeze(value)
    with pytest.raises(NotJsonError, match=f"more than {MAX_DEPTH} levels of nesting") as caught:
        freeze([value])
    assert caught.value.path == "[0]" * MAX_DEPTH


def test_a_cycle_is_refused_like_endless_nesting() -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = cycle
    with pytest.raises(NotJsonError, match="levels of nesting"):
        freeze(cycle)


def test_the_place_of_a_mistake_is_found_in_one_pass() -> None:
    passes = 0

    class Counted(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            nonlocal passes
            passes += 1
            return super().__iter__()

    value: Any = [Counted(["x"]), object()]
    for _ in range(MAX_DEPTH - 10):
        value = [value]
    with pytest.raises(NotJsonError, match="a value of type object"):
        freeze(value)
    assert passes == 2  # freezing it, then looking for the mistake
