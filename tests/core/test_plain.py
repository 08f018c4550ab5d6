"""What others said, made fit to be written down."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.plain import plain_text, plain_value


class Speechless:
    """Is no JSON, and has no words for itself."""

    def __repr__(self) -> str:
        raise ValueError


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (2**63 - 1, 2**63 - 1),
        (2**63, hex(2**63)),
        pytest.param(10**6000, hex(10**6000)[:20], id="huge"),
        (b"raw", "<bytes>"),
        (Speechless(), "<Speechless>"),
        (LOOP, [[[[["[…]"]]]]]),
        ({1: {Speechless(): None}}, {"1": {"<Speechless>": None}}),
        ({str(n): n for n in range(51)}, {**{str(n): n for n in range(50)}, "…": "1 more"}),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "…"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_value_becomes_something_that_can_be_written(value: Any, shown: Any) -> None:
    assert plain_value(value, 20) == shown
    orjson.dumps(plain_value(value, 20))


def test_what_should_be_a_text_and_is_none_becomes_one() -> None:
    assert [plain_text(value, 9) for value in (3, None, 2.5, [1])] == ["3", "None", "2.5", "<list>"]


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
KEYS = st.text("abc", max_size=5)
INNER = LEAVES | st.lists(LEAVES, max_size=5) | st.dictionaries(KEYS, LEAVES, max_size=5)
JSON = INNER | st.lists(INNER, max_size=5) | st.dictionaries(KEYS, INNER, max_size=5)


@given(JSON)
def test_of_what_is_small_nothing_is_lost(value: Any) -> None:
    assert plain_value(value, 20) == value
