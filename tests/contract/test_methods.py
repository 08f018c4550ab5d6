"""Every MCP method that clients can send is hooked, or listed as not hooked with the reason."""

from collections.abc import Mapping
from dataclasses import fields

import pytest
from mcp_types import ClientCapabilities
from mcp_types.methods import CLIENT_REQUESTS, SERVER_REQUESTS, SPEC_CLIENT_METHODS

from plugway.methods import (
    ASKS,
    COMPLETION,
    EXCHANGES,
    FETCHES,
    HOOKS,
    LIST_METHOD,
    LISTINGS,
    SUBSCRIPTION,
    UNHOOKED,
    UNWRAPPED,
    Ask,
    Fetch,
    Kind,
)
from plugway_hookspecs import Specs

TABLES: dict[str, Mapping[str, object]] = {
    "FETCHES": FETCHES,
    "LISTINGS": LISTINGS,
    "SUBSCRIPTION": {SUBSCRIPTION.name: SUBSCRIPTION},
    "COMPLETION": {COMPLETION.name: COMPLETION},
    "UNHOOKED": UNHOOKED,
}
KNOWN = {method for method, _ in CLIENT_REQUESTS} | set(SPEC_CLIENT_METHODS)


@pytest.mark.parametrize("method", sorted(KNOWN))
def test_every_method_that_mcp_has_is_in_exactly_one_table(method: str) -> None:
    assert len([name for name, table in TABLES.items() if method in table]) == 1


def test_no_table_has_a_method_that_mcp_does_not_have() -> None:
    assert {method for table in TABLES.values() for method in table} == KNOWN


@pytest.mark.parametrize("reason", UNHOOKED.values())
def test_what_is_left_out_has_a_reason(reason: str) -> None:
    assert len(reason.split()) > 3


def test_every_hook_that_methods_name_is_specified() -> None:
    named = [hook for each in EXCHANGES for hook in (each.pre, each.post)]
    named += [listing.post for listing in LISTINGS.values()]
    named.append(SUBSCRIPTION.pre)
    assert sorted(named) == sorted(HOOKS)
    assert all(hasattr(Specs, hook) for hook in named)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_can_be_listed(kind: Kind) -> None:
    listing = LISTINGS[LIST_METHOD[kind]]
    assert listing.kind is kind
    assert kind.value in listing.result.WIRE.values()


@pytest.mark.parametrize("fetch", FETCHES.values(), ids=FETCHES)
def test_a_request_names_what_it_is_about_and_its_result_what_is_in_it(fetch: Fetch) -> None:
    assert fetch.kind.identifier in fetch.request.WIRE
    assert fetch.result.WIRE[fetch.result.ITEMS] == fetch.contents
    assert "error" in {field.name for field in fields(fetch.result)}


def test_everything_that_servers_ask_clients_has_hooks() -> None:
    asked = {method for method, _ in SERVER_REQUESTS}
    assert asked - {"ping"} == ASKS.keys()


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_question_says_which_capability_it_needs_and_takes_no_wrappers(ask: Ask) -> None:
    assert ask.capability in ClientCapabilities.model_fields
    assert {ask.pre, ask.post} <= UNWRAPPED.keys()
