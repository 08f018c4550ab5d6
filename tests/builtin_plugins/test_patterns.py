from typing import Any

import pytest
import re2  # type: ignore[import-untyped]

from plugway_builtin_plugins import patterns
from plugway_builtin_plugins.patterns import (
    Pattern,
    PatternError,
    TooSlowError,
    compile_pattern,
)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(?=x)y", "lookaround is not supported"),
        ("(?<!x)y", "lookaround is not supported"),
        (r"(a)\1", "backreferences are not supported"),
        (r"a\Z", r"write \z for the end of the text"),
        ("(", "missing )"),
        ("a{1001}", "invalid repetition size"),
    ],
)
def test_what_can_not_be_matched_in_linear_time_is_refused_with_the_reason(
    source: str, reason: str
) -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern(source)
    assert repr(source) in str(refused.value)
    assert reason in str(refused.value)


def test_a_pattern_that_grows_too_large_is_refused() -> None:
    with pytest.raises(PatternError, match=r"too large \(\d+ instructions"):
        compile_pattern(r"\pL{100}")


def test_a_long_pattern_is_not_repeated_in_full() -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern("(" + "x" * 500)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("source", [r"(a+)+$", r"(a|a)*b", r"(.*a){20}", r"(x+x+)+y"])
def test_patterns_that_make_backtracking_engines_hang_just_fail_to_match(source: str) -> None:
    text = ("a" * 5_000 + "x" * 5_000 + "!") * 3
    assert not compile_pattern(source).fullmatch(text)


def test_finding_all_matches_is_given_up_when_it_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patterns, "MAX_SECONDS", -1.0)
    with pytest.raises(TooSlowError, match="too slow on 4 characters"):
        list(compile_pattern("a.*b|a").finditer("aaaa"))


def test_lone_surrogates_do_not_stop_a_search() -> None:
    pattern = Pattern("b")
    text = "a\ud800b"
    assert pattern.search(text)
    assert [match.start() for match in pattern.finditer(text)] == [2]
    assert Pattern("a.b").fullmatch(text)


def test_groups_are_known_by_number_and_name() -> None:
    pattern = Pattern("(?P<first>a)(b)")
    assert (pattern.groups, pattern.names) == (2, {"first": 1})
    assert Pattern("(a)(b)", captures=False).groups == 0


@pytest.mark.parametrize(
    ("source", "text", "spans"),
    [
        ("x*", "axb", [(0, 0), (1, 2), (2, 2), (3, 3)]),
        (r"\b", "ab c", [(0, 0), (2, 2), (3, 3), (4, 4)]),
        ("(?m)^", "a\nb", [(0, 0), (2, 2)]),
        ("", "é", [(0, 0), (1, 1)]),
    ],
)
def test_empty_matches_are_found_once(source: str, text: str, spans: list[tuple[int, int]]) -> None:
    found = [(match.start(), match.end()) for match in Pattern(source).finditer(text)]
    assert found == spans


def test_the_library_keeps_no_pattern_that_nobody_has_any_more() -> None:
    Pattern("kept?")
    make: Any = vars(re2)["_Regexp"]._make
    assert make.cache_info().currsize == 0
