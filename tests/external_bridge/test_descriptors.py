from typing import Any

import pytest

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire import sep2624
from plugway_external_bridge.wire.hooks import HOOKS, Phase

BARE: dict[str, Any] = {
    "name": "guard",
    "type": "validation",
    "hooks": [{"events": ["tools/call"], "phase": "request"}],
}


def read(**fields: Any) -> sep2624.Descriptor:
    return sep2624.read_descriptor({**BARE, **fields})


def covered(events: list[str], *, among_plugways: bool = False) -> list[str]:
    hooks = [{"events": events, "phase": "both"}]
    return [hook.name for hook in read(hooks=hooks).covered(among_plugways=among_plugways)]


def test_defaults_are_left_out_and_may_be_there() -> None:
    assert read(mode="active", failOpen=False, priorityHint=0).to_wire() == BARE


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "audit"},
        {"failOpen": True},
        {"priorityHint": -5},
        {"priorityHint": {"request": 3}},
        {"version": "1.0", "description": "guards"},
        {"configSchema": {"type": "object", "properties": {"a": {}}}},
    ],
)
def test_what_is_not_a_default_is_written(fields: dict[str, Any]) -> None:
    assert read(**fields).to_wire() == {**BARE, **fields}


def test_aliases_of_older_drafts_are_read() -> None:
    assert read(mode="enforce").mode == "active"
    both = read(hooks=[{"events": ["prompts/get"], "phase": "both"}])
    assert both.wants("prompts/get", Phase.REQUEST)
    assert both.wants("prompts/get", Phase.RESPONSE)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "sink"},
        {"mode": "shadow"},
        {"name": ""},
        {"name": 7},
        {"hooks": "tools/call"},
        {"hooks": [{"events": ["tools/call"], "phase": "later"}]},
        {"failOpen": "yes"},
        {"priorityHint": 2**31},
        {"priorityHint": "first"},
        {"compat": {"minProtocol": "2031-01-01"}},
        {"compat": {"minProtocol": "2020-01-01", "maxProtocol": "2023-01-01"}},
    ],
)
def test_what_this_bridge_can_not_use_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read(**fields)


def test_a_compatible_range_is_accepted() -> None:
    assert read(compat={"minProtocol": "2025-11-25"}).name == "guard"


def test_no_hooks_are_legal_and_match_nothing() -> None:
    assert read(hooks=[]).covered(among_plugways=True) == []


def test_a_star_means_every_event_of_the_proposal() -> None:
    custom = {"resource_template_post_list", "completion_pre", "completion_post"}
    assert set(covered(["*"])) == set(HOOKS) - custom
    assert set(covered(["*"], among_plugways=True)) == set(HOOKS)
    assert covered(["resources/templates/list"]) == ["resource_template_post_list"]


def test_a_pattern_means_the_events_below_it() -> None:
    assert covered(["tools/*"]) == ["tool_pre_invoke", "tool_post_invoke", "tool_post_list"]


def test_events_that_plugway_has_not_are_no_hooks() -> None:
    assert covered(["llm/completion", "skills/get", "tools"]) == []


@pytest.mark.parametrize(
    "capabilities",
    [
        {"extensions": {sep2624.EXTENSION: {"supportedEvents": []}}},
        {"extensions": {"interceptors": {}}},
        {"experimental": {sep2624.EXTENSION: {}}},
        {"interceptor": {}},
    ],
)
def test_the_capability_is_known_under_its_older_keys(capabilities: dict[str, Any]) -> None:
    assert sep2624.declared(capabilities)


def test_other_capabilities_prove_nothing() -> None:
    assert not sep2624.declared({"tools": {}, "extensions": {"other": {}}, "experimental": None})


def test_a_plugin_with_every_hook_is_bound_to_the_star() -> None:
    assert sep2624.supported_events([read(hooks=sep2624.bindings(HOOKS))]) == ["*"]


def test_a_plugin_is_bound_to_its_events_phase_by_phase() -> None:
    bound = sep2624.bindings(["tool_post_list", "tool_pre_invoke", "tool_post_invoke"])
    assert [(binding.events, binding.phase) for binding in bound] == [
        (("tools/call",), Phase.REQUEST),
        (("tools/call", "tools/list"), Phase.RESPONSE),
    ]
