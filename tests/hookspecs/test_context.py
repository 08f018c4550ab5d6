from typing import Any

import pytest

from plugway_hookspecs import (
    Client,
    Context,
    Finding,
    NotJsonError,
    Operation,
    PluginError,
    Principal,
    Scope,
    ServerError,
    ServerUnavailableError,
    ToolCall,
)
from plugway_hookspecs.context import READ_CLAIMS, READ_HEADERS

SCOPE = Scope("p", "tool_pre_invoke")


def test_a_context_shows_the_operation() -> None:
    operation = Operation(
        "7",
        "tools/call",
        name="crm__echo",
        server="crm",
        definition={"name": "crm__echo"},
        request=ToolCall("crm__echo"),
        principal=Principal(user="ann"),
        client=Client("desk", "1"),
        deadline=12.5,
    )
    context = Context(operation, SCOPE)
    assert (context.request_id, context.method) == ("7", "tools/call")
    assert (context.name, context.server) == ("crm__echo", "crm")
    assert context.definition == {"name": "crm__echo"}
    assert context.request == ToolCall("crm__echo")
    assert context.principal.user == "ann"
    assert context.client.name == "desk"
    assert context.deadline == 12.5


def test_headers_are_for_plugins_that_declare_that_they_read_them() -> None:
    operation = Operation("1", "tools/call", headers={"user-agent": "x"})
    assert Context(operation, SCOPE).headers == {}
    assert Context(operation, Scope("p", capabilities=frozenset({"other"}))).headers == {}
    reader = Scope("p", capabilities=frozenset({READ_HEADERS, READ_CLAIMS}))
    assert Context(operation, reader).headers == {"user-agent": "x"}


def test_what_plugins_share_to_read_none_of_them_can_change() -> None:
    operation = Operation(
        "1",
        "tools/call",
        headers={"user-agent": "x"},
        trace={"traceparent": "00-1"},
        principal=Principal(claims={"roles": ["a"]}),
        client=Client(capabilities={"roots": {}}),
    )
    reader = Scope("p", capabilities=frozenset({READ_HEADERS, READ_CLAIMS}))
    context = Context(operation, reader)
    shared: list[Any] = [
        context.headers,
        context.trace,
        context.principal.claims,
        context.principal.claims["roles"],
        context.client.capabilities,
    ]
    for value in shared:
        with pytest.raises(TypeError, match="immutable"):
            value.clear()
    assert Context(operation, SCOPE).trace == {"traceparent": "00-1"}


def test_state_is_each_plugins_own_and_outlives_the_hook() -> None:
    operation = Operation("1", "tools/call")
    Context(operation, Scope("a", "tool_pre_invoke")).state["seen"] = 1
    assert Context(operation, Scope("a", "tool_post_invoke")).state == {"seen": 1}
    assert Context(operation, Scope("b", "tool_post_invoke")).state == {}


def test_shared_notes_are_shared_when_a_turn_has_ended_well() -> None:
    operation = Operation("1", "tools/call")
    writer, other = Context(operation, Scope("a")), Context(operation, Scope("b"))
    writer.shared["seen"] = 1
    assert (dict(writer.shared), dict(other.shared)) == ({"seen": 1}, {})
    writer.settle()
    assert other.shared == {"seen": 1}
    del other.shared["seen"]
    assert (len(other.shared), "seen" in other.shared, dict(writer.shared)) == (
        0,
        False,
        {"seen": 1},
    )
    other.settle()
    assert operation.shared == {}
    with pytest.raises(KeyError):
        del writer.shared["seen"]


def test_what_is_written_to_the_shared_notes_after_a_turn_is_seen_by_nobody() -> None:
    operation = Operation("1", "tools/call")
    context = Context(operation, Scope("a"))
    shared = context.shared
    context.settle()
    shared["late"] = 1
    assert operation.shared == {}
    assert dict(Context(operation, Scope("b")).shared) == {}


def test_shared_notes_cannot_be_changed_in_place() -> None:
    operation = Operation("1", "tools/call")
    mine = {"a": [1]}
    context = Context(operation, Scope("a"))
    context.shared["notes"] = mine
    mine["a"].append(2)
    context.settle()
    notes = Context(operation, Scope("b")).shared["notes"]
    assert notes == {"a": [1]}
    with pytest.raises(TypeError):
        notes["a"].append(3)


def test_shared_notes_are_json() -> None:
    with pytest.raises(NotJsonError):
        Context(Operation("1", "tools/call"), Scope("a")).shared["x"] = object()


def test_a_finding_is_json_and_does_not_change_later() -> None:
    operation = Operation("1", "tools/call")
    value = {"a": [1]}
    context = Context(operation, SCOPE)
    context.annotate("k", value)
    value["a"].append(2)
    assert [found.value for found in context.findings] == [{"a": [1]}]
    with pytest.raises(NotJsonError):
        context.annotate("k", object())


def test_claims_are_for_those_who_may_read_them() -> None:
    principal = Principal("ann", "acme", ("staff",), {"email": "ann@acme.example"})
    operation = Operation("1", "tools/call", principal=principal)
    seen = Context(operation, Scope("p")).principal
    assert (seen.user, seen.tenant, seen.groups, seen.claims) == ("ann", "acme", ("staff",), {})
    assert (
        Context(operation, Scope("p", capabilities=frozenset({READ_CLAIMS}))).principal is principal
    )


def test_a_finding_says_who_found_it_and_where() -> None:
    operation = Operation("1", "tools/call")
    Context(operation, SCOPE).annotate("risk", 3)
    assert operation.findings == [Finding("p", "tool_pre_invoke", "risk", 3)]


def test_requests_share_nothing() -> None:
    one, other = Operation("1", "tools/call"), Operation("2", "tools/call")
    Context(one, SCOPE).annotate("risk", 3)
    Context(one, SCOPE).state["a"] = Context(one, SCOPE).shared["a"] = 1
    assert [other.findings, other.states, other.shared] == [[], {}, {}]


def test_errors_carry_what_they_are_about() -> None:
    failed = PluginError("timed out", plugin="pii", hook="tool_pre_invoke")
    assert str(failed) == "plugin 'pii' in tool_pre_invoke: timed out"
    assert (failed.plugin, failed.hook, failed.message) == ("pii", "tool_pre_invoke", "timed out")
    refused = ServerError("no", server="crm", code=-32602, data={"a": 1})
    assert (refused.server, refused.code, refused.message) == ("crm", -32602, "no")
    assert refused.data == {"a": 1}
    gone = ServerUnavailableError("away", server="crm")
    assert (gone.server, gone.message) == ("crm", "away")
