"""Conditions against a plain, slow reading of what the configuration page says they mean."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from bounds import at_most
from hypothesis import assume, given
from hypothesis import strategies as st

from plugway.config import parse
from plugway.errors import ConfigError
from plugway.executor.conditions import Condition, compile_conditions, impossible
from plugway_hookspecs import Operation, Principal, spellings

READS = {"resources/read", "resources/subscribe"}
ABOUT: dict[str, Collection[str]] = {
    "tools": {"tools/call"},
    "prompts": {"prompts/get"},
    "resources": READS,
    "content_types": READS,
    "agents": (),
}
METHODS = [
    *("tools/call", "prompts/get", "resources/read", "resources/subscribe"),
    *("tools/list", "prompts/list", "resources/list", "completion/complete"),
]

# what a condition means


def glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return any(glob(rest, text[start:]) for start in range(len(text) + 1))
    if not text:
        return False
    if head == "[":
        listed, _, rest = rest.partition("]")
        members = "abc" if listed == "a-c" else listed.removeprefix("!")
        fits = (text[0] in members) is not listed.startswith("!")
    else:
        fits = head in {"?", text[0]}
    return fits and glob(rest, text[1:])


def chosen(wanted: Collection[str], refused: Collection[str], name: str) -> bool:
    return (not wanted or any(glob(pattern, name) for pattern in wanted)) and not any(
        glob(pattern, name) for pattern in refused
    )


def field_holds(field: str, patterns: Sequence[str], operation: Operation) -> bool:
    wanted = {pattern for pattern in patterns if pattern[0] != "!"}
    refused = {pattern[1:] for pattern in patterns if pattern[0] == "!"}
    if not patterns or operation.method not in ABOUT.get(field, METHODS):
        return False
    match field:
        case "resources":
            # the same resource, whichever way the pattern or the request writes it
            wanted = {form for pattern in wanted for form in spellings(pattern)}
            return any(chosen(wanted, refused, form) for form in spellings(operation.name))
        case "content_types":
            mime = (operation.definition or {}).get("mimeType")
            essence = mime.split(";")[0].strip().lower() if isinstance(mime, str) else ""
            if not essence:
                return not impossible(Condition(content_types=tuple(patterns)))
            return chosen({p.lower() for p in wanted}, {p.lower() for p in refused}, essence)
        case "server_ids" | "tenant_ids" | "user_patterns":
            person = operation.principal
            values = {"server_ids": operation.server or None, "tenant_ids": person.tenant}
            value = values.get(field, person.user)
            return chosen(wanted, refused, value) if value is not None else not wanted
        case _:
            return chosen(wanted, refused, operation.name)


def model(conditions: Sequence[Condition], operation: Operation) -> bool:
    return any(
        all(
            field_holds(field, patterns, operation)
            for field, patterns in condition.model_dump(exclude_none=True).items()
        )
        for condition in conditions
    )


# what is generated


def joined(*tokens: str, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(tokens), min_size=1, max_size=most).map("".join)


def lists_of(globs: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Lists that accept, exclude, do both, are empty, or take back what they accept."""
    negated = globs.map("!{}".format)
    return st.one_of(
        st.lists(globs | negated, max_size=4),
        st.lists(globs, max_size=3),
        st.lists(negated, max_size=3),
        st.lists(globs, min_size=1, max_size=2).map(lambda w: [*w, *(f"!{p}" for p in w)]),
        st.lists(globs, min_size=1, max_size=2).map(lambda w: [*w, *(f"!{p[0]}*" for p in w)]),
    ).map(tuple)


WILD = ("*", "?", "[ab]", "[!a]", "[a-c]")
NAMES = joined("a", "b", "c")
GLOBS = joined("a", "b", "c", *WILD)
ROOTS = st.sampled_from(["", "s://", "S://", "s://h/", "s://H/"])
PATHS = ("a", "b", "/", "/..", "/.", "%61", "%2561", "%2F")
URIS = st.builds("{}{}".format, ROOTS, joined(*PATHS, most=5))
URI_GLOBS = st.builds("{}{}".format, ROOTS, joined(*PATHS, *WILD, most=5))
TYPES = st.builds("{}/{}".format, st.sampled_from(["a", "A"]), joined("a", "B", "c"))
TYPE_GLOBS = TYPES | st.builds("{}/{}".format, joined("a", "A", "*"), joined("a", "B", "?", "*"))
LISTED_TYPES = TYPES | st.builds("{}{}".format, TYPES, st.sampled_from([";q=1", " ; x=a/b;", " "]))

NAMED = st.none() | lists_of(GLOBS)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "server_ids": NAMED,
        "tenant_ids": NAMED,
        "tools": NAMED,
        "prompts": NAMED,
        "resources": st.none() | lists_of(URI_GLOBS),
        "agents": NAMED,
        "user_patterns": NAMED,
        "content_types": st.none() | lists_of(TYPE_GLOBS),
    },
).map(Condition.model_validate)
ONE_FIELD = st.one_of(
    st.sampled_from(["server_ids", "tenant_ids", "user_patterns", "tools", "prompts"]).flatmap(
        lambda field: lists_of(GLOBS).map(lambda given: Condition.model_validate({field: given}))
    ),
    lists_of(URI_GLOBS).map(lambda given: Condition(resources=given)),
    lists_of(TYPE_GLOBS).map(lambda given: Condition(content_types=given)),
)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    method = draw(st.sampled_from(METHODS))
    definitions: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {}, optional={"mimeType": LISTED_TYPES | st.sampled_from(["", ";q=1", None, 7])}
    )
    return Operation(
        "1",
        method,
        "" if method.endswith("/list") else draw(URIS if method in READS else NAMES),
        draw(st.just("") | NAMES),
        draw(st.none() | definitions),
        principal=Principal(draw(st.none() | NAMES), draw(st.none() | NAMES)),
    )


# the laws


def matches(conditions: Sequence[Condition], operation: Operation) -> bool:
    predicate = compile_conditions(conditions)
    assert predicate is not None
    first = predicate(operation)
    assert predicate(operation) is first
    return first


@at_most(5_000)
@given(ONE_FIELD, operations())
def test_a_field_means_what_the_page_says(condition: Condition, operation: Operation) -> None:
    assert matches([condition], operation) is model([condition], operation)


@at_most(5_000)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), operations())
def test_conditions_mean_what_the_page_says(
    conditions: list[Condition], operation: Operation
) -> None:
    assert matches(conditions, operation) is model(conditions, operation)


@at_most(5_000)
@given(ONE_FIELD | CONDITIONS, st.lists(operations(), min_size=1, max_size=8))
def test_what_is_called_impossible_matches_no_operation(
    condition: Condition, asked: list[Operation]
) -> None:
    assume(impossible(condition))
    assert not any(matches([condition], operation) for operation in asked)


def loaded(*conditions: Condition) -> tuple[str, ...]:
    """What is noted about a configuration with these conditions."""
    when = [condition.model_dump(exclude_none=True, mode="json") for condition in conditions]
    return parse(f"plugins: [{{name: n, kind: k, when: {when}}}]", env={}).notes


@given(ONE_FIELD | CONDITIONS)
def test_loading_a_configuration_tells_what_is_impossible(condition: Condition) -> None:
    notes = loaded(condition, Condition())
    reasons = impossible(condition)
    assert bool(notes) is bool(reasons)
    if reasons:
        assert notes[0].endswith(f"a condition that never matches: {reasons[0]}")
        with pytest.raises(ConfigError) as caught:
            loaded(condition)
        assert f"would never be called: {reasons[0]}" in str(caught.value)


RESPELL: dict[str, Callable[[str], str]] = {
    "a letter encoded": lambda path: path.replace("a", "%61", 1),
    "a letter encoded twice": lambda path: path.replace("b", "%2562", 1),
    "a slash encoded": lambda path: path.replace("/", "%2F", 1),
    "a way back": lambda path: path.replace("/", "/x/../", 1),
    "an encoded way back": lambda path: path.replace("/", "/x/%2e%2e/", 1),
    "here": lambda path: path.replace("/", "/./", 1),
    "a second slash": lambda path: path.replace("/", "//", 1),
    "a backslash": lambda path: path.replace("/", "\\", 1),
}


@given(
    st.lists(joined("a", "b"), min_size=2, max_size=4).map("/".join),
    st.sampled_from(["s+m://h/", "S+M://h/", "s+m://H/"]),
    st.lists(st.sampled_from(sorted(RESPELL)), max_size=3),
    lists_of(st.just("s+m://h/*") | st.builds("s+m://h/{}".format, GLOBS)),
)
def test_no_spelling_of_a_uri_gets_past_a_condition(
    path: str, root: str, how: list[str], patterns: tuple[str, ...]
) -> None:
    respelled = path
    for step in how:
        respelled = RESPELL[step](respelled)
    plain = Operation("1", "resources/read", f"s+m://h/{path}")
    odd = Operation("1", "resources/read", root + respelled)
    assert matches([Condition(resources=(plain.name,))], odd)
    assert matches([Condition(resources=(odd.name,))], plain)
    if matches([Condition(resources=patterns)], plain):
        assert matches([Condition(resources=patterns)], odd)


@given(lists_of(TYPE_GLOBS), TYPES, st.sampled_from(["", ";q=1", "; charset=UTF-8", " "]))
def test_parameters_and_case_of_a_content_type_make_no_difference(
    patterns: tuple[str, ...], mime: str, rest: str
) -> None:
    def asked(given: str) -> bool:
        operation = Operation("1", "resources/read", "x", definition={"mimeType": given})
        return matches([Condition(content_types=patterns)], operation)

    assert asked(mime.upper() + rest) is asked(mime.lower()) is asked(f" {mime}{rest}")
