from dataclasses import MISSING, fields
from typing import Any

import pytest
from bounds import at_most
from hypothesis import given
from hypothesis import strategies as st

import plugway_hookspecs
from plugway.jsonvalues import is_array, is_object
from plugway_hookspecs import ElicitationResult, Payload, SamplingResult, thaw

KINDS: list[type[Payload]] = [
    kind
    for kind in vars(plugway_hookspecs).values()
    if isinstance(kind, type) and issubclass(kind, Payload) and kind is not Payload
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**80), max_value=2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)
TEXTS = {
    *("name", "uri", "description", "message", "mode", "url", "action", "role", "model"),
    *("system_prompt", "include_context", "stop_reason"),
}
OBJECT = {
    *("arguments", "meta", "ref", "argument", "context", "completion"),
    *("model_preferences", "requested_schema"),
}
SCALAR = {"is_error": bool, "max_tokens": int, **dict.fromkeys(TEXTS, str)}
LISTS = st.lists(OBJECTS, max_size=3)


def required(kind: type[Payload]) -> set[str]:
    return {field.name for field in fields(kind) if field.default is MISSING}


def fitting(kind: type[Payload], attribute: str) -> st.SearchStrategy[Any]:
    """What fits a field; those that are not mentioned are lists of objects."""
    match attribute:
        case "structured_content":
            return JSON
        case "is_error":
            found: st.SearchStrategy[Any] = st.booleans()
        case "max_tokens":
            found = st.integers()
        case "content" if kind is ElicitationResult:
            found = OBJECTS
        case "content" if kind is SamplingResult:
            found = OBJECTS | LISTS
        case _ if attribute in TEXTS:
            found = st.text(max_size=3) | st.just("form")
        case _ if attribute in OBJECT:
            found = OBJECTS
        case _:
            found = LISTS
    return found if attribute in required(kind) else st.none() | found


@st.composite
def messages(draw: st.DrawFn) -> tuple[type[Payload], dict[str, Any]]:
    """Any JSON object, as likely as not with the keys that a payload names."""
    kind = draw(st.sampled_from(KINDS))
    keys = [*kind.WIRE.values(), "error", "resultType", "extra", "meta"]
    wire = draw(st.dictionaries(st.sampled_from(keys) | st.text(max_size=4), JSON, max_size=8))
    for attribute, key in kind.WIRE.items():
        if attribute in required(kind) or key in wire:
            wire[key] = draw(fitting(kind, attribute))
    return kind, wire


def fits(kind: type[Payload], attribute: str, value: Any) -> bool:
    """Whether MCP has such a value in a field; what says nothing is as good as absent."""
    if value is None:
        return attribute not in required(kind)
    if attribute == "structured_content":
        return True
    if attribute in SCALAR:
        return type(value) is SCALAR[attribute]
    is_list = is_array(value) and all(map(is_object, value))
    if attribute == "content" and kind is SamplingResult:
        return isinstance(value, dict) or is_list
    if attribute in OBJECT or (attribute == "content" and kind is ElicitationResult):
        return isinstance(value, dict)
    return is_list


def test_every_payload_class_is_here() -> None:
    assert len(KINDS) == 19


@at_most(5_000)
@given(messages())
def test_a_message_comes_out_of_a_payload_as_it_went_in(
    message: tuple[type[Payload], dict[str, Any]],
) -> None:
    kind, wire = message
    out = kind.from_wire(wire).to_wire()
    assert thaw(out) == wire
    # equality takes 1, 1.0 and True for the same
    assert {key: repr(value) for key, value in out.items()} == {
        key: repr(value) for key, value in wire.items()
    }


@at_most(5_000)
@given(messages(), st.dictionaries(st.text(max_size=3), SCALARS, max_size=3))
def test_replacing_one_field_keeps_all_others(
    message: tuple[type[Payload], dict[str, Any]], meta: dict[str, Any]
) -> None:
    kind, wire = message
    changed = kind.from_wire(wire).replace(meta=meta).to_wire()
    assert thaw(changed) == {**wire, "_meta": meta}


@at_most(5_000)
@given(messages())
def test_replacing_nothing_gives_an_equal_payload(
    message: tuple[type[Payload], dict[str, Any]],
) -> None:
    kind, wire = message
    payload = kind.from_wire(wire)
    assert payload.replace() == payload
    assert thaw(payload.replace().to_wire()) == wire


@at_most(5_000)
@given(messages())
def test_a_payload_shares_nothing_with_the_message_it_was_read_from(
    message: tuple[type[Payload], dict[str, Any]],
) -> None:
    kind, wire = message
    payload = kind.from_wire(wire)
    before = repr(payload)
    for value in wire.values():
        if isinstance(value, dict | list):
            value.clear()
    wire.clear()
    assert repr(payload) == before


def containers(value: Any) -> list[Any]:
    """Every object and array in a value, itself included."""
    if not isinstance(value, dict | list):
        return []
    inner: list[Any] = [*(value.values() if isinstance(value, dict) else value)]
    return [value, *(found for item in inner for found in containers(item))]


@at_most(5_000)
@given(messages(), st.sampled_from(["clear", "pop", "__init__", "update", "append", "sort"]))
def test_no_container_of_a_payload_can_be_changed(
    message: tuple[type[Payload], dict[str, Any]], method: str
) -> None:
    kind, wire = message
    payload = kind.from_wire(wire)
    before = repr(payload)
    for field in fields(payload):
        for container in containers(getattr(payload, field.name)):
            if method == "__init__":
                container.__init__([("a", 1)])
            elif hasattr(container, method):
                with pytest.raises(TypeError):
                    getattr(container, method)()
    assert repr(payload) == before


@at_most(5_000)
@given(messages(), st.data())
def test_a_field_holds_what_mcp_has_there_or_the_payload_is_not_made(
    message: tuple[type[Payload], dict[str, Any]], data: st.DataObject
) -> None:
    kind, wire = message
    attribute, key = data.draw(st.sampled_from(sorted(kind.WIRE.items())))
    value = data.draw(JSON)
    wire[key] = value
    if fits(kind, attribute, value):
        assert thaw(kind.from_wire(wire).to_wire()) == wire
    else:
        with pytest.raises(TypeError) as refused:
            kind.from_wire(wire)
        assert attribute in str(refused.value)
