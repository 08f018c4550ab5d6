"""What the two ends accept from each other, and what they refuse."""

from typing import Any

import pytest

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.contextforge import Reply, read_reply
from plugway_external_bridge.wire.hooks import HOOKS
from plugway_external_bridge.wire.operations import (
    annotate_findings,
    findings_to_wire,
    json_only,
    make_operation,
    operation_to_wire,
    read_operation,
)
from plugway_external_bridge.wire.payloads import payload_from_wire, payload_to_wire
from plugway_external_bridge.wire.verdicts import verdict_from_wire, verdict_to_wire
from plugway_hookspecs import (
    Context,
    Deny,
    Finding,
    Operation,
    Payload,
    Principal,
    PromptResult,
    Respond,
    Scope,
    ToolCall,
    ToolList,
    ToolResult,
)

ERROR = {"code": -32603, "message": "no"}


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (ToolCall, None),
        (ToolCall, []),
        (ToolCall, {}),
        (ToolCall, {"name": 1}),
        (ToolCall, {"name": "x", "arguments": False}),
        (ToolCall, {"name": "x", "arguments": {"deep": deep(200)}}),
        (ToolCall, {"name": "x", "arguments": {"n": float("nan")}}),
        (ToolResult, {"content": {}}),
        (ToolResult, {"content": ["text"]}),
        (ToolResult, {"isError": 1}),
        (PromptResult, {"description": 1}),
        (ToolList, {"tools": [None]}),
    ],
)
def test_a_payload_of_another_shape_is_refused(kind: type[Payload], wire: Any) -> None:
    with pytest.raises(WireError):
        payload_from_wire(kind, wire)


@pytest.mark.parametrize("error", [[], {}, {"code": "1", "message": "x"}, {"code": True}])
def test_an_error_needs_a_code_and_a_message(error: Any) -> None:
    with pytest.raises(WireError, match="an error without"):
        payload_from_wire(ToolResult, {"error": error}, failed=True)


def test_an_error_is_one_only_where_the_server_had_one() -> None:
    wire: dict[str, Any] = {"content": [], "error": ERROR}
    assert payload_from_wire(ToolResult, wire, failed=True) == ToolResult(error=ERROR)
    assert payload_from_wire(ToolResult, wire) == ToolResult(extra={"error": ERROR})
    assert payload_to_wire(ToolResult(error=ERROR)) == wire
    assert payload_from_wire(ToolResult, {"content": []}, failed=True).error is None


def test_explicit_nulls_survive() -> None:
    wire = {"name": "x", "arguments": None, "task": None}
    assert payload_to_wire(payload_from_wire(ToolCall, wire)) == wire


@pytest.mark.parametrize(
    ("wire", "hook"),
    [
        (None, "tool_pre_invoke"),
        ({}, "tool_pre_invoke"),
        ({"deny": {}}, "tool_pre_invoke"),
        ({"deny": {"reason": "x", "http_status": "429"}}, "tool_pre_invoke"),
        ({"deny": {"reason": "x", "details": {"deep": deep(200)}}}, "tool_pre_invoke"),
        ({"respond": {}}, "tool_pre_invoke"),
        ({"respond": {"result": {"content": 1}}}, "tool_pre_invoke"),
        ({"respond": {"result": {}}}, "tool_post_invoke"),
    ],
)
def test_a_verdict_that_is_none_is_refused(wire: Any, hook: str) -> None:
    with pytest.raises(WireError):
        verdict_from_wire(wire, HOOKS[hook])


@pytest.mark.parametrize(
    "verdict",
    [
        Deny("no"),
        Deny("no", "mine", "because", {"a": [1, {}]}, 429, -32099, {"Retry-After": "1"}),
        Respond(ToolResult([{"type": "text"}], is_error=True, meta={"m": 1}, extra={"x": None})),
        Respond(ToolResult(error=ERROR)),
    ],
)
def test_a_verdict_loses_nothing_on_the_way(verdict: Deny | Respond) -> None:
    assert verdict_from_wire(verdict_to_wire(verdict), HOOKS["tool_pre_invoke"]) == verdict


def context(operation: Operation) -> Context:
    return Context(operation, Scope("guard", "tool_pre_invoke"))


def test_an_operation_tells_who_asks_and_no_headers() -> None:
    operation = Operation(
        "1",
        "tools/call",
        principal=Principal("ann"),
        definition={"name": "echo"},
        headers={"authorization": "Bearer hunter2"},
    )
    wire = operation_to_wire(context(operation), failed=False)
    assert wire["definition"] == {"name": "echo"}
    assert "hunter2" not in str(wire)
    told = make_operation(read_operation(wire), event="tools/call")
    assert (told.id, told.method, told.principal) == ("1", "tools/call", Principal("ann"))


@pytest.mark.parametrize(
    "wire",
    [
        {"principal": {"user": 1}},
        {"definition": []},
        {"request": {"arguments": {}}},
        {"definition": {"deep": deep(200)}},
        {"principal": {"claims": {"deep": deep(200)}}},
    ],
)
def test_an_operation_of_another_shape_is_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        make_operation(read_operation(wire), event="tools/call")


def test_an_operation_has_an_id_in_any_case() -> None:
    assert make_operation(read_operation({}), event="tools/call").id


def test_findings_travel_as_far_as_json_can_carry_them() -> None:
    found = [Finding("a", "h", "score", 0.5), Finding("a", "h", "object", object())]
    operation = Operation("1", "tools/call")
    annotate_findings(context(operation), [*findings_to_wire(found), {"value": 1}, "odd"])
    annotate_findings(context(operation), "odd")
    assert operation.findings == [
        Finding("guard", "tool_pre_invoke", "score", 0.5),
        Finding("guard", "tool_pre_invoke", "object", None),
    ]


def test_what_json_can_not_carry_is_left_out_one_level_down() -> None:
    assert json_only({"a": 1, "b": {"c": object(), "d": [1]}, "e": object()}) == {
        "a": 1,
        "b": {"d": [1]},
    }


def test_a_reply_may_have_blocks_that_are_no_text() -> None:
    blocks = [{"type": "image"}, {"type": "text", "text": '{"continue_processing": true}'}]
    assert read_reply({"content": blocks}) == Reply()
