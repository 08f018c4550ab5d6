import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway_hookspecs import FrozenDict, FrozenList, NotJsonError, freeze, thaw

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NOT_JSON = st.sampled_from([{1}, b"x", object(), 1j, math.nan, math.inf, {1: 2}, {None: 3}])
Path = list[str | int]


def containers(value: Any) -> list[Any]:
    """Every object and array in a value, itself included."""
    if not isinstance(value, dict | list):
        return []
    inner: list[Any] = [*(value.values() if isinstance(value, dict) else value)]
    return [value, *(found for item in inner for found in containers(item))]


def kinds(value: Any) -> set[type]:
    return {type(container) for container in containers(value)}


def written(path: Path) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(steps).removeprefix(".")


@st.composite
def wrapped(draw: st.DrawFn, inside: Any) -> tuple[Any, Path]:
    """Put a value somewhere into containers whose other items are right."""
    value, path = inside, Path()
    for step in draw(st.lists(st.text(min_size=1) | st.integers(0, 3), max_size=6)):
        path.insert(0, step)
        if isinstance(step, int):
            value = [*draw(st.lists(SCALARS, min_size=step, max_size=step)), value]
        else:
            before = draw(st.dictionaries(st.text(), SCALARS, max_size=2))
            value = {**{k: v for k, v in before.items() if k != step}, step: value}
    return value, path


@given(JSON)
def test_freezing_and_thawing_gives_the_value_back(value: Any) -> None:
    before = copy.deepcopy(value)
    again = thaw(freeze(value))
    assert repr(again) == repr(before) == repr(value)
    assert kinds(again) <= {dict, list}


@given(JSON)
def test_a_frozen_value_is_frozen_all_through_and_equals_the_plain_one(value: Any) -> None:
    result = freeze(value)
    assert kinds(result) <= {FrozenDict, FrozenList}
    assert result == value
    assert repr(result) == repr(value)


@given(JSON)
def test_freezing_again_changes_nothing(value: Any) -> None:
    once = freeze(value)
    assert freeze(once) is once


@given(JSON, JSON)
def test_equality_does_not_depend_on_being_frozen(one: Any, other: Any) -> None:
    assert (freeze(one) == freeze(other)) == (freeze(one) == other) == (one == other)
    if one == other:
        assert hash(freeze(one)) == hash(freeze(other))


@given(JSON)
def test_nothing_that_is_done_to_the_source_shows(value: Any) -> None:
    result = freeze(value)
    before = repr(result)
    for container in containers(value):
        container.clear()
    assert repr(result) == before


@given(st.data())
def test_what_is_no_json_is_refused_with_its_path(data: st.DataObject) -> None:
    value, path = data.draw(wrapped(data.draw(NOT_JSON)))
    with pytest.raises(NotJsonError) as caught:
        freeze(value)
    assert caught.value.path == written(path)
