from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugway import methods
from plugway_builtin_plugins.regex_transform import RegexTransform
from plugway_hookspecs import (
    Context,
    ElicitationRequest,
    ElicitationResult,
    Operation,
    Payload,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceTemplateList,
    Scope,
    ToolCall,
    ToolList,
    ToolResult,
    thaw,
)

HOOKS = {payload: hook for hook, (payload, _) in methods.HOOKS.items()}


def make(*rules: dict[str, Any]) -> RegexTransform:
    return RegexTransform(RegexTransform.Config.model_validate({"rules": rules}), name="regex")


def ask(plugin: RegexTransform, payload: Payload) -> tuple[Any, dict[str, Any]]:
    operation = Operation(id="1", method="tools/call")
    hook = HOOKS[type(payload)]
    see = getattr(plugin, hook)
    answer = see(payload, Context(operation, Scope("regex", hook))) if see else None
    return answer, {finding.key: finding.value for finding in operation.findings}


def replaced(text: str, **rule: Any) -> str:
    answer, _ = ask(make(rule), ToolCall("t", {"x": text}))
    return text if answer is None else str(answer.arguments["x"])


@pytest.mark.parametrize(
    ("pattern", "replace", "text", "expected"),
    [
        ("a", "b", "banana", "bbnbnb"),
        (r"(\d{3})-(\d{4})", r"\2-\1", "555-0123", "0123-555"),
        (r"(?P<user>\w+)@", r"<\g<user>> at ", "joe@x", "<joe> at x"),
        (r"x", r"[\g<0>]", "axb", "a[x]b"),
        (r"(a)|(b)", r"<\1\2>", "ab", "<a><b>"),
        (r"x", "", "axb", "ab"),
        (r"x", r"\n\t\r\\", "x", "\n\t\r\\"),
        (r"x", "é机\N{GRINNING FACE}", "axb", "aé机\N{GRINNING FACE}b"),
        (r"^", "> ", "a\nb", "> a\nb"),
        (r"\b", "|", "ab c", "|ab| |c|"),
        (r"(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)", r"\10\1", "1234567890", "01"),
    ],
)
def test_matches_are_replaced(pattern: str, replace: str, text: str, expected: str) -> None:
    assert replaced(text, pattern=pattern, replace=replace) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "ab\nAb\nb"),
        (["ignorecase"], "Xb\nXb\nb"),
        (["ignorecase", "multiline"], "Xb\nXb\nb"),
    ],
)
def test_flags_are_honoured(flags: list[str], expected: str) -> None:
    pattern = "A" if "ignorecase" in flags else "x"
    assert replaced("ab\nAb\nb", pattern=pattern, replace="X", flags=flags) == expected


def test_line_flags_are_honoured() -> None:
    assert replaced("a\nb", pattern="^", replace="> ", flags=["multiline"]) == "> a\n> b"
    assert replaced("a\nb", pattern="a.b", replace="x") == "a\nb"
    assert replaced("a\nb", pattern="a.b", replace="x", flags=["dotall"]) == "x"


def test_rules_run_in_order_on_what_the_one_before_left() -> None:
    plugin = make({"pattern": "a", "replace": "b"}, {"pattern": "b", "replace": "c", "name": "b2c"})
    answer, record = ask(plugin, ToolCall("t", {"x": "ab"}))
    assert answer.arguments["x"] == "cc"
    assert record == {"replaced": {"rules[0]": 1, "b2c": 2}}


def test_rules_that_undo_each_other_change_nothing() -> None:
    plugin = make({"pattern": "a", "replace": "b"}, {"pattern": "b", "replace": "a"})
    assert ask(plugin, ToolCall("t", {"x": "a"})) == (None, {})


def test_what_does_not_match_comes_back_as_nothing() -> None:
    plugin = make({"pattern": "zzz", "replace": "x"}, {"pattern": "same", "replace": "same"})
    for payload in (
        ToolCall("zzz", {"zzz": [1, None, True, "same"]}),
        ToolList([{"name": "zzz"}]),
    ):
        assert ask(plugin, payload) == (None, {})


CHANNELS: list[tuple[Payload, str]] = [
    (ToolCall("t", {"a": ["old"]}), "arguments"),
    (ToolCall("t", meta={"a": "old"}), "meta"),
    (ToolResult(content=[{"type": "text", "text": "old"}]), "content"),
    (ToolResult(structured_content=["old"]), "structured_content"),
    (ToolResult(error={"code": 1, "message": "old"}), "error"),
    (ToolResult(extra={"x": "old"}), "extra"),
    (ToolList([{"name": "old", "description": "old"}]), "tools"),
    (PromptFetch("p", {"a": "old"}), "arguments"),
    (PromptResult([{"role": "user", "content": {"type": "text", "text": "old"}}]), "messages"),
    (PromptList([{"name": "old", "title": "old"}]), "prompts"),
    (ResourceResult([{"uri": "old:", "text": "old"}]), "contents"),
    (ResourceList([{"uri": "old:", "name": "old"}]), "resources"),
    (ResourceTemplateList([{"uriTemplate": "old:", "name": "old"}]), "resource_templates"),
]


@pytest.mark.parametrize(("payload", "attribute"), CHANNELS)
def test_every_channel_is_rewritten_without_names_and_uris(
    payload: Payload, attribute: str
) -> None:
    answer, record = ask(make({"pattern": "old", "replace": "new"}), payload)
    before, after = str(getattr(payload, attribute)), str(getattr(answer, attribute))
    assert after.count("new") == 1
    assert after.count("old") == before.count("old") - 1
    assert record == {"replaced": {"rules[0]": 1}}


def test_fields_choose_places_uris_among_them() -> None:
    rule = {"pattern": "old", "replace": "new"}
    result = ToolResult(structured_content={"a": "old", "b": [{"c": "old"}], "d": {"c": "old"}})
    chosen = ask(make({**rule, "fields": ["structuredContent.**.c"]}), result)[0]
    assert thaw(chosen.structured_content) == {"a": "old", "b": [{"c": "new"}], "d": {"c": "new"}}
    assert ask(make(rule), ResourceFetch("old://x"))[0] is None
    assert ask(make({**rule, "fields": ["uri"]}), ResourceFetch("old://x"))[0].uri == "new://x"
    tools = ToolList([{"name": "old", "title": "old", "description": "old"}])
    answer = ask(make({**rule, "fields": ["tools[*].description"]}), tools)[0]
    assert thaw(answer.tools) == [{"name": "old", "title": "old", "description": "new"}]
    names = make({**rule, "fields": ["tools[*].name"]})
    assert ask(names, ToolList([{"name": "old"}]))[0] is None


def test_hooks_choose_payloads() -> None:
    plugin = make({"pattern": "old", "replace": "new", "hooks": ["results", "tool_post_list"]})
    assert ask(plugin, ToolCall("t", {"x": "old"}))[0] is None
    assert ask(plugin, ToolResult(structured_content="old"))[0].structured_content == "new"
    assert ask(plugin, ToolList([{"name": "t", "title": "old"}]))[0] is not None
    assert ask(plugin, PromptList([{"name": "t", "title": "old"}]))[0] is None


def test_keys_numbers_and_other_scalars_stay() -> None:
    call = ToolCall("t", {"1": 1, "a": [True, None, 1.5, "1"]})
    answer, _ = ask(make({"pattern": "[1a]", "replace": "x"}), call)
    assert thaw(answer.arguments) == {"1": 1, "a": [True, None, 1.5, "x"]}


def test_lone_surrogates_survive() -> None:
    assert replaced("a\ud800a", pattern="a", replace="b") == "b\ud800b"


@given(st.text(max_size=50))
def test_replacing_each_character_by_itself_changes_nothing(text: str) -> None:
    plugin = make({"pattern": "(?s)(.)", "replace": r"\1"})
    assert ask(plugin, ToolCall("t", {"x": text}))[0] is None


@given(st.text(alphabet=st.characters(exclude_characters="\\"), max_size=20))
def test_a_replacement_without_backslashes_is_taken_literally(replacement: str) -> None:
    assert replaced("x", pattern="x", replace=replacement) == replacement


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(x|x)*y", r"(.*)(.*)(.*)z"])
def test_hostile_texts_are_finished(pattern: str) -> None:
    text = "a" * 20_000 + "x" * 20_000
    assert replaced(text, pattern=pattern, replace="") == text


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"pattern": "(?=a)", "replace": ""}, "lookaround is not supported"),
        ({"pattern": "(a)", "replace": r"\2"}, "the pattern has no group '2'"),
        ({"pattern": "(a)", "replace": r"\g<x>"}, "the pattern has no group 'x'"),
        ({"pattern": "a", "replace": r"\q"}, "write \\\\ for a backslash"),
        ({"pattern": "a", "replace": "\\"}, "write \\\\ for a backslash"),
        ({"pattern": "a", "replace": "", "fields": ["a["]}, "can't be read"),
        ({"pattern": "a", "replace": "", "flags": ["x"]}, "flags"),
        ({"pattern": "a", "replace": "", "hooks": ["never"]}, "hooks"),
        ({"pattern": "(", "replace": "", "flags": ["dotall"]}, "pattern '('"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make(rule)
    assert message in str(refused.value)


def test_no_rules_are_refused() -> None:
    with pytest.raises(ValidationError, match="rules"):
        make()


def test_questions_and_answers_are_rewritten() -> None:
    plugin = make({"pattern": "old", "replace": "new", "hooks": ["questions"]})
    assert ask(plugin, ElicitationRequest("old"))[0].message == "new"
    assert ask(plugin, ElicitationResult("accept", {"a": "old"}))[0] is None
    plugin = make({"pattern": "^", "replace": "[crm] ", "fields": ["message"]})
    assert ask(plugin, ElicitationRequest("who?"))[0].message == "[crm] who?"
