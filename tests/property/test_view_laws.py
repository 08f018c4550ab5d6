"""What any endpoint lists can be asked for under that name, and is what the federation calls it."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from bounds import at_most
from hypothesis import given
from hypothesis import strategies as st

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.conditions import Matcher
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.federation.naming import outward_name, outward_uri
from plugway.federation.view import WHOLE, View, nothing
from plugway.generation import Generation
from plugway.jsonrpc import INVALID_PARAMS, RpcError
from plugway.methods import FETCHES, LISTINGS, Kind
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import Client, Context, PromptFetch, ResourceFetch, ToolCall, hookimpl

FETCH = {fetch.kind: fetch.name for fetch in FETCHES.values()}
LIST = {listing.kind: listing.name for listing in LISTINGS.values()}
KINDS = (Kind.TOOL, Kind.PROMPT, Kind.RESOURCE)


class Server(MemoryServer):
    """Says in every answer which server was asked for what, and refers to its resources."""

    def __init__(self, name: str, lists: Mapping[Kind, list[str]]) -> None:
        self.name = name
        self.lists = lists
        self.capabilities: Mapping[str, Any] = {
            key: {"listChanged": True} for key in ("tools", "prompts", "resources")
        }

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        for kind, name in LIST.items():
            if method == name:
                found = self.lists.get(kind, [])
                return {kind.value: [{kind.identifier: n, "of": [self.name, n]} for n in found]}
        kind = next(kind for kind, name in FETCH.items() if method == name)
        asked = (params or {})[kind.identifier]
        links = [
            {"type": "resource_link", "uri": uri, "of": [self.name, uri]}
            for uri in self.lists[Kind.RESOURCE]
        ]
        body = {"content": links, "messages": [], "contents": []}
        return {**body, "asked": [self.name, asked]}


class Witness:
    """Notes the names that hooks and records see."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def note(self, name: str, context: Context) -> None:
        self.seen.append((name, context.name, context.server))

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        self.note(payload.name, context)

    @hookimpl
    async def prompt_pre_fetch(self, payload: PromptFetch, context: Context) -> None:
        self.note(payload.name, context)

    @hookimpl
    async def resource_pre_fetch(self, payload: ResourceFetch, context: Context) -> None:
        self.note(payload.uri, context)


class Chains:
    def __init__(self, plugin: object) -> None:
        self.chains = compile_chains([("witness", plugin, Policy())])

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]


@dataclass
class Case:
    servers: list[Server]
    prefixes: dict[str, str]
    view: View

    def dispatcher(self, witness: Witness) -> Dispatcher:
        members = [Member(server, self.prefixes[server.name], 5) for server in self.servers]
        generation = Generation(
            Catalog(members),
            {server.name: server for server in self.servers},
            Chains(witness),
            Federation(members, None, lambda name: ""),
            request_timeout=5,
            max_payload_bytes=100_000,
        )
        return Dispatcher(generation, server_info={})

    def federated(self, kind: Kind, of: list[str]) -> str:
        outward = outward_uri if kind is Kind.RESOURCE else outward_name
        return outward(self.prefixes[of[0]], of[1])


# few names, of such parts that prefixes and names run into each other
SOME_NAMES = ["a", "b", "_a", "a__b", "b__a", "p__a"]
SOME_URIS = ["m://a", "m://b", "a+m://a", "p+m://b", "ui://a", "ui://b", "git+m://a"]
INWARD = st.sampled_from(SOME_NAMES + SOME_URIS)
NAMES = st.lists(st.sampled_from(SOME_NAMES), unique=True)
URIS = st.lists(st.sampled_from(SOME_URIS), unique=True)


def with_a(name: str) -> bool:
    return "a" in name


def even(name: str) -> bool:
    return len(name) % 2 == 0


OFFERS: list[Matcher] = [nothing, with_a, even]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    prefixes = draw(st.permutations(["a", "b", "p", "p_", "", ""]))[: draw(st.integers(1, 4))]
    servers = [
        Server(
            f"s{number}",
            {Kind.TOOL: draw(NAMES), Kind.PROMPT: draw(NAMES), Kind.RESOURCE: draw(URIS)},
        )
        for number in range(len(prefixes))
    ]
    named = {server.name: prefix for server, prefix in zip(servers, prefixes, strict=True)}
    shown = {name: prefix for name, prefix in named.items() if draw(st.booleans())}
    offered = {kind: draw(st.sampled_from(OFFERS)) for kind in KINDS if draw(st.booleans())}
    return Case(servers, named, View("v", shown, draw(st.booleans()), offered))


async def ask(dispatcher: Dispatcher, view: View, method: str, **params: Any) -> dict[str, Any]:
    client = Client("law")
    return await dispatcher.handle(Request(method, params, client, modern=True, view=view))


async def answer_or_error(asking: Awaitable[dict[str, Any]]) -> dict[str, Any] | RpcError:
    try:
        return await asking
    except RpcError as error:
        return error


async def listed(dispatcher: Dispatcher, view: View, kind: Kind) -> dict[str, list[str]]:
    """Return what is listed: name, and what it is of which server."""
    result = await ask(dispatcher, view, LIST[kind])
    return {item[kind.identifier]: list(item["of"]) for item in result[kind.value]}


@at_most(1_000)
@given(cases())
async def test_what_a_view_lists_can_be_had_and_hooks_see_what_the_federation_calls_it(
    case: Case,
) -> None:
    witness = Witness()
    dispatcher = case.dispatcher(witness)
    for kind in KINDS:
        for name, of in (await listed(dispatcher, case.view, kind)).items():
            witness.seen.clear()
            key = {kind.identifier: name}
            result = await ask(dispatcher, case.view, FETCH[kind], **key)
            assert result["asked"] == of
            canonical = case.federated(kind, of)
            assert witness.seen == [(canonical, canonical, of[0])]


@at_most(1_000)
@given(cases())
async def test_a_view_lists_nothing_but_what_the_federation_has(case: Case) -> None:
    dispatcher = case.dispatcher(Witness())
    for kind in KINDS:
        whole = await listed(dispatcher, WHOLE, kind)
        part = await listed(dispatcher, case.view, kind)
        assert list(part.values()) == [of for of in whole.values() if of in part.values()]
        shown = case.view.servers or {}
        may = [of for name, of in whole.items() if of[0] in shown and case.view.offers(kind, name)]
        assert all(of in may for of in part.values())
        if case.view.prefixed:
            assert list(part.values()) == may


@at_most(1_000)
@given(cases(), st.sampled_from(KINDS), st.sampled_from(["", "a", "p", "p_"]), INWARD)
async def test_what_a_view_does_not_show_reaches_no_server(
    case: Case, kind: Kind, prefix: str, inward: str
) -> None:
    witness = Witness()
    dispatcher = case.dispatcher(witness)
    for each in KINDS:
        await listed(dispatcher, WHOLE, each)
    name = outward_uri(prefix, inward) if kind is Kind.RESOURCE else outward_name(prefix, inward)
    asking = ask(dispatcher, case.view, FETCH[kind], **{kind.identifier: name})
    result = await answer_or_error(asking)
    if isinstance(result, RpcError):
        assert result.code == INVALID_PARAMS
        assert result.message.endswith(f": {name}")
        assert witness.seen == []
        return
    server, asked = result["asked"]
    assert server in (case.view.servers or {})
    canonical = case.federated(kind, [server, asked])
    assert case.view.offers(kind, canonical)
    assert witness.seen == [(canonical, canonical, server)]


@at_most(1_000)
@given(cases())
async def test_a_link_in_a_result_leads_to_the_resource_that_the_server_meant(case: Case) -> None:
    dispatcher = case.dispatcher(Witness())
    for kind in KINDS:
        await listed(dispatcher, WHOLE, kind)
    readable = (await listed(dispatcher, case.view, Kind.RESOURCE)).values()
    for name in await listed(dispatcher, case.view, Kind.TOOL):
        result = await ask(dispatcher, case.view, "tools/call", name=name)
        for link in result["content"]:
            if list(link["of"]) in readable:
                read = await ask(dispatcher, case.view, "resources/read", uri=link["uri"])
                assert read["asked"] == list(link["of"])
