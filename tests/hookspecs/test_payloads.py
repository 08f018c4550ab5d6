import copy
import dataclasses
import pickle
from typing import Any

import pytest

from plugway_hookspecs import (
    CompletionRequest,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    FrozenDict,
    FrozenList,
    NotJsonError,
    Payload,
    PromptResult,
    ResourceResult,
    Respond,
    SamplingRequest,
    SamplingResult,
    ToolCall,
    ToolList,
    ToolResult,
)


def test_replace_leaves_the_original_alone() -> None:
    call = ToolCall("echo", {"a": 1})
    other = call.replace(arguments={**call.arguments, "b": [2]})
    assert call.arguments == {"a": 1}
    assert other == ToolCall("echo", {"a": 1, "b": [2]})


def test_replace_freezes_what_it_is_given() -> None:
    mine: dict[str, Any] = {"a": [1]}
    call = ToolCall("echo").replace(arguments=mine)
    mine["a"].append(2)
    assert call.arguments == {"a": [1]}
    assert type(call.arguments["a"]) is FrozenList


def test_replace_names_the_fields_there_are() -> None:
    with pytest.raises(TypeError, match=r"ToolCall has no field 'argument'; it has \('name', 'arg"):
        ToolCall("echo").replace(argument={})


def test_a_payload_that_json_cannot_carry_fails_where_it_is_made() -> None:
    with pytest.raises(NotJsonError, match=r"a value of type set at a\[0\]"):
        ToolCall("echo", {"a": [{1}]})
    with pytest.raises(NotJsonError, match="a value of type set at a"):
        ToolCall("echo").replace(arguments={"a": {1}})


@pytest.mark.parametrize("field", ["name", "arguments", "other"])
def test_no_attribute_can_be_set(field: str) -> None:
    call = ToolCall("echo", {"a": 1})
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        setattr(call, field, "x")
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        delattr(call, field)
    assert call == ToolCall("echo", {"a": 1})


def test_a_copy_of_a_payload_is_no_way_round_immutability() -> None:
    call = ToolCall("echo", {"a": {"b": 1}})
    for same in (copy.copy(call), copy.deepcopy(call), pickle.loads(pickle.dumps(call))):
        assert same == call
        with pytest.raises(TypeError):
            same.arguments["a"]["b"] = 2
    assert dataclasses.replace(call, arguments={"a": {"c": 1}}).arguments["a"] == {"c": 1}
    assert type(dataclasses.replace(call, arguments={"a": {}}).arguments["a"]) is FrozenDict


def test_a_deep_copy_of_a_field_can_be_edited() -> None:
    call = ToolCall("echo", {"a": {"b": 1}})
    edited = copy.deepcopy(call.arguments)
    assert isinstance(edited, dict)
    edited["a"]["b"] = 2
    assert call.replace(arguments=edited).arguments == {"a": {"b": 2}}
    assert call.arguments == {"a": {"b": 1}}


def test_a_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match="'name'"):
        ToolCall.from_wire({"arguments": {}})


@pytest.mark.parametrize("kind", [ToolResult, PromptResult, ResourceResult, ToolList])
def test_what_a_plugin_makes_has_the_list_that_mcp_requires(kind: type[Payload]) -> None:
    assert kind().to_wire() == {kind.WIRE[kind.ITEMS]: []}


@pytest.mark.parametrize("kind", [ToolResult, PromptResult, ResourceResult, ToolList])
def test_a_message_without_that_list_stays_without_it(kind: type[Payload]) -> None:
    wire: dict[str, Any] = {"resultType": "input_required", "inputRequests": {}}
    assert kind.from_wire(wire).to_wire() == wire
    assert kind.from_wire(wire).replace(meta={"a": 1}).to_wire() == {**wire, "_meta": {"a": 1}}


def test_a_list_that_a_plugin_empties_is_sent_empty() -> None:
    result = ToolResult.from_wire({"content": [{"type": "text", "text": "x"}]})
    assert result.replace(content=[]).to_wire() == {"content": []}


def test_a_field_that_a_plugin_clears_is_gone() -> None:
    wire: dict[str, Any] = {"content": [], "structuredContent": {"a": 1}, "isError": True}
    cleared = ToolResult.from_wire(wire).replace(structured_content=None, is_error=False)
    assert cleared.to_wire() == {"content": []}


def test_a_field_that_a_plugin_sets_replaces_an_explicit_null() -> None:
    call = ToolCall.from_wire({"name": "echo", "arguments": None})
    assert call.to_wire() == {"name": "echo", "arguments": None}
    assert call.replace(arguments={"a": 1}).to_wire() == {"name": "echo", "arguments": {"a": 1}}


def test_nothing_that_plugins_look_at_can_hide_among_the_unknown_fields() -> None:
    with pytest.raises(TypeError, match="'arguments' does not go into 'extra': set 'arguments'"):
        ToolCall("echo", extra={"arguments": {"a": 1}})
    with pytest.raises(TypeError, match="'isError' does not go into 'extra': set 'is_error'"):
        ToolResult().replace(extra={"isError": True})
    assert ToolCall("echo", extra={"other": 1, "arguments": None}).extra["other"] == 1


def test_an_error_never_goes_on_the_wire_as_a_result() -> None:
    assert ToolResult(error={"code": 1, "message": "x"}).to_wire() == {"content": []}


def test_payloads_compare_by_value() -> None:
    assert ToolCall("a", {"b": [1]}) == ToolCall("a", {"b": [1]})
    assert ToolCall("a", {"b": [1]}) != ToolCall("a", {"b": [2]})
    assert hash(ToolCall("a", {"b": [1]})) == hash(ToolCall("a", {"b": [1]}))


def test_the_details_of_a_deny_cannot_be_changed_later() -> None:
    details: dict[str, Any] = {"found": ["x"]}
    deny = Deny("no", details=details, http_headers={"retry-after": "1"})
    details["found"].append("y")
    assert deny.details == {"found": ["x"]}
    assert type(deny.http_headers) is FrozenDict
    with pytest.raises(dataclasses.FrozenInstanceError):
        deny.reason = "yes"  # type: ignore[misc]


def test_an_answer_cannot_be_exchanged() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Respond(ToolResult()).result = ToolResult()  # type: ignore[misc]


def test_a_structured_result_that_is_false_is_a_result() -> None:
    wire: dict[str, Any] = {"content": [], "structuredContent": False}
    result = ToolResult.from_wire(wire)
    assert result.structured_content is False
    assert result.to_wire() == wire
    assert ToolResult(structured_content=False).to_wire()["structuredContent"] is False


def test_a_question_says_its_mode_as_it_came() -> None:
    for wire in (
        {"message": "m"},
        {"message": "m", "mode": "form"},
        {"message": "m", "mode": "url"},
    ):
        question = ElicitationRequest.from_wire(wire)
        assert question.mode == wire.get("mode", "form")
        assert question.to_wire() == wire
        assert question.replace(message="n").to_wire() == {**wire, "message": "n"}
    assert ElicitationRequest("m", "url").to_wire() == {"message": "m", "mode": "url"}
    assert ElicitationRequest.from_wire({"message": "m", "mode": None}).mode == "form"


def test_an_empty_form_is_not_no_form() -> None:
    wire: dict[str, Any] = {"action": "accept", "content": {}}
    assert ElicitationResult.from_wire(wire).to_wire() == wire
    assert ElicitationResult("decline").to_wire() == {"action": "decline"}


def test_what_a_model_says_is_one_block_or_several() -> None:
    block = {"type": "text", "text": "hi"}
    for content in (block, [block], []):
        wire = {"role": "assistant", "content": content, "model": "m"}
        assert SamplingResult.from_wire(wire).to_wire() == wire
    with pytest.raises(NotJsonError, match=r"a string instead of an object at content\[0\]"):
        SamplingResult("assistant", ["hi"], "m")  # type: ignore[list-item]
    with pytest.raises(NotJsonError, match="a string instead of an object or a list at content"):
        SamplingResult.from_wire({"role": "assistant", "content": "hi", "model": "m"})
    with pytest.raises(NotJsonError, match=r"an integer instead of an object at tools\[1\]"):
        SamplingRequest([], tools=[{}, 1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("ref", "of_prompt", "about"),
    [
        ({"type": "ref/prompt", "name": "p", "uri": "x:"}, True, "p"),
        ({"type": "ref/resource", "name": "p", "uri": "x:"}, False, "x:"),
        ({"type": "ref/prompt", "name": 1}, True, ""),
        ({}, False, ""),
    ],
)
def test_a_completion_is_about_a_prompt_or_a_template(
    ref: dict[str, Any], of_prompt: bool, about: str
) -> None:
    request = CompletionRequest(ref, {"name": "n", "value": ""})
    assert (request.of_prompt, request.about) == (of_prompt, about)
