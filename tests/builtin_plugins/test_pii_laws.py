from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugway_builtin_plugins.pii_filter import PiiFilter
from plugway_builtin_plugins.pii_filter.detectors import DETECTORS
from plugway_builtin_plugins.pii_filter.folding import fold
from plugway_builtin_plugins.pii_filter.scanner import Scanner, snake_case
from plugway_hookspecs import Context, Deny, Operation, Scope, ToolResult, thaw

SAMPLES = (
    "john@example.com",
    "+1 415-555-0123",
    "(415) 555-0123",
    "123-45-6789",
    "4111 1111 1111 1111",
    "378282246310005",
    "DE89 3704 0044 0532 0130 00",
    "192.168.1.17",
    "2001:db8::1",
    "passport X1234567",
    "born 3 Feb 1980",
    "DOB:1980-02-03",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-ant-" + "x" * 30,
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "postgres://u:pw1234@h",
    "Authorization: Bearer ",
    "用户@例子.公司",
)
PIECES = (
    *("passport", "born", "tel:", "ssn", "phone number is", "1980-02-03", "X1234567"),
    *("[EMAIL]", "[SSN]", "[EMAIL:0123456789ab]", "[CODE:*ab]", "****", "***@", "@", "%40"),
    *("\ud800", "٤١١١", "00", "1", "+", "-", ".", ":", "::", "/", "(", ")", " ", "\n", "[", "]"),
)
piece = (
    st.sampled_from(SAMPLES)
    | st.sampled_from(PIECES)
    | st.text(max_size=3)
    | st.text("0123456789-. ", max_size=12)
)
texts = st.lists(piece, max_size=8).map("".join) | st.lists(piece, max_size=8).map(" ".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**18) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
STRATEGIES = ("redact", "partial", "hash", "remove")
FILTERS = {
    strategy: PiiFilter(
        PiiFilter.Config.model_validate({"mask": strategy, "key": "k" * 16}), name="pii"
    )
    for strategy in STRATEGIES
}
SCANNER = Scanner(DETECTORS)


def mask(value: Any, strategy: str) -> Any:
    """Return structured content masked; the very same object if there was nothing to mask."""
    context = Context(Operation(id="1", method="tools/call"), Scope("pii"))
    answer = FILTERS[strategy].tool_post_invoke(ToolResult(structured_content=value), context)
    with pytest.raises(StopIteration) as done:  # it waits for nobody
        answer.send(None)
    masked = done.value.value
    assert not isinstance(masked, Deny)
    return value if masked is None else masked.structured_content


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(value=values)
@settings(max_examples=150)
def test_masking_twice_is_masking_once(strategy: str, value: Any) -> None:
    once = thaw(mask(value, strategy))
    assert mask(once, strategy) is once


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(text=texts)
@settings(max_examples=150)
def test_nothing_is_found_in_what_was_masked(strategy: str, text: str) -> None:
    assert SCANNER.find(mask([text], strategy)[0]) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(before=texts, sample=st.sampled_from(SAMPLES[:13]), after=texts)
def test_a_sample_on_a_line_of_its_own_never_survives(
    strategy: str, before: str, sample: str, after: str
) -> None:
    assert sample not in mask([f"{before}\n{sample}\n{after}"], strategy)[0].split("\n")


@given(value=values)
def test_structure_survives_masking(value: Any) -> None:
    def outline(value: Any) -> Any:
        kind: type[Any] = value.__class__
        if issubclass(kind, dict):
            return [outline(item) for item in value.values()]
        if issubclass(kind, list):
            return [outline(item) for item in value]
        return "leaf"

    assert outline(mask(value, "redact")) == outline(value)


@given(text=texts)
def test_findings_are_in_order_and_apart(text: str) -> None:
    hits = SCANNER.find(text)
    assert all(one.end <= other.start for one, other in pairwise(hits))
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)


@given(text=texts)
def test_what_is_found_does_not_depend_on_the_order_of_looking(text: str) -> None:
    def found(scanner: Scanner) -> list[tuple[int, int]]:
        return [(hit.start, hit.end) for hit in scanner.find(text) if not hit.clipped]

    assert found(SCANNER) == found(Scanner(DETECTORS))


@given(words=st.lists(st.sampled_from(["plain", "words", "with", "numbers", "12", "x1"])))
def test_clean_values_come_back_as_nothing(words: list[str]) -> None:
    value = {"text": " ".join(words), "list": words}
    for strategy in STRATEGIES:
        assert mask(value, strategy) is value


@given(st.text())
def test_folding_moves_no_character(text: str) -> None:
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("dateOfBirth", "date_of_birth"),
        ("Date-of-birth", "date_of_birth"),
        ("home phone", "home_phone"),
        ("SSN", "ssn"),
        ("customerSSN", "customer_ssn"),
    ],
)
def test_keys_are_compared_in_snake_case(key: str, expected: str) -> None:
    assert snake_case(key) == expected
