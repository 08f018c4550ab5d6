from collections.abc import Callable, Mapping
from typing import Any

import pytest

from plugway.config import parse
from plugway.federation.catalog import Catalog, Member
from plugway.federation.endpoints import Endpoint, make_endpoints
from plugway.federation.lens import Lens
from plugway.federation.view import WHOLE, View
from plugway.methods import LIST_METHOD, Kind
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import ServerError, ServerUnavailableError

LISTS = ("tools", "prompts", "resources")


class Server(MemoryServer):
    """An MCP server in memory."""

    def __init__(self, name: str, **lists: list[str]) -> None:
        self.name = name
        self.lists = lists
        self.capabilities: Mapping[str, Any] = {key: {"listChanged": True} for key in LISTS}
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        self.asked.append(method)
        if self.error is not None:
            raise self.error
        kind = next(kind for kind, name in LIST_METHOD.items() if name == method)
        return {kind.value: [{kind.identifier: n} for n in self.lists.get(kind.value, [])]}


def servers() -> tuple[Server, Server]:
    return (
        Server(
            "a",
            tools=["x", "y"],
            resources=["file:///same", "file:///a", "ui://a/page"],
            resourceTemplates=["memo://a/{name}"],
        ),
        Server(
            "b",
            tools=["x", "z", "_x"],
            resources=["file:///same", "file:///b"],
            resourceTemplates=["memo://b/{name}"],
        ),
    )


def catalog(*found: Server, prefixes: Mapping[str, str] | None = None) -> Catalog:
    return Catalog([Member(s, (prefixes or {}).get(s.name, s.name), 5) for s in found])


def view(*names: str, prefixed: bool = False, **offered: Callable[[str], bool]) -> View:
    kinds = {Kind(key): matches for key, matches in offered.items()}
    return View("v", {name: name for name in names}, prefixed, kinds)


async def load(found: Catalog) -> None:
    for kind in Kind:
        await found.list(kind)


# the whole federation


async def test_the_whole_federation_changes_nothing_and_asks_nobody() -> None:
    server = Server("a")
    found = catalog(server)
    assert WHOLE.whole
    assert WHOLE.servers_of(Kind.TOOL) is None
    assert await Lens(WHOLE, found).inward(Kind.TOOL, "anything") == "anything"
    assert Lens(WHOLE, found).shown(Kind.TOOL, "anything").name == "anything"
    assert Lens(WHOLE, found).outward_uri("a+file:///x") == "a+file:///x"
    assert server.asked == []


# names


async def test_without_prefixes_the_first_server_has_a_name_that_two_have() -> None:
    a, b = servers()
    found, both = catalog(a, b), view("a", "b")
    assert await Lens(both, found).inward(Kind.TOOL, "x") == "a__x"
    assert await Lens(both, found).inward(Kind.TOOL, "z") == "b__z"
    assert await Lens(both, found).inward(Kind.TOOL, "a__x") is None
    assert await Lens(both, found).inward(Kind.TOOL, "nothing") is None
    assert Lens(both, found).shown(Kind.TOOL, "a__x").name == "x"
    name, missing = Lens(both, found).shown(Kind.TOOL, "b__x")
    assert name is None
    assert missing is not None
    assert (missing.server, missing.kind) == ("b", "name taken")
    assert missing.reason.startswith("'x' of 'b' is 'a__x' at the endpoint 'v'")


async def test_what_is_not_offered_takes_nobodys_name() -> None:
    found, both = catalog(*servers()), view("a", "b", tools=lambda name: name != "a__x")
    assert await Lens(both, found).inward(Kind.TOOL, "x") == "b__x"
    assert Lens(both, found).shown(Kind.TOOL, "a__x") == (None, None)
    assert Lens(both, found).shown(Kind.TOOL, "b__x").name == "x"


async def test_other_servers_are_not_there_and_are_not_asked() -> None:
    a, b = servers()
    found = catalog(a, b)
    for prefixed, own in ((True, "a__x"), (False, "x")):
        only = view("a", prefixed=prefixed)
        assert await Lens(only, found).inward(Kind.TOOL, own) == "a__x"
        assert await Lens(only, found).inward(Kind.TOOL, "b__z") is None
        assert await Lens(only, found).inward(Kind.TOOL, "z") is None
        uri = await Lens(only, found).inward(Kind.RESOURCE, "b+file:///b")
        assert uri == (None if prefixed else "a+b+file:///b")  # whatever that is: it is a's
        assert Lens(only, found).shown(Kind.TOOL, "b__z") == (None, None)
        assert Lens(only, found).shown(Kind.TOOL, "stray") == (None, None)
    assert b.asked == []


async def test_a_prefix_that_begins_like_another_makes_no_second_name() -> None:
    a, b = servers()
    prefixes = {"a": "p_", "b": "p"}
    found = catalog(a, b, prefixes=prefixes)
    await load(found)
    both = View("v", prefixes, prefixed=False)
    # `p___x` is x of `p_` and not _x of `p`, which the federation reports
    assert await Lens(both, found).inward(Kind.TOOL, "_x") is None
    assert await Lens(both, found).inward(Kind.TOOL, "x") == "p___x"


async def test_a_name_that_the_federation_gives_to_another_server_is_in_no_view() -> None:
    a, b = servers()
    found = catalog(a, b, prefixes={"a": "", "b": ""})
    await load(found)
    only = View("b", {"b": ""})
    assert await Lens(only, found).inward(Kind.TOOL, "x") is None
    assert await Lens(only, found).inward(Kind.TOOL, "z") == "z"
    listed = await found.list(Kind.TOOL, servers=only.servers_of(Kind.TOOL))
    assert [item["name"] for item in listed.items] == ["z", "_x"]
    assert [(each.server, each.kind) for each in listed.unavailable] == [("b", "name taken")]


async def test_a_list_of_some_servers_waits_for_no_other() -> None:
    a, b = servers()
    b.error = ServerUnavailableError("down", server="b")
    listed = await catalog(a, b).list(Kind.TOOL, servers={"a"})
    assert [item["name"] for item in listed.items] == ["a__x", "a__y"]
    assert (listed.unavailable, b.asked) == ((), [])


@pytest.mark.parametrize(
    "error",
    [ServerUnavailableError("down", server="a"), ServerError("no", server="a", code=-32603)],
)
async def test_a_server_that_can_not_be_asked_hides_no_other(error: Exception) -> None:
    a, b = servers()
    a.error = error
    found, both = catalog(a, b), view("a", "b")
    assert await Lens(both, found).inward(Kind.TOOL, "x") == "b__x"
    with pytest.raises(type(error)):
        await Lens(both, found).inward(Kind.TOOL, "nothing")
    with pytest.raises(type(error)):
        await Lens(both, found).inward(Kind.RESOURCE, "memo://a/1")


async def test_a_server_that_is_not_shown_is_no_reason_for_an_error() -> None:
    a, b = servers()
    a.error = ServerUnavailableError("down", server="a")
    found = catalog(a, b, prefixes={"a": "", "b": ""})
    assert await Lens(View("b", {"b": ""}), found).inward(Kind.TOOL, "nothing") is None


# URIs


@pytest.mark.parametrize(
    ("uri", "inward"),
    [
        ("file:///a", "a+file:///a"),
        ("file:///b", "b+file:///b"),
        ("file:///same", "a+file:///same"),
        ("b+file:///same", "b+file:///same"),
        ("memo://a/1", "a+memo://a/1"),
        ("memo://b/1", "b+memo://b/1"),
        ("memo://c/1", None),
        ("b+memo://a/1", "b+memo://a/1"),
        ("ui://a/page", "ui://a/page"),
        ("ui://b/page", None),
        ("c+file:///a", None),
    ],
)
async def test_without_prefixes_uris_go_to_who_lists_them_or_has_a_template(
    uri: str, inward: str | None
) -> None:
    found, both = catalog(*servers()), view("a", "b")
    assert await Lens(both, found).inward(Kind.RESOURCE, uri) == inward
    assert Lens(both, found).resolve(Kind.RESOURCE, uri) == inward


async def test_a_uri_keeps_its_prefix_where_the_shorter_one_would_lead_elsewhere() -> None:
    found, both = catalog(*servers()), view("a", "b")
    await load(found)
    uris = ["a+file:///same", "b+file:///same", "b+memo://b/1", "b+memo://a/1", "ui://a/page"]
    assert [Lens(both, found).outward_uri(uri) for uri in uris] == [
        "file:///same",
        "b+file:///same",
        "memo://b/1",
        "b+memo://a/1",
        "ui://a/page",
    ]
    for uri in uris:
        assert (
            await Lens(both, found).inward(Kind.RESOURCE, Lens(both, found).outward_uri(uri)) == uri
        )


async def test_of_one_server_every_uri_is_short() -> None:
    found, only = catalog(*servers()), view("b")
    await load(found)
    assert Lens(only, found).outward_uri("b+memo://x/1") == "memo://x/1"
    assert await Lens(only, found).inward(Kind.RESOURCE, "memo://x/1") == "b+memo://x/1"
    assert Lens(only, found).outward_uri("a+file:///a") == "a+file:///a"
    assert Lens(only, found).outward_uri("file:///unknown") == "file:///unknown"


@pytest.mark.parametrize(
    ("template", "uri", "may"),
    [
        ("m://{a}/{b}", "m://1/2", True),
        ("m://{a}/{b}", "m://1", False),
        ("m://[x]*?{a}", "m://[x]*?1", True),
        ("m://[x]*?{a}", "m://xyz1", False),
        ("m://x{?q,r}", "m://x?q=1", True),
        ("m://x", "m://x1", False),
    ],
)
async def test_a_template_is_read_as_text_with_gaps(template: str, uri: str, may: bool) -> None:
    a, b = Server("a", resourceTemplates=[template]), Server("b")
    found, both = catalog(a, b), view("a", "b")
    assert await Lens(both, found).inward(Kind.RESOURCE, uri) == (f"a+{uri}" if may else None)


async def test_of_two_servers_whose_templates_fit_the_first_is_meant() -> None:
    template = ["memo://{name}"]
    found = catalog(
        Server("a", resourceTemplates=template), Server("b", resourceTemplates=template)
    )
    assert await Lens(view("a", "b"), found).inward(Kind.RESOURCE, "memo://1") == "a+memo://1"


# what configurations make of it

CONFIG = """
mcpServers:
  a: {command: x}
  b: {command: x, endpoint_prefix: false}
  hidden: {command: x, expose: false}
virtualServers:
  all: {servers: [b, a]}
  tools: {tools: ["b__*", "!b__x"]}
  part: {servers: [a, b], tools: ["*__x"], prompts: [], instructions: Only x.}
  files: {resources: ["a+file:///a/*", "!a+file:///a/secret*", "ui://*"]}
  but: {tools: ["!a__x"]}
"""
PARSED = parse(CONFIG, env={})


def endpoints(found: Catalog) -> Mapping[str, Endpoint]:
    return make_endpoints(PARSED, found.members, lambda name: f"I am {name}.")


def test_there_is_an_endpoint_for_each_exposed_and_each_virtual_server() -> None:
    found = endpoints(catalog(*servers()))
    assert list(found) == ["a", "b", "all", "tools", "part", "files", "but"]
    assert [each.view.name for each in found.values()] == list(found)
    assert (found["a"].view.prefixed, found["b"].view.prefixed) == (True, False)


def test_an_endpoint_has_the_servers_that_its_patterns_may_name_in_configuration_order() -> None:
    views = {name: list(e.view.servers or ()) for name, e in endpoints(catalog(*servers())).items()}
    assert views == {
        "a": ["a"],
        "b": ["b"],
        "all": ["a", "b"],
        "tools": ["b"],
        "part": ["a", "b"],
        "files": ["a", "b"],  # any server may have apps
        "but": ["a", "b"],
    }


async def test_a_missing_list_is_all_of_the_servers_or_nothing_without_servers() -> None:
    found = {name: each.view for name, each in endpoints(catalog(*servers())).items()}
    assert found["all"].offers(Kind.PROMPT, "a__p")
    assert not found["tools"].offers(Kind.PROMPT, "b__p")
    assert (found["tools"].offers(Kind.TOOL, "b__z"), found["tools"].offers(Kind.TOOL, "b__x")) == (
        True,
        False,
    )
    assert found["part"].offers(Kind.RESOURCE, "a+file:///x")
    assert not found["part"].offers(Kind.PROMPT, "a__p")
    assert not found["part"].servers_of(Kind.PROMPT)
    assert found["but"].offers(Kind.TOOL, "b__x")
    assert not found["but"].offers(Kind.TOOL, "a__x")


@pytest.mark.parametrize(
    ("uri", "may"),
    [
        ("a+file:///a/b", True),
        ("a+file:///a/%62", True),
        ("a+file:///a/../b", False),
        ("a+file:///a/%2e%2e/b", False),
        ("a+file:///a/%252e%252e/b", False),
        ("a+file:///a/secret", False),
        ("a+file:///a/%73ecret", False),
        ("a+file:///a/./secret", False),
        ("a+file:///b", False),
        ("ui://a/page", True),
    ],
)
def test_no_way_to_write_a_uri_leads_round_the_patterns(uri: str, may: bool) -> None:
    files = endpoints(catalog(*servers()))["files"].view
    assert files.offers(Kind.RESOURCE, uri) is may
    assert files.offers(Kind.TEMPLATE, uri) is may


@pytest.mark.parametrize("pattern", ["crm+*", "crm+file:///a/*", "*"])
def test_a_prefix_with_capital_letters_has_none_in_uris(pattern: str) -> None:
    text = "mcpServers: {a: {command: x, prefix: CRM}}\nvirtualServers: {v: {resources: ['%s']}}"
    members = [Member(Server("a"), "CRM", 5)]
    view = make_endpoints(parse(text % pattern, env={}), members, lambda _: "")["v"].view
    assert view.offers(Kind.RESOURCE, "crm+file:///a/b")
    assert not view.offers(Kind.RESOURCE, "crm+file:///a/../b") or pattern != "crm+file:///a/*"


async def test_clients_learn_of_an_endpoint_what_its_servers_say_and_can() -> None:
    a, b = servers()
    a.capabilities = {"tools": {}, "completions": {}}
    found = endpoints(catalog(a, b))

    async def can(name: str) -> set[str]:
        return set(await found[name].federation.capabilities()) - {"logging"}

    def said(name: str) -> str:
        return found[name].federation.instructions(guarded=False)

    assert await can("a") == {"tools", "completions"}
    assert await can("b") == {"tools", "prompts", "resources"}
    assert await can("tools") == {"tools"}
    assert await can("part") == {"tools", "resources", "completions"}
    assert await can("but") == {"tools"}
    assert said("a") == "I am a."
    assert said("all") == "a: I am a.\n\nb: I am b."
    assert said("part") == "Only x."
    assert found["all"].federation.instructions(guarded=True) == ""
    assert found["part"].federation.instructions(guarded=True) == "Only x."
