from typing import Any

import pytest

from plugway_hookspecs import (
    Client,
    Context,
    Finding,
    Operation,
    PluginError,
    Principal,
    Scope,
    ServerError,
    ServerUnavailableError,
    ToolCall,
)
from plugway_hookspecs.context import READ_HEADERS

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
    reader = Scope("p", capabilities=frozenset({READ_HEADERS}))
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
    context = Context(operation, Scope("p", capabilities=frozenset({READ_HEADERS})))
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


def test_shared_notes_are_shared() -> None:
    operation = Operation("1", "tools/call")
    Context(operation, Scope("a")).shared["seen"] = 1
    assert Context(operation, Scope("b")).shared == {"seen": 1}


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
