from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl

from plugway.federation.naming import (
    app_of,
    inward_name,
    inward_uri,
    is_app,
    outward_item,
    outward_name,
    outward_result,
    outward_uri,
)

# what the configuration allows: letters, digits, `_`, `.`, `-`, but no `__`
PREFIXES = st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True).filter(lambda p: "__" not in p)


def test_names_and_uris_carry_their_servers_prefix() -> None:
    assert outward_name("crm", "lookup") == "crm__lookup"
    assert outward_uri("crm", "file:///x") == "crm+file:///x"
    assert outward_uri("crm", "memo://{name}") == "crm+memo://{name}"


@pytest.mark.parametrize(
    ("prefix", "start"),
    [
        ("my_files", "my-files+"),
        ("CRM", "crm+"),
        ("7zip", "x-7zip+"),
        ("_", "x--+"),
        ("a.b", "a.b+"),
    ],
)
def test_a_uri_begins_as_schemes_may(prefix: str, start: str) -> None:
    assert outward_uri(prefix, "memo://today") == f"{start}memo://today"


@given(PREFIXES)
def test_clients_that_parse_uris_leave_them_as_they_are(prefix: str) -> None:
    uri = outward_uri(prefix, "memo://today")
    assert str(AnyUrl(uri)) == uri


def test_without_a_prefix_names_stay_as_they_are() -> None:
    assert outward_name("", "lookup") == inward_name("", "lookup") == "lookup"
    assert outward_uri("", "file:///x") == inward_uri("", "file:///x") == "file:///x"
    result = {"content": [{"type": "resource_link", "uri": "file:///x"}]}
    assert outward_result("", result) is result


@given(PREFIXES, st.text())
def test_the_way_in_undoes_the_way_out(prefix: str, name: str) -> None:
    assert inward_name(prefix, outward_name(prefix, name)) == name
    assert inward_uri(prefix, outward_uri(prefix, name)) == name


@pytest.mark.parametrize(
    ("name", "inward"),
    [
        ("crm__a__b", "a__b"),
        ("crm___a", "_a"),
        ("crm__", ""),
        ("crm", None),
        ("crm_a", None),
        ("CRM__a", None),
        ("crm2__a", None),
        ("__a", None),
        ("x__crm__a", None),
    ],
)
def test_a_name_belongs_to_a_prefix_or_it_does_not(name: str, inward: str | None) -> None:
    assert inward_name("crm", name) == inward


@pytest.mark.parametrize(
    ("uri", "inward"),
    [
        ("crm+git+ssh://x", "git+ssh://x"),
        ("crm+", ""),
        ("crm:x", None),
        ("crm2+file:///x", None),
        ("git+crm+file:///x", None),
    ],
)
def test_a_uri_belongs_to_a_prefix_or_it_does_not(uri: str, inward: str | None) -> None:
    assert inward_uri("crm", uri) == inward


def test_uris_in_results_become_the_ones_that_clients_can_read() -> None:
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    embedded = {"type": "resource", "resource": {"uri": "file:///b", "text": "b"}}
    text = {"type": "text", "text": "file:///c"}
    result: dict[str, Any] = {
        "content": [link, embedded, text],
        "messages": [
            {"role": "user", "content": link},
            {"role": "user", "content": [embedded]},
        ],
        "contents": [{"uri": "file:///d", "text": "d"}],
        "structuredContent": {"uri": "file:///e"},
        "other": 1,
    }
    outward_link = {"type": "resource_link", "uri": "crm+file:///a", "name": "a"}
    outward_embedded = {"type": "resource", "resource": {"uri": "crm+file:///b", "text": "b"}}
    assert outward_result("crm", result) == {
        "content": [outward_link, outward_embedded, text],
        "messages": [
            {"role": "user", "content": outward_link},
            {"role": "user", "content": [outward_embedded]},
        ],
        "contents": [{"uri": "crm+file:///d", "text": "d"}],
        "structuredContent": {"uri": "file:///e"},
        "other": 1,
    }
    assert link["uri"] == "file:///a"
    assert embedded["resource"] == {"uri": "file:///b", "text": "b"}


NONSENSE: list[dict[str, Any]] = [
    {},
    {"content": None},
    {"content": "text"},
    {"content": [None, 1, "x", [], {}, {"type": "resource"}, {"type": "resource_link"}]},
    {"content": [{"type": "resource", "resource": None}, {"type": "resource_link", "uri": 1}]},
    {"messages": [None, 1, {}, {"content": None}, {"content": [None]}]},
    {"contents": [None, 1, {}, {"uri": None}]},
]


@pytest.mark.parametrize("result", NONSENSE)
def test_results_that_make_no_sense_are_left_to_others(result: dict[str, Any]) -> None:
    assert outward_result("crm", result) == result


# apps


@pytest.mark.parametrize("uri", ["ui://clock/page", "UI://clock/page", "ui://"])
def test_an_app_has_one_uri_whatever_the_prefix(uri: str) -> None:
    assert is_app(uri)
    assert outward_uri("crm", uri) == uri
    assert inward_uri("crm", uri) == uri
    assert inward_uri("crm", f"crm+{uri}") is None


def test_other_uris_are_no_apps() -> None:
    assert not any(map(is_app, ["uix://a", "ui:/a", "xui://a", "", "crm+ui://a"]))


def test_a_tools_app_is_found_in_both_places_where_tools_have_it() -> None:
    assert app_of({"_meta": {"ui": {"resourceUri": "ui://a"}}}) == "ui://a"
    assert app_of({"_meta": {"ui/resourceUri": "ui://b"}}) == "ui://b"
    nonsense: list[dict[str, Any]] = [{}, {"_meta": None}, {"_meta": {"ui": {"resourceUri": 1}}}]
    assert [app_of(tool) for tool in nonsense] == [None] * 3


def test_what_a_tool_refers_to_as_its_app_is_renamed_like_all_uris() -> None:
    tool = {"name": "t", "_meta": {"ui": {"resourceUri": "x://a", "k": 1}, "ui/resourceUri": "x:b"}}
    renamed = {"ui": {"resourceUri": "crm+x://a", "k": 1}, "ui/resourceUri": "crm+x:b"}
    assert outward_item("crm", "name", tool) == {"name": "crm__t", "_meta": renamed}
    app = {"name": "t", "_meta": {"ui": {"resourceUri": "ui://a"}}}
    assert outward_item("crm", "name", app) == {**app, "name": "crm__t"}
    for meta in (None, 1, {}, {"ui": None}, {"ui": {"resourceUri": None}}):
        odd = {"name": "t", "_meta": meta}
        assert outward_item("crm", "name", odd) == {**odd, "name": "crm__t"}
