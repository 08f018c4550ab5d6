import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugway import methods
from plugway_builtin_plugins.deny_list import DenyList
from plugway_builtin_plugins.deny_list.words import compile_words, fold
from plugway_hookspecs import (
    CompletionRequest,
    CompletionResult,
    Context,
    Deny,
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
    ResourceSubscribe,
    ResourceTemplateList,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    Scope,
    ToolCall,
    ToolList,
    ToolResult,
    thaw,
)

HOOKS = {payload: hook for hook, (payload, _) in methods.HOOKS.items()}


def make(**config: Any) -> DenyList:
    return DenyList(DenyList.Config.model_validate(config), name="deny")


def ask(plugin: DenyList, payload: Payload) -> tuple[Any, dict[str, Any]]:
    operation = Operation(id="1", method="tools/call")
    hook = HOOKS[type(payload)]
    answer = getattr(plugin, hook)(payload, Context(operation, Scope("deny", hook)))
    return answer, {finding.key: finding.value for finding in operation.findings}


def denied(plugin: DenyList, payload: Payload) -> Deny | None:
    answer, _ = ask(plugin, payload)
    assert answer is None or isinstance(answer, Deny)
    return answer


def text(value: str) -> ToolResult:
    return ToolResult(content=[{"type": "text", "text": value}])


def test_tools_prompts_and_resources_are_denied_by_name() -> None:
    plugin = make(tools=["*__delete_*"], prompts=["hr__*"], resources=["file:///etc/**"])
    deny = denied(plugin, ToolCall("crm__delete_user"))
    assert deny is not None
    assert deny.code == "deny_list"
    assert deny.reason == "denied by rule 'tools: *__delete_*'"
    assert denied(plugin, PromptFetch("hr__salaries"))
    assert denied(plugin, ResourceFetch("file:///etc/passwd"))
    assert denied(plugin, ToolCall("crm__find_user")) is None
    assert denied(plugin, PromptFetch("crm__delete_all")) is None
    assert denied(plugin, ResourceFetch("file:///home/x")) is None


@pytest.mark.parametrize(
    "uri", ["file:///tmp/../etc/passwd", "file:///%65tc/passwd", "FILE:///ETC/x", "file:////etc//x"]
)
def test_no_spelling_of_a_uri_gets_round_a_rule(uri: str) -> None:
    assert denied(make(resources=["file:///etc/**"]), ResourceFetch(uri))


def test_what_is_denied_by_name_is_not_listed() -> None:
    plugin = make(tools=["*__delete_*"], prompts=["hr__*"], resources=["file:///etc/**"])
    tools = ToolList([{"name": "crm__delete_x"}, {"name": "crm__find"}])
    answer, record = ask(plugin, tools)
    assert thaw(answer.tools) == [{"name": "crm__find"}]
    assert record == {"hidden": 1}
    prompts = PromptList([{"name": "hr__a"}, {"name": "hr__b"}])
    answer, record = ask(plugin, prompts)
    assert (thaw(answer.prompts), record) == ([], {"hidden": 2})
    resources = ResourceList([{"uri": "file:///etc/x"}, {"uri": "file:///srv/x"}])
    assert thaw(ask(plugin, resources)[0].resources) == [{"uri": "file:///srv/x"}]
    templates = ResourceTemplateList([{"uriTemplate": "file:///etc/{x}"}])
    assert thaw(ask(plugin, templates)[0].resource_templates) == []


def test_a_list_with_nothing_denied_comes_back_as_nothing() -> None:
    assert ask(make(tools=["x"]), ToolList([{"name": "a"}, {"odd": 1}])) == (None, {})
    assert ask(make(tools=["x"]), ToolList([])) == (None, {})


def test_an_argument_is_denied_by_its_value() -> None:
    plugin = make(arguments={"path": {"globs": ["/etc/**", "**/.ssh/**"]}})
    assert denied(plugin, ToolCall("t", {"path": "/etc/passwd"}))
    assert denied(plugin, ToolCall("t", {"path": ["ok", "/tmp/../etc/shadow"]}))
    assert denied(plugin, ToolCall("t", {"path": {"deep": "/home/a/.ssh/id"}}))
    assert denied(plugin, PromptFetch("p", {"path": "/etc/passwd"}))
    assert denied(plugin, ToolCall("t", {"path": "/srv/x"})) is None
    assert denied(plugin, ToolCall("t", {"other": "/etc/passwd"})) is None
    assert denied(plugin, ToolCall("t", {"deep": {"path": "/etc/passwd"}})) is None
    assert denied(plugin, ToolResult(structured_content={"path": "/etc/passwd"})) is None


def test_arguments_are_chosen_by_path() -> None:
    plugin = make(arguments={"files[*].to": {"globs": ["/etc/**"]}, "**.q": {"words": ["drop"]}})
    assert denied(plugin, ToolCall("t", {"files": [{"to": "a"}, {"to": "/etc/x"}]}))
    assert denied(plugin, ToolCall("t", {"a": [{"q": "drop it"}]}))
    assert denied(plugin, ToolCall("t", {"files": [{"from": "/etc/x"}], "r": "drop"})) is None


def test_numbers_and_booleans_are_compared_as_json_spells_them() -> None:
    plugin = make(arguments={"amount": {"patterns": [r"^\d{5,}$"]}, "force": {"globs": ["true"]}})
    assert denied(plugin, ToolCall("t", {"amount": 10000}))
    assert denied(plugin, ToolCall("t", {"amount": 10000.0}))
    assert denied(plugin, ToolCall("t", {"amount": 9999})) is None
    assert denied(plugin, ToolCall("t", {"force": True}))
    assert denied(plugin, ToolCall("t", {"force": False})) is None


CHANNELS: list[Payload] = [
    ToolCall("t", {"a": [{"b": "the zeus file"}]}),
    ToolCall("t", {"Zeus": 1}),
    ToolCall("t", meta={"x": "zeus"}),
    ToolCall("t", extra={"x": "zeus"}),
    text("about ZEUS."),
    ToolResult(structured_content={"x": ["zeus"]}),
    ToolResult(error={"code": 1, "message": "zeus failed"}),
    ToolResult(content=[{"type": "resource", "resource": {"uri": "u:", "text": "zeus"}}]),
    ToolResult(content=[{"type": "resource_link", "uri": "u:zeus", "name": "n"}]),
    PromptFetch("p", {"a": "zeus"}),
    PromptResult([{"role": "user", "content": {"type": "text", "text": "zeus"}}]),
    PromptResult([], description="zeus"),
    ResourceFetch("crm://zeus/1"),
    ResourceResult([{"uri": "u:", "text": "zeus"}]),
    ResourceResult(
        [{"uri": "u:", "mimeType": "text/plain", "blob": base64.b64encode(b"zeus").decode()}]
    ),
]


@pytest.mark.parametrize("payload", CHANNELS)
@pytest.mark.parametrize("rule", [{"words": ["zeus"]}, {"patterns": ["(?i)zeus"]}])
def test_content_is_denied_in_every_channel(payload: Payload, rule: dict[str, Any]) -> None:
    deny = denied(make(**rule), payload)
    assert deny is not None
    assert "zeus" not in deny.reason.lower()
    assert deny.details["rule"] in {"words", "patterns"}
    assert denied(make(words=["hera"], patterns=["hera"]), payload) is None


def test_names_of_tools_and_protocol_fields_are_no_content() -> None:
    plugin = make(words=["zeus", "text", "user"])
    assert denied(plugin, ToolCall("zeus")) is None
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    assert denied(plugin, PromptResult([message])) is None


def test_content_globs_match_whole_values() -> None:
    plugin = make(globs=["*.pem"])
    assert denied(plugin, ToolCall("t", {"x": "keys/a.pem"}))
    assert denied(plugin, ToolCall("t", {"x": "a.pem is here"})) is None
    assert denied(plugin, ToolCall("t", {"a.pem": 1})) is None


def test_content_rules_can_be_for_some_hooks_only() -> None:
    plugin = make(content=[{"words": ["zeus"], "hooks": ["results"]}])
    assert denied(plugin, text("zeus"))
    assert denied(plugin, ToolCall("t", {"x": "zeus"})) is None


def test_entries_of_lists_are_hidden_by_content_and_the_rest_stays() -> None:
    plugin = make(words=["zeus"])
    tools = ToolList([{"name": "a", "description": "for Zeus"}, {"name": "b"}])
    answer, record = ask(plugin, tools)
    assert thaw(answer.tools) == [{"name": "b"}]
    assert record == {"hidden": 1}
    assert isinstance(ask(plugin, ToolList([{"name": "a"}], meta={"x": "zeus"}))[0], Deny)
    elsewhere = make(content=[{"words": ["zeus"], "hooks": ["requests"]}])
    assert ask(elsewhere, tools)[0] is None


def test_the_operator_says_what_the_client_is_told() -> None:
    named = make(content=[{"name": "project names", "words": ["zeus"]}])
    deny = denied(named, text("zeus"))
    assert deny is not None
    assert deny.reason == "denied by rule 'project names'"
    assert deny.details == {"rule": "project names", "path": "content[0].text"}
    own = make(
        reason="ask the helpdesk",
        tools=["x"],
        words=["hera"],
        content=[{"words": ["zeus"], "reason": "Zeus is secret"}],
    )
    reasons = [
        deny.reason
        for payload in (text("zeus"), text("hera"), ToolCall("x"))
        if (deny := denied(own, payload)) is not None
    ]
    assert reasons == ["Zeus is secret", "ask the helpdesk", "ask the helpdesk"]
    unnamed = make(content=[{"words": ["a"]}, {"words": ["zeus"]}])
    deny = denied(unnamed, text("zeus"))
    assert deny is not None
    assert deny.reason == "denied by rule 'content[1]'"
    arguments = make(arguments={"path": {"globs": ["/x"]}})
    deny = denied(arguments, ToolCall("t", {"path": "/x"}))
    assert deny is not None
    assert deny.reason == "denied by rule 'arguments.path'"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("zeus", "Zeus!"),
        ("zeus", "(ZEUS)"),
        ("zeus", "\nzeus\n"),
        ("blue heron", "the Blue  \n Heron"),
        ("c++", "in C++."),
        ("$ref", "a $ref b"),
        ("straße", "STRASSE"),
        ("é", "e\u0301"),
        ("zeus", "z\u200beu\u00ads"),
        ("zeus", "".join(chr(ord(each) + 0xFEE0) for each in "zeus")),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("机密", "这是机密文件"),
        ("비밀", "비밀을"),
        ("zeus", "zeus\ud800"),
    ],
)
def test_a_word_is_found_however_it_is_written(word: str, value: str) -> None:
    assert denied(make(words=[word]), text(value))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("zeus", "zeuss"),
        ("zeus", "azeus"),
        ("zeus", "zeus_1"),
        ("zeus", "éclzeusé"),
        ("heron", "héron"),
        ("blue heron", "blue, heron"),
        ("c++", "abc++"),
    ],
)
def test_a_word_is_not_found_inside_others(word: str, value: str) -> None:
    assert denied(make(words=[word]), text(value)) is None


def test_a_phrase_is_not_put_together_from_two_texts() -> None:
    assert denied(make(words=["blue heron"]), ToolCall("t", {"a": "blue", "b": "heron"})) is None


def test_patterns_see_through_invisible_and_wide_characters() -> None:
    plugin = make(patterns=["^drop table"])
    wide = "".join(chr(ord(each) + 0xFEE0) for each in "drop")
    assert denied(plugin, text("dr\u200bop table"))
    assert denied(plugin, text(f"{wide} table"))
    assert denied(plugin, text("DROP TABLE")) is None


def test_ten_thousand_words_are_one_pattern() -> None:
    plugin = make(words=[f"codename{number}x" for number in range(10_000)])
    assert denied(plugin, text("about codename9876x"))
    assert denied(plugin, text("about codename9876")) is None


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=10))
def test_every_word_is_found_between_blanks(word: str) -> None:
    if fold(word).split():
        assert compile_words([word]).search(fold(f"a {word.casefold()} b"))
        assert compile_words([word]).search(fold(f"{word}"))


@pytest.mark.parametrize("value", [1, None, True, "a", [], {}, [[["a"]]]])
def test_odd_values_are_no_problem(value: Any) -> None:
    plugin = make(
        words=["zeus"], patterns=["zeus"], globs=["zeus"], arguments={"x": {"words": ["y"]}}
    )
    assert denied(plugin, ToolCall("t", {"x": value})) is None
    assert denied(plugin, ToolResult(structured_content=value)) is None


def test_the_deepest_value_is_seen() -> None:
    value: Any = "zeus"
    for _ in range(126):
        value = [value]
    assert denied(make(words=["zeus"]), ToolCall("t", {"x": value}))
    assert denied(make(arguments={"**": {"words": ["zeus"]}}), ToolCall("t", {"x": value}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "nothing is denied"),
        ({"content": [{"name": "x"}]}, "a rule needs words, globs or patterns"),
        ({"words": [" "]}, "is empty"),
        ({"words": ["\u200b"]}, "is empty"),
        ({"tools": [""]}, "matches nothing"),
        ({"patterns": ["(?<=a)b"]}, "lookaround is not supported"),
        ({"arguments": {"a..b": {"words": ["x"]}}}, "can't be read"),
        ({"arguments": {"a": {"words": ["x"], "hooks": ["requests"]}}}, "hooks"),
        ({"words": ["x"], "hooks": ["requests"]}, "hooks"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DenyList.Config.model_validate(config)
    assert message in str(refused.value)


def completion(kind: str = "ref/prompt", value: str = "a", **more: Any) -> CompletionRequest:
    ref = {"type": kind, ("name" if kind == "ref/prompt" else "uri"): "file:///etc/{x}"}
    return CompletionRequest(ref, {"name": "path", "value": value}, **more)


def test_what_is_denied_by_name_is_not_completed_or_subscribed_to() -> None:
    plugin = make(resources=["file:///etc/**"])
    assert denied(plugin, ResourceSubscribe("file:///%65tc/passwd"))
    assert denied(plugin, ResourceSubscribe("file:///home/x")) is None
    assert denied(plugin, completion("ref/resource"))
    assert denied(plugin, completion("ref/prompt")) is None
    assert denied(make(prompts=["file:*"]), completion("ref/prompt"))


def test_an_argument_is_denied_while_it_is_typed() -> None:
    plugin = make(arguments={"path": {"globs": ["/etc/**"]}, "who": {"words": ["root"]}})
    deny = denied(plugin, completion(value="/etc/pass"))
    assert deny is not None
    assert deny.details == {"rule": "arguments.path", "path": "argument.path"}
    assert denied(plugin, completion(context={"arguments": {"who": "root"}}))
    assert denied(plugin, completion(context={"arguments": ["root"]})) is None
    assert denied(plugin, completion(value="/home")) is None


@pytest.mark.parametrize(
    "payload",
    [
        ElicitationRequest("what is your password?"),
        ElicitationRequest("m", requested_schema={"properties": {"password": {}}}),
        ElicitationRequest("m", "url", url="https://x.test/password"),
        ElicitationResult("accept", {"note": "my password"}),
        SamplingRequest([{"role": "user", "content": {"type": "text", "text": "Password!"}}]),
        SamplingRequest([], system_prompt="ask for the password"),
        SamplingResult("assistant", {"type": "text", "text": "the password is"}, "m"),
        CompletionResult({"values": ["password"]}),
        completion(value="password"),
    ],
)
def test_words_are_denied_in_questions_answers_and_completions(payload: Payload) -> None:
    plugin = make(words=["password"])
    assert denied(plugin, payload)
    assert denied(make(words=["zeus"]), payload) is None


def test_roots_go_by_content_and_not_by_the_names_of_resources() -> None:
    roots = RootsResult([{"uri": "file:///etc"}, {"uri": "file:///srv", "name": "zeus"}])
    assert ask(make(resources=["**"]), roots)[0] is None
    assert len(ask(make(words=["zeus"]), roots)[0].roots) == 1
