"""The difference between two payloads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.cli.changes import changes, excerpts, payload_changes
from plugway_hookspecs import ToolCall, ToolResult

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def documents(before: Any, after: Any) -> list[dict[str, Any]]:
    return [change.document() for change in changes("", before, after)]


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert documents(value, value) == []


@given(JSON, JSON)
def test_what_differs_has_at_least_one_change(before: Any, after: Any) -> None:
    same = repr(before) == repr(after)
    assert bool(documents(before, after)) is not same or before == after


def test_a_change_is_named_by_its_path() -> None:
    before = ToolCall("t", {"a": {"b": [1, {"c": "x"}]}, "gone": 1})
    after = ToolCall("t", {"a": {"b": [1, {"c": "y"}]}, "new": None})
    assert [change.document() for change in payload_changes(before, after)] == [
        {"path": "arguments.a.b[1].c", "before": "x", "after": "y"},
        {"path": "arguments.gone", "before": 1},
        {"path": "arguments.new", "after": None},
    ]


def test_an_item_that_is_taken_out_of_a_list_is_one_change() -> None:
    blocks = [{"type": "text", "text": str(number)} for number in range(4)]
    before, after = ToolResult(blocks), ToolResult(blocks[:1] + blocks[2:])
    (change,) = payload_changes(before, after)
    assert change.document() == {"path": "content[1]", "before": {"type": "text", "text": "1"}}


def test_true_is_not_1() -> None:
    assert documents(True, 1) == [{"path": "", "before": True, "after": 1}]


def test_of_a_long_text_only_the_parts_that_changed_are_shown() -> None:
    words = [f"word{number}" for number in range(200)]
    changed = [*words[:50], "HERE", *words[51:150], "THERE", *words[151:]]
    parts = excerpts(" ".join(words), " ".join(changed))
    assert len(parts) == 2
    (old, new), (_, second) = parts
    assert "word50" in old
    assert "HERE" in new
    assert "THERE" in second
    assert all(len(text) < 100 for part in parts for text in part)


@pytest.mark.parametrize("change", [0, 30_000, 59_999])
def test_the_excerpt_of_a_huge_text_has_the_change(change: int) -> None:
    before = "a, " * 20_000
    after = f"{before[:change]}#{before[change + 1 :]}"
    ((old, new),) = excerpts(before, after)
    assert (old, new) == (f"…{before[change]}…", "…#…")
