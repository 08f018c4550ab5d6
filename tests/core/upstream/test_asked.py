from typing import Any

import pytest

from plugway.upstream.asked import asked_of, declared_in_session, declared_per_request

ALL = ("elicitation", "sampling", "roots")


@pytest.mark.parametrize(
    ("declared", "asks"),
    [
        ({}, {}),
        ({"elicitation": None}, {}),
        ({"elicitation": {}}, {"elicitation": {}}),
        ({"elicitation": {"form": {"x": 1}}}, {"elicitation": {"form": {}}}),
        ({"elicitation": {"url": {}, "new": {}}}, {"elicitation": {"url": {}}}),
        ({"elicitation": "odd"}, {"elicitation": {}}),
        ({"sampling": {"tools": {}, "context": {}}}, {"sampling": {"context": {}, "tools": {}}}),
        ({"roots": {"listChanged": True}}, {"roots": {}}),
        ({"tasks": {}, "extensions": {"a": 1}, "experimental": {}}, {}),
    ],
)
def test_what_a_server_may_ask_is_what_the_client_offers_in_one_spelling(
    declared: dict[str, Any], asks: dict[str, Any]
) -> None:
    assert asked_of(declared, ALL) == asks
    assert repr(asked_of(dict(reversed(declared.items())), ALL)) == repr(asks)
    assert asked_of(declared, ()) == {}


def test_the_order_in_which_a_client_declares_makes_no_difference() -> None:
    one: dict[str, Any] = {"roots": {}, "elicitation": {"url": {}, "form": {}}, "sampling": {}}
    other: dict[str, Any] = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}
    assert repr(asked_of(one, ALL)) == repr(asked_of(other, ALL))


def test_a_session_says_that_it_tells_of_changed_roots() -> None:
    assert declared_in_session({"roots": {}}) == {"roots": {"listChanged": True}}
    assert declared_in_session({"sampling": {}}) == {"sampling": {}}


def test_plain_elicitation_is_by_form_where_it_has_to_be_said() -> None:
    assert declared_per_request({"elicitation": {}}) == {"elicitation": {"form": {}}}
    by_url: dict[str, Any] = {"elicitation": {"url": {}}, "roots": {}}
    assert declared_per_request(by_url) == by_url
