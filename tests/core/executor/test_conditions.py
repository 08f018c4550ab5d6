import fnmatch
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugway.executor.conditions import Condition, compile_conditions, compile_patterns, impossible
from plugway_hookspecs import Operation, Principal


def call(name: str = "crm__lookup", **fields: Any) -> Operation:
    return Operation("1", "tools/call", name, **fields)


def read(uri: str = "crm+file:///x", **fields: Any) -> Operation:
    return Operation("1", "resources/read", uri, **fields)


def matches(operation: Operation, *conditions: Condition) -> bool:
    predicate = compile_conditions(conditions)
    assert predicate is not None
    return predicate(operation)


def test_no_conditions_need_no_predicate() -> None:
    assert compile_conditions([]) is None


def test_an_empty_condition_always_matches() -> None:
    assert matches(Operation("1", "tools/list"), Condition())


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("crm__lookup", "crm__lookup", True),
        ("crm__lookup", "crm__lookups", False),
        ("crm__*", "crm__lookup", True),
        ("crm__*", "crm__", True),
        ("crm__*", "erp__lookup", False),
        ("*", "anything", True),
        ("*__delete", "crm__delete", True),
        ("*__delete", "crm__delete_all", False),
        ("crm__?et", "crm__get", True),
        ("crm__[gs]et", "crm__set", True),
        ("crm__[!gs]et", "crm__set", False),
        ("CRM__*", "crm__lookup", False),
        ("a*b*c", "a1b2c", True),
        ("a*b*c", "a1c2b", False),
        ("crm__*", "x\ncrm__lookup", False),
        ("*lookup", "crm__\nlookup", True),
        ("**", "anything", True),
        ("?*", "a", True),
        ("?*", "", False),
        ("a?*", "abc", True),
        ("a?*", "a", False),
        ("[*", "[a", True),
        ("[*", "a", False),
    ],
)
def test_names_are_matched_as_globs(pattern: str, name: str, expected: bool) -> None:
    assert matches(call(name), Condition(tools=(pattern,))) is expected


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["a", "b*"], "b1", True),
        (["a", "b*"], "a", True),
        (["a", "b*"], "c", False),
        (["a", "b*", "*c"], "a", True),
        (["a", "b*", "*c"], "b1", True),
        (["a", "b*", "*c"], "d", False),
        (["*", "!crm__delete"], "crm__delete", False),
        (["*", "!crm__delete"], "crm__get", True),
        (["!crm__*"], "crm__get", False),
        (["!crm__*"], "erp__get", True),
        (["!crm__*", "crm__get"], "crm__get", False),
        (["crm__*", "!*__delete", "!*__drop"], "crm__drop", False),
        (["crm__*", "!*__delete", "!*__drop"], "crm__get", True),
        (["crm__*", "!*__delete"], "erp__get", False),
    ],
)
def test_a_leading_exclamation_mark_excludes(
    patterns: list[str], name: str, expected: bool
) -> None:
    assert matches(call(name), Condition(tools=tuple(patterns))) is expected


@pytest.mark.parametrize(
    ("field", "method"),
    [
        ("tools", "tools/call"),
        ("prompts", "prompts/get"),
        ("resources", "resources/read"),
        ("resources", "resources/subscribe"),
    ],
)
def test_a_field_about_names_matches_its_own_operations_only(field: str, method: str) -> None:
    condition = Condition.model_validate({field: ["*"]})
    excluding = Condition.model_validate({field: ["!nothing"]})
    for other in ("tools/call", "prompts/get", "resources/read", "resources/subscribe"):
        expected = other == method or {other, method} <= {"resources/read", "resources/subscribe"}
        assert matches(Operation("1", other, "name"), condition) is expected
        assert matches(Operation("1", other, "name"), excluding) is expected
    for listing in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        assert not matches(Operation("1", listing), condition)
        assert not matches(Operation("1", listing), excluding)


def test_agents_match_nothing_yet() -> None:
    assert not matches(call("a"), Condition(agents=("*",)))
    assert not matches(call("a"), Condition(agents=("!b",)))


def test_servers_tenants_and_users_match_on_every_operation() -> None:
    principal = Principal(user="ann@x.example", tenant="acme")
    for method in ("tools/call", "prompts/get", "tools/list"):
        operation = Operation("1", method, server="crm", principal=principal)
        assert matches(operation, Condition(server_ids=("crm",)))
        assert matches(operation, Condition(tenant_ids=("ac*",)))
        assert matches(operation, Condition(user_patterns=("*@x.example",)))
        assert not matches(operation, Condition(server_ids=("erp",)))
        assert not matches(operation, Condition(tenant_ids=("!acme",)))
        assert not matches(operation, Condition(user_patterns=("bob*",)))


@pytest.mark.parametrize("field", ["server_ids", "tenant_ids", "user_patterns"])
def test_what_is_unknown_matches_no_pattern_and_is_excluded_by_none(field: str) -> None:
    nobody = call()
    assert not matches(nobody, Condition.model_validate({field: ["*"]}))
    assert not matches(nobody, Condition.model_validate({field: ["*", "!x"]}))
    assert matches(nobody, Condition.model_validate({field: ["!x"]}))


@pytest.mark.parametrize(
    ("pattern", "mime", "expected"),
    [
        ("text/html", "text/html", True),
        ("text/html", "text/html; charset=utf-8", True),
        ("text/*", "TEXT/HTML;q=1", True),
        ("Text/Html", "text/html", True),
        ("text/*", "application/json", False),
        ("!text/*", "application/json", True),
        ("!text/*", "text/plain", False),
        ("text/*", None, True),
        ("text/*", 7, True),
        ("!text/*", None, True),
        ("text/*", "", True),
        ("text/*", " ; charset=utf-8", True),
        ("!text/*", "", True),
    ],
)
def test_content_types_are_those_of_the_resource(
    pattern: str, mime: object, expected: bool
) -> None:
    definition = {"uri": "x"} if mime is None else {"uri": "x", "mimeType": mime}
    condition = Condition(content_types=(pattern,))
    assert matches(read(definition=definition), condition) is expected


def test_a_content_type_that_is_taken_back_is_nobodys() -> None:
    taken_back = Condition(content_types=("Text/html", "!text/HTML"))
    assert not matches(read(), taken_back)
    assert not matches(read(definition={"mimeType": "text/html"}), taken_back)


def test_a_resource_that_nobody_lists_has_every_type_and_a_tool_has_none() -> None:
    assert matches(read(), Condition(content_types=("text/*",)))
    assert not matches(call(definition={"mimeType": "text/html"}), Condition(content_types=("*",)))


@pytest.mark.parametrize(
    "spelling",
    [
        "s+memo://by-name/secret",
        "s+memo://by-name/%73ecret",
        "s+memo://by-name/%2573ecret",
        "s+memo://by-name/./secret",
        "s+memo://by-name/x/../secret",
        "s+memo://by-name//secret",
        "S+MEMO://BY-NAME/secret",
        "s+memo://by-name/x/%2e%2e/secret",
    ],
)
def test_a_resource_is_the_same_however_its_uri_is_written(spelling: str) -> None:
    guarded = Condition(resources=("s+memo://by-name/secret*",))
    spared = Condition(resources=("s+memo://*", "!s+memo://by-name/open*"))
    assert matches(read(spelling), guarded)
    assert matches(read(spelling), spared)
    assert not matches(read("s+memo://by-name/open"), spared)
    assert matches(read("s+memo://by-name/open/../secret"), spared)


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        ("s+memo://a", "s+memo://b", False),
        ("s+memo://x/My%20Files/*", "s+memo://x/My Files/a", True),
        ("S+MEMO://x/*", "s+memo://x/a", True),
        ("s+memo://x/My%20Files/*", "s+memo://x/My", False),
        ("!s+memo://x/*", "s+memo://x/a", False),
        ("!s+memo://x/*", "s+memo://y/a", True),
        ("!s+memo://x/%2A", "s+memo://x/a", True),
    ],
)
def test_a_uri_pattern_is_the_same_however_it_is_written_unless_it_excludes(
    pattern: str, uri: str, expected: bool
) -> None:
    assert matches(read(uri), Condition(resources=(pattern,))) is expected


def test_a_resource_is_spared_if_what_it_comes_to_is_both_named_and_excluded() -> None:
    spared = Condition(resources=("s+memo://x/*", "!s+memo://x/open/*"))
    assert not matches(read("S+MEMO://x/open/a"), spared)
    assert matches(read("S+MEMO://x/closed/a"), spared)


class Name(str):
    """A string that can be watched."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("patterns", [("*a*",), ("*", "!*b*"), ("!b*",)])
@pytest.mark.parametrize("field", ["tools", "resources"])
def test_what_clients_send_is_not_kept_for_ever(field: str, patterns: tuple[str, ...]) -> None:
    predicate = compile_conditions([Condition.model_validate({field: patterns})])
    assert predicate is not None
    method = "tools/call" if field == "tools" else "resources/read"

    def asked(text: str) -> "weakref.ref[Name]":
        name = Name(text)
        assert predicate(Operation("1", method, name))
        return weakref.ref(name)

    recent = [asked(f"a{number}") for number in range(1_000)]
    assert sum(name() is not None for name in recent) < 500
    assert asked("a" * 1_024)() is None


def test_fields_are_and_and_objects_are_or() -> None:
    both = Condition(tools=("crm__*",), tenant_ids=("acme",))
    acme = Principal(tenant="acme")
    assert matches(call(principal=acme), both)
    assert not matches(call(), both)
    assert not matches(call("erp__x", principal=acme), both)
    assert matches(call("erp__x"), both, Condition(tools=("erp__*",)))
    assert not matches(call("hr__x"), both, Condition(tools=("erp__*",)))


def test_an_empty_list_matches_nothing() -> None:
    for field in Condition.model_fields:
        condition = Condition.model_validate({field: []})
        assert not matches(call(server="a"), condition)
        assert not matches(read(definition={"mimeType": "text/html"}), condition)


NAMES = st.text("ab_*?[]!-.", max_size=8)
PATTERNS = st.lists(NAMES.filter(lambda text: bool(text.removeprefix("!"))), max_size=4)


@given(PATTERNS, NAMES)
def test_the_fast_paths_agree_with_the_plain_definition(patterns: list[str], name: str) -> None:
    wanted = [p for p in patterns if not p.startswith("!")]
    refused = [p[1:] for p in patterns if p.startswith("!")]
    expected = (not wanted or any(fnmatch.fnmatchcase(name, p) for p in wanted)) and not any(
        fnmatch.fnmatchcase(name, p) for p in refused
    )
    if patterns:
        assert compile_patterns(patterns)(name) is expected


@pytest.fixture
def deadline() -> Iterator[None]:
    """Interrupt the regular expression engine, which looks for signals, after five seconds."""

    def expired(*_: object) -> None:
        raise TimeoutError("the pattern backtracks")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.usefixtures("deadline")
@pytest.mark.parametrize("pattern", ["*a*a*a*a*b", "*?*?*?*?*?*?b", "*[ab]*[ab]*[ab]*[ab]*c"])
def test_no_pattern_makes_a_long_name_slow(pattern: str) -> None:
    # a backtracking engine takes 20,000 to the fourth steps for this
    assert not compile_patterns([pattern])("a" * 20_000)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(), []),
        (Condition(tools=("a", "!b")), []),
        (Condition(tools=("!a",)), []),
        (Condition(tools=("a*", "!a")), []),
        (Condition(tools=("a*", "!a?*")), []),
        (Condition(tools=("ac*", "!ab*")), []),
        (Condition(tools=("a", "b", "!a")), []),
        (Condition(resources=("a/%2A", "!a/%2A")), []),
        (Condition(tools=("a[bc]", "!a[[]*")), []),
        (Condition(resources=("x",), content_types=("text/*",)), []),
        (Condition(tools=("a",), server_ids=("b",), tenant_ids=("c",), user_patterns=("d",)), []),
        (Condition(tools=()), ["tools: an empty list matches nothing"]),
        (
            Condition(tools=("a", "!a")),
            ["tools: everything it names is excluded by its own '!' patterns"],
        ),
        (
            Condition(tools=("a*", "ac?", "b", "[x]", "!a*", "!b*", "![x]")),
            ["tools: everything it names is excluded by its own '!' patterns"],
        ),
        (
            Condition(content_types=("Text/*", "!text/*")),
            ["content_types: everything it names is excluded by its own '!' patterns"],
        ),
        (
            Condition(resources=("s://a/*", "!s://*")),
            ["resources: everything it names is excluded by its own '!' patterns"],
        ),
        (Condition(agents=("a",)), ["agents: the gateway has no agent operations yet"]),
        (
            Condition(tools=("a",), prompts=("b",)),
            ["no operation is about tools and prompts at once: use one object each"],
        ),
        (
            Condition(tools=("a",), content_types=("text/*",)),
            ["no operation is about tools and content_types at once: use one object each"],
        ),
    ],
)
def test_conditions_that_can_never_match_are_explained(
    condition: Condition, expected: list[str]
) -> None:
    assert impossible(condition) == expected


@given(
    st.builds(
        Condition,
        tools=st.none() | PATTERNS.map(tuple),
        resources=st.none() | PATTERNS.map(tuple),
        server_ids=st.none() | PATTERNS.map(tuple),
        content_types=st.none() | PATTERNS.map(tuple),
        agents=st.none() | PATTERNS.map(tuple),
    ),
    st.sampled_from(["tools/call", "resources/read", "tools/list"]),
    NAMES,
)
def test_what_is_called_impossible_never_matches(
    condition: Condition, method: str, name: str
) -> None:
    if impossible(condition):
        operation = Operation("1", method, name, server=name, definition={"mimeType": name})
        assert not matches(operation, condition)


@pytest.mark.parametrize(
    "bad", [{"tool": ["a"]}, {"tools": "a"}, {"tools": [""]}, {"tools": ["!"]}]
)
def test_wrong_conditions_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(bad)


def test_the_error_of_a_condition_does_not_repeat_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        Condition.model_validate({"tools": "s3cr3t", "resources": ["s://ok", 7]})
    assert "s3cr3t" not in str(caught.value)


def test_a_condition_stays_as_it_was_loaded() -> None:
    with pytest.raises(ValidationError):
        Condition().tools = ("a",)  # type: ignore[misc]


@pytest.mark.parametrize("empty", ["", "!"])
def test_an_empty_pattern_is_refused_with_what_to_do(empty: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Condition(tools=("a", empty))
    (error,) = caught.value.errors()
    assert error["msg"] == "an empty pattern matches nothing: remove it"
    assert error["type"] == "plugway_pattern"
