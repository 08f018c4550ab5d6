from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway_builtin_plugins.parts import entries, parts, show
from plugway_builtin_plugins.shapes import PAYLOADS, TEXT, Kind
from plugway_builtin_plugins.texts import read_texts
from plugway_builtin_plugins.walk import (
    Leaf,
    first_leaf,
    rewrite,
    rewrite_entries,
    rewrite_payload,
)
from plugway_hookspecs import (
    Payload,
    PromptList,
    ResourceResult,
    ToolCall,
    ToolList,
    ToolResult,
    freeze,
    thaw,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def keep(leaf: Leaf) -> Any:
    return leaf.value


def mark(leaf: Leaf) -> Any:
    return f"<{leaf.value}>" if isinstance(leaf.value, str) else leaf.value


def seen_in(payload: Payload) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def visit(leaf: Leaf) -> Any:
        if not leaf.is_key:
            seen[show(leaf.path)] = leaf.value
        return leaf.value

    rewrite_payload(payload, visit)
    rewrite_entries(payload, lambda part: rewrite(part.value, part.shape, visit, part.path))
    return seen


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


@given(values)
def test_a_visitor_that_changes_nothing_gets_the_very_same_object_back(value: Any) -> None:
    frozen = freeze(value)
    assert rewrite(frozen, TEXT, keep) is frozen


@given(values)
def test_rewriting_texts_preserves_the_structure(value: Any) -> None:
    def expected(value: Any) -> Any:
        if isinstance(value, str):
            return f"<{value}>"
        kind: type[Any] = value.__class__
        if kind is dict:
            return {f"<{key}>": expected(item) for key, item in value.items()}
        return [expected(item) for item in value] if kind is list else value

    assert rewrite(freeze(value), TEXT, mark) == expected(value)


@given(values)
def test_a_path_leads_to_its_leaf(value: Any) -> None:
    def visit(leaf: Leaf) -> Any:
        if not leaf.is_key:
            assert at(value, leaf.path) is leaf.value or at(value, leaf.path) == leaf.value
        return leaf.value

    rewrite(value, TEXT, visit)


@given(values)
def test_reading_and_visiting_see_the_same_texts(value: Any) -> None:
    payload = ToolResult(structured_content=value)
    visited: list[str] = []

    def visit(leaf: Leaf) -> Any:
        if isinstance(leaf.value, str):
            visited.append(leaf.value)
        return leaf.value

    rewrite_payload(payload, visit)
    read = read_texts(parts(payload))
    assert set(visited) <= set(read.values)
    assert read.keys <= set(visited)


def test_the_deepest_payload_is_walked() -> None:
    value: Any = "x"
    for level in range(126):
        value = [value] if level % 2 else {"k": value}
    payload = ToolCall("t", {"deep": value})
    changed = rewrite_payload(payload, mark)
    assert "<x>" in str(changed.arguments)


def test_keys_that_come_out_the_same_are_numbered() -> None:
    payload = ToolCall("t", {"a": 1, "b": 2, "same#2": 3, "c": {"d": 4}})

    def visit(leaf: Leaf) -> Any:
        return "same" if leaf.is_key and leaf.value in {"a", "b"} else leaf.value

    changed = rewrite_payload(payload, visit)
    assert changed.arguments == {"same": 1, "same#3": 2, "same#2": 3, "c": {"d": 4}}


def test_a_rewritten_key_never_replaces_one_that_was_there() -> None:
    payload = ToolCall("t", {"a": 1, "taken": 2})
    changed = rewrite_payload(payload, lambda leaf: "taken" if leaf.value == "a" else leaf.value)
    assert changed.arguments == {"taken#2": 1, "taken": 2}


def test_protocol_fields_of_content_are_not_visited() -> None:
    result = ToolResult(
        content=[
            {"type": "text", "text": "a", "annotations": {"lastModified": "b", "audience": ["c"]}},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "u:d", "name": "e", "mimeType": "text/plain"},
            {"type": "resource", "resource": {"uri": "u:f", "text": "g", "mimeType": "text/x"}},
        ],
        meta={"progressToken": "t", "traceparent": "00-1-2-03", "mine": "h"},
        extra={"resultType": "complete", "note": "i"},
    )
    assert seen_in(result) == {
        "content[0].text": "a",
        "content[3].uri": "u:d",
        "content[3].name": "e",
        "content[4].resource.uri": "u:f",
        "content[4].resource.text": "g",
        "_meta.mine": "h",
        "note": "i",
    }


def test_the_names_of_protocol_fields_are_not_visited_and_other_keys_are() -> None:
    result = ToolResult(
        content=[{"type": "text", "text": "a", "mine": {"name": "b"}}],
        structured_content={"text": "c"},
    )
    keys: list[str] = []

    def visit(leaf: Leaf) -> Any:
        if leaf.is_key:
            keys.append(leaf.value)
        return leaf.value

    rewrite_payload(result, visit)
    assert keys == ["mine", "name", "text"]


def test_unknown_content_types_and_fields_are_text() -> None:
    result = ToolResult(content=[{"type": "hologram", "data": "a", "deep": {"x": ["b"]}}])
    assert seen_in(result) == {"content[0].data": "a", "content[0].deep.x[0]": "b"}


def test_tools_are_read_without_their_names_and_the_grammar_of_their_schemas() -> None:
    tools = ToolList(
        tools=[
            {
                "name": "crm__find",
                "execution": {"taskSupport": "optional"},
                "title": "a",
                "description": "b",
                "inputSchema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "description": "c",
                    "properties": {
                        "who": {"type": "string", "pattern": "^x", "description": "d"},
                        "which": {"enum": ["e"], "default": "f", "examples": ["g"]},
                    },
                    "required": ["who"],
                    "allOf": [{"if": {"title": "h"}}],
                },
            }
        ]
    )
    schema = "tools[0].inputSchema"
    assert seen_in(tools) == {
        "tools[0].title": "a",
        "tools[0].description": "b",
        f"{schema}.description": "c",
        f"{schema}.properties.who.description": "d",
        f"{schema}.properties.which.enum[0]": "e",
        f"{schema}.properties.which.default": "f",
        f"{schema}.properties.which.examples[0]": "g",
        f"{schema}.required[0]": "who",
        f"{schema}.allOf[0].if.title": "h",
    }


def test_what_a_schema_is_matched_by_is_a_reference() -> None:
    tools = ToolList(
        tools=[{"name": "t", "inputSchema": {"properties": {"k": {"enum": ["v"], "title": "w"}}}}]
    )
    kinds: dict[Any, Kind] = {}

    def visit(leaf: Leaf) -> Any:
        kinds[leaf.value] = leaf.kind
        return leaf.value

    rewrite_entries(tools, lambda part: rewrite(part.value, part.shape, visit, part.path))
    assert kinds == {"k": Kind.REFERENCE, "v": Kind.REFERENCE, "w": Kind.TEXT}


def test_questions_to_the_client_are_read_and_request_state_is_not() -> None:
    result = ToolResult(
        extra={
            "resultType": "input_required",
            "requestState": "opaque",
            "inputRequests": {
                "q1": {
                    "method": "elicitation/create",
                    "params": {
                        "mode": "form",
                        "message": "a",
                        "requestedSchema": {"properties": {"x": {"type": "string", "title": "b"}}},
                    },
                },
                "q2": {
                    "method": "sampling/createMessage",
                    "params": {
                        "messages": [{"role": "user", "content": {"type": "text", "text": "c"}}],
                        "systemPrompt": "d",
                    },
                },
            },
        }
    )
    assert list(seen_in(result).values()) == ["a", "b", "c", "d"]


def test_answers_of_the_client_are_read() -> None:
    call = ToolCall(
        "t",
        extra={
            "requestState": "opaque",
            "inputResponses": {
                "q1": {"action": "accept", "content": {"mail": "a"}},
                "q2": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "b"}},
                "q3": {"roots": [{"uri": "file:///c", "name": "d"}]},
            },
        },
    )
    assert list(seen_in(call).values()) == ["a", "b", "file:///c", "d"]


def test_text_in_base64_is_read_and_written_back() -> None:
    # "hello" in base64, and bytes that are no UTF-8
    contents: list[dict[str, Any]] = [
        {"uri": "u:1", "mimeType": "text/plain; charset=utf-8", "blob": "aGVsbG8="},
        {"uri": "u:2", "blob": "aGVsbG8"},
        {"uri": "u:3", "mimeType": "application/octet-stream", "blob": "aGVsbG8="},
        {"uri": "u:4", "blob": "/////w=="},
        {"uri": "u:5", "mimeType": "text/plain", "blob": "not base64!"},
        {"uri": "u:6", "mimeType": "text/plain", "blob": "/2hp"},
        {"uri": "u:7", "mimeType": "text/plain", "blob": {"odd": "x"}},
    ]
    result = ResourceResult(contents=contents)
    changed = rewrite_payload(
        result, lambda leaf: leaf.value + "!" if leaf.key in {"blob", "odd"} else leaf.value
    )
    assert [content["blob"] for content in changed.contents] == [
        "aGVsbG8h",
        "aGVsbG8h",
        "aGVsbG8=",
        "/////w==",
        "not base64!!",
        "/2hpIQ==",
        {"odd": "x!"},
    ]


def test_entries_of_a_list_can_be_left_out() -> None:
    prompts = PromptList(prompts=[{"name": "a"}, {"name": "b"}, {"name": "c"}])
    kept = rewrite_entries(prompts, lambda part: None if part.value["name"] == "b" else part.value)
    assert thaw(kept.prompts) == [{"name": "a"}, {"name": "c"}]
    assert rewrite_entries(prompts, lambda part: part.value) is prompts
    assert entries(ToolCall("t")) == []


def test_the_first_leaf_that_matches_is_found() -> None:
    call = ToolCall("t", {"a": ["x", "y"], "b": "y"})
    leaf = first_leaf(parts(call), lambda leaf: leaf.value == "y")
    assert leaf is not None
    assert show(leaf.path) == "arguments.a[1]"
    assert leaf.key == "a"
    assert first_leaf(parts(call), lambda leaf: leaf.value == "z") is None


@pytest.mark.parametrize("kind", PAYLOADS)
def test_every_field_of_every_payload_has_a_shape_or_is_a_name(kind: type[Payload]) -> None:
    assert set(kind.__slots__) - set(PAYLOADS[kind]) <= {"name", "is_error"}
