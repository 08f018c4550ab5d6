import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from plugway.federation import member as module
from plugway.federation.catalog import Catalog, Member
from plugway.methods import LIST_METHOD, Kind
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import FrozenDict, ServerError, ServerUnavailableError, freeze

ALL: Mapping[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
PROMISES: Mapping[str, Any] = {name: {"listChanged": True} for name in ALL}


class Server(MemoryServer):
    """An MCP server in memory: one page of each list, or what `answer` gives."""

    def __init__(
        self, name: str, capabilities: Mapping[str, Any] = ALL, **lists: list[Any]
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.lists: dict[str, list[Any]] = lists
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.listener: Callable[..., None] = lambda *_: None
        self.down = False

    async def connect(self) -> None:
        if self.down:
            raise ServerUnavailableError(f"server {self.name!r} is down", server=self.name)

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        self.asked.append((method, dict(params or {})))
        return await self.answer(method, dict(params or {}))

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        kind = next(kind for kind, name in LIST_METHOD.items() if name == method)
        return {kind.value: self.lists.get(kind.value, [])}

    def on_list_changed(self, listener: Callable[[str, Any], None]) -> Callable[[], None]:
        self.listener = listener
        return lambda: None


class Waits(Server):
    """Answers when it is let go."""

    def __init__(self, name: str, capabilities: Mapping[str, Any] = ALL, **lists: Any) -> None:
        super().__init__(name, capabilities, **lists)
        self.started, self.go = anyio.Event(), anyio.Event()

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        found = await super().answer(method, params)
        self.started.set()
        await self.go.wait()
        return found


class Answers(Server):
    """Answers what it is told to."""

    def __init__(self, name: str, *pages: Any, capabilities: Mapping[str, Any] = ALL) -> None:
        super().__init__(name, capabilities)
        self.pages = list(pages)

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        if isinstance(page, Exception):
            raise page
        result: dict[str, Any] = page
        return result


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def catalog(*servers: Server, timeout: float = 5, unprefixed: bool = False) -> Catalog:
    return Catalog([Member(s, "" if unprefixed else s.name, timeout) for s in servers])


async def names(found: Catalog, kind: Kind = Kind.TOOL) -> list[str]:
    return [item[kind.identifier] for item in (await found.list(kind)).items]


async def missing(found: Catalog) -> dict[str, str]:
    return {each.server: each.reason for each in (await found.list(Kind.TOOL)).unavailable}


# lists


async def test_all_servers_are_listed_in_the_order_of_the_configuration() -> None:
    slow, fast = Waits("z", tools=[tool("b"), tool("a")]), Server("a", tools=[tool("c")])
    found = catalog(slow, fast)
    listed: list[str] = []

    async def run() -> None:
        listed.extend(await names(found))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(5):
            await slow.started.wait()
        assert fast.asked  # at the same time
        slow.go.set()
    assert listed == ["z__b", "z__a", "a__c"]


async def test_every_kind_has_its_own_list_and_names() -> None:
    server = Server(
        "s",
        tools=[tool("t")],
        prompts=[{"name": "p"}],
        resources=[{"uri": "file:///r", "name": "r"}],
        resourceTemplates=[{"uriTemplate": "memo://{x}", "name": "m"}],
    )
    found = catalog(server)
    assert await names(found, Kind.TOOL) == ["s__t"]
    assert await names(found, Kind.PROMPT) == ["s__p"]
    assert await names(found, Kind.RESOURCE) == ["s+file:///r"]
    assert await names(found, Kind.TEMPLATE) == ["s+memo://{x}"]
    assert [method for method, _ in server.asked] == [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ]


async def test_a_definition_keeps_everything_but_its_name_and_cannot_be_changed() -> None:
    extended = tool("t", annotations={"readOnlyHint": True}, **{"x-unknown": [None, False, {}]})
    (item,) = (await catalog(Server("s", tools=[extended])).list(Kind.TOOL)).items
    assert item == {**extended, "name": "s__t"}
    assert type(item["annotations"]) is FrozenDict


async def test_pages_are_followed_to_the_end() -> None:
    server = Answers(
        "s",
        {"tools": [tool("a")], "nextCursor": "2"},
        {"tools": [], "nextCursor": ""},
        {"tools": [tool("b")], "nextCursor": None},
        RuntimeError("nobody asked for this page"),
    )
    assert await names(catalog(server)) == ["s__a", "s__b"]
    assert [params for _, params in server.asked] == [{}, {"cursor": "2"}, {"cursor": ""}]


async def test_a_server_that_lists_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    endless = Answers("s", {"tools": [tool("a")], "nextCursor": "more"})
    found = catalog(endless, Server("fine", tools=[tool("b")]))
    assert await names(found) == ["fine__b"]
    assert (await missing(found))["s"] == "server 's' lists its tools on more than 3 pages"
    assert len(endless.asked) == 6


async def test_a_server_that_lists_too_much_is_cut_off() -> None:
    big = Answers("big", {"tools": [tool("a", description="x" * 600)], "nextCursor": "more"})
    found = Catalog([Member(big, "big", 5, 1000), Member(Server("s", tools=[tool("b")]), "s", 5)])
    assert await names(found) == ["s__b"]
    assert (await missing(found))["big"] == "server 'big' lists more than 1000 bytes of tools"
    assert len(big.asked) == 4


async def test_without_the_capability_a_server_is_not_asked() -> None:
    server = Server("s", {"prompts": {}}, tools=[tool("a")])
    found = catalog(server)
    assert await names(found) == []
    assert await missing(found) == {}
    assert server.asked == []


# what is wrong with one server is its own


async def test_a_dead_server_is_reported_and_the_others_stay() -> None:
    dead, fine = Server("dead", tools=[tool("a")]), Server("fine", tools=[tool("b")])
    found = catalog(dead, fine)
    assert await names(found) == ["dead__a", "fine__b"]
    dead.down = True
    assert await names(found) == ["fine__b"]
    assert await missing(found) == {"dead": "server 'dead' is down"}
    dead.down = False
    assert await names(found) == ["dead__a", "fine__b"]


async def test_a_slow_server_is_waited_for_only_so_long() -> None:
    slow, fine = Waits("slow", tools=[tool("a")]), Server("fine", tools=[tool("b")])
    found = catalog(slow, fine, timeout=0.01)
    with anyio.fail_after(5):
        assert await names(found) == ["fine__b"]
        reason = (await missing(found))["slow"]
    assert reason == "server 'slow' did not list its tools within 0.01 s"


GARBAGE: list[Any] = [
    {},
    {"tools": None},
    {"tools": {"a": 1}},
    {"tools": "abc"},
    [],
    None,
    7,
    ServerError("it broke", server="bad", code=-32000),
]


@pytest.mark.parametrize("page", GARBAGE)
async def test_a_server_that_answers_nonsense_is_reported_and_the_others_stay(page: Any) -> None:
    found = catalog(Answers("bad", page), Server("fine", tools=[tool("b")]))
    assert await names(found) == ["fine__b"]
    assert (await missing(found)).keys() == {"bad"}


def nested(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "item", [None, 1, "x", [], {}, {"name": None}, {"name": 7}, tool("deep", x=nested(200))]
)
async def test_an_entry_that_makes_no_sense_is_left_out_and_its_neighbours_stay(
    item: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = catalog(Server("s", tools=[tool("a"), item, tool("b")]))
    assert await names(found) == ["s__a", "s__b"]
    assert await missing(found) == {}
    assert "left out" in caplog.text


async def test_nesting_that_exhausts_the_stack_harms_only_its_own_server() -> None:
    found = catalog(
        Server("bad", tools=[tool("a", x=nested(100_000))]), Server("fine", tools=[tool("b")])
    )
    assert await names(found) == ["fine__b"]
    assert (await missing(found)).keys() == {"bad"}


@pytest.mark.parametrize(
    "ttl", [None, "5", -1, 0, True, {}, 10**400, float("inf"), float("nan"), 0.5]
)
async def test_no_cache_hint_does_harm(ttl: Any) -> None:
    found = catalog(Answers("s", {"tools": [tool("a")], "ttlMs": ttl}))
    assert await names(found) == ["s__a"]


# names that collide


async def test_a_name_that_two_servers_have_belongs_to_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = catalog(
        Server("one", tools=[tool("a", title="first")]),
        Server("two", tools=[tool("a"), tool("b")]),
        unprefixed=True,
    )
    listed = await found.list(Kind.TOOL)
    assert [item["name"] for item in listed.items] == ["a", "b"]
    assert listed.items[0]["title"] == "first"
    reason = "'a' is offered by 'one' and by 'two': give one of them a prefix"
    assert [(each.server, each.reason) for each in listed.unavailable] == [("two", reason)]
    assert (logging.ERROR, reason) in [(r.levelno, r.message) for r in caplog.records]
    target = await found.find(Kind.TOOL, "a")
    assert target is not None
    assert target.member.name == "one"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("offers", [True, False])
async def test_a_name_with_a_servers_prefix_is_that_servers_and_nobody_elses(
    first: bool, offers: bool
) -> None:
    crm = Member(Server("crm", tools=[tool("a", title="mine")] if offers else []), "crm", 5)
    other = Member(Server("other", tools=[tool("crm__a", title="fake")]), "", 5)
    found = Catalog([other, crm] if first else [crm, other])
    listed = await found.list(Kind.TOOL)
    assert [item["title"] for item in listed.items] == (["mine"] if offers else [])
    assert [each.reason for each in listed.unavailable] == [
        "'crm__a' of 'other' has the prefix of 'crm': give one of them another"
    ]
    target = await found.find(Kind.TOOL, "crm__a")
    assert (target.member.name if target else None) == ("crm" if offers else None)


@pytest.mark.parametrize("order", [("a", "a_"), ("a_", "a")])
async def test_prefixes_that_begin_alike_are_told_apart(order: tuple[str, str]) -> None:
    servers = {"a": Server("a", tools=[tool("x")]), "a_": Server("a_", tools=[tool("x")])}
    found = catalog(*(servers[name] for name in order))
    assert sorted(await names(found)) == ["a___x", "a__x"]
    for name, owner in (("a___x", "a_"), ("a__x", "a")):
        target = await found.find(Kind.TOOL, name)
        assert target is not None
        assert (target.member.name, target.inward) == (owner, "x")


async def test_what_is_listed_is_what_requests_are_sent_to() -> None:
    found = Catalog(
        [
            Member(Server("u1", tools=[tool("a"), tool("p__a"), tool("b")]), "", 5),
            Member(Server("p", tools=[tool("a"), tool("_a")]), "p", 5),
            Member(Server("u2", tools=[tool("b"), tool("c")]), "", 5),
            Member(Server("p_", tools=[tool("a")]), "p_", 5),
        ]
    )
    listed = (await found.list(Kind.TOOL)).items
    assert [item["name"] for item in listed] == ["a", "b", "p__a", "c", "p___a"]
    for item in listed:
        target = await found.find(Kind.TOOL, item["name"])
        assert target is not None
        assert target.definition is item


# finding one


async def test_a_name_is_found_with_its_server_its_own_name_and_its_definition() -> None:
    found = catalog(Server("other"), Server("s", tools=[tool("a", title="A")]))
    target = await found.find(Kind.TOOL, "s__a")
    assert target is not None
    assert (target.member.name, target.inward) == ("s", "a")
    assert target.definition == tool("s__a", title="A")


@pytest.mark.parametrize("name", ["s__b", "nobody__a", "a", "", "__a", "s__", "S__a"])
async def test_what_nobody_lists_is_not_found(name: str) -> None:
    assert await catalog(Server("s", tools=[tool("a")])).find(Kind.TOOL, name) is None


async def test_a_name_that_is_known_costs_no_request() -> None:
    server = Server("s", tools=[tool("a")])
    found = catalog(server)
    for _ in range(3):
        assert await found.find(Kind.TOOL, "s__a")
    assert len(server.asked) == 1


async def test_a_name_with_a_prefix_asks_only_its_server() -> None:
    dead, fine = Waits("dead"), Server("fine", tools=[tool("a")])
    with anyio.fail_after(5):
        assert await catalog(dead, fine).find(Kind.TOOL, "fine__a")
    assert dead.asked == []


async def test_a_name_that_one_server_is_known_to_have_waits_for_no_other() -> None:
    slow, fine = Waits("slow"), Server("fine", tools=[tool("a")])
    found = catalog(slow, fine, unprefixed=True, timeout=0.01)
    with anyio.fail_after(5):
        await found.list(Kind.TOOL)
        asked = len(slow.asked)
        target = await found.find(Kind.TOOL, "a")
    assert target is not None
    assert target.member.name == "fine"
    assert len(slow.asked) == asked


async def test_when_the_server_that_may_have_it_is_down_nobody_says_unknown() -> None:
    down = Server("down", tools=[tool("a")])
    down.down = True
    with pytest.raises(ServerUnavailableError, match="'down' is down"):
        await catalog(down).find(Kind.TOOL, "down__a")
    fine = Server("fine", tools=[tool("b")])
    with pytest.raises(ServerUnavailableError, match="'down' is down"):
        await catalog(down, fine, unprefixed=True).find(Kind.TOOL, "a")
    target = await catalog(down, fine, unprefixed=True).find(Kind.TOOL, "b")
    assert target is not None
    assert target.member.name == "fine"


async def test_a_new_name_is_found_although_the_list_was_fetched_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server("s", PROMISES, tools=[tool("a")])
    found = catalog(server)
    await found.list(Kind.TOOL)
    server.lists["tools"].append(tool("b"))
    assert await found.find(Kind.TOOL, "s__b") is None  # asked a moment ago
    monkeypatch.setattr(module, "RELOOK_SECONDS", -1.0)
    assert await found.find(Kind.TOOL, "s__b") is not None


async def test_a_resource_that_is_not_listed_goes_to_the_server_of_its_prefix() -> None:
    found = catalog(Server("other"), Server("s"))
    target = await found.find(Kind.RESOURCE, "s+memo://x")
    assert target is not None
    assert (target.member.name, target.inward, target.definition) == ("s", "memo://x", None)


async def test_a_resource_without_prefix_goes_to_the_only_server_it_can_be_of() -> None:
    with_resources, without = Server("r"), Server("t", {"tools": {}})
    target = await catalog(without, with_resources, unprefixed=True).find(Kind.RESOURCE, "memo://x")
    assert target is not None
    assert (target.member.name, target.inward) == ("r", "memo://x")
    two = catalog(with_resources, Server("r2"), unprefixed=True)
    assert await two.find(Kind.RESOURCE, "memo://x") is None
    listed = Server("r3", resources=[{"uri": "memo://x"}])
    target = await catalog(with_resources, listed, unprefixed=True).find(Kind.RESOURCE, "memo://x")
    assert target is not None
    assert target.member.name == "r3"


# how long a list is believed


async def test_a_list_is_believed_while_its_server_promises_to_say_when_it_changes() -> None:
    server = Server("s", PROMISES, tools=[tool("a")])
    found = catalog(server)
    for _ in range(3):
        assert await names(found) == ["s__a"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "capability", [{}, {"listChanged": False}, {"listChanged": "true"}, None, True]
)
async def test_without_that_promise_a_list_is_fetched_every_time(capability: Any) -> None:
    server = Server("s", {"tools": capability}, tools=[tool("a")])
    found = catalog(server)
    for _ in range(3):
        await names(found)
    assert len(server.asked) == 3


async def test_a_list_is_believed_for_as_long_as_its_server_says() -> None:
    server = Answers("s", {"tools": [], "ttlMs": 60_000})
    found = catalog(server)
    for _ in range(3):
        await names(found)
    assert len(server.asked) == 1


@pytest.mark.parametrize("hints", [(60_000, 0), (0, 60_000)])
async def test_the_shortest_of_all_pages_counts(hints: tuple[int, int]) -> None:
    server = Answers(
        "s",
        {"tools": [], "ttlMs": hints[0], "nextCursor": "2"},
        {"tools": [], "ttlMs": hints[1]},
        {"tools": [], "ttlMs": 0},
    )
    found = catalog(server)
    await names(found)
    await names(found)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        ("notifications/tools/list_changed", {Kind.TOOL}),
        ("notifications/prompts/list_changed", {Kind.PROMPT}),
        ("notifications/resources/list_changed", {Kind.RESOURCE, Kind.TEMPLATE}),
        ("connected", set(Kind)),
    ],
)
async def test_a_change_makes_the_lists_that_it_is_about_stale(
    method: str, kinds: set[Kind]
) -> None:
    server = Server("s", PROMISES)
    found = catalog(server)
    for kind in Kind:
        await found.list(kind)
    server.asked.clear()
    server.listener(method)
    for kind in Kind:
        await found.list(kind)
    assert {name for name, _ in server.asked} == {LIST_METHOD[kind] for kind in kinds}


async def test_a_change_while_the_list_is_fetched_is_not_lost() -> None:
    server = Waits("s", PROMISES, tools=[tool("old")])
    found = catalog(server)
    listed: list[list[str]] = []

    async def run() -> None:
        listed.append(await names(found))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        with anyio.fail_after(5):
            await server.started.wait()
        server.lists["tools"] = [tool("new")]
        server.listener("notifications/tools/list_changed")
        tasks.start_soon(run)  # somebody who has heard of the change
        await anyio.wait_all_tasks_blocked()
        server.go.set()
    assert listed[-1] == ["s__new"]
    assert await names(found) == ["s__new"]


@pytest.mark.parametrize("capabilities", [ALL, PROMISES])
async def test_who_asks_at_the_same_time_shares_one_fetch(capabilities: Mapping[str, Any]) -> None:
    server = Waits("s", capabilities, tools=[tool("a")])
    found = catalog(server)
    results: list[Any] = []

    async def look() -> None:
        results.append(await found.find(Kind.TOOL, "s__a"))

    async def list_all() -> None:
        results.append(await names(found))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(look)
            tasks.start_soon(list_all)
        await anyio.wait_all_tasks_blocked()
        server.go.set()
    assert len(results) == 10
    assert all(results)
    assert len(server.asked) == 1


async def test_who_gives_up_waiting_takes_the_fetch_from_nobody() -> None:
    server = Waits("s", tools=[tool("a")])
    found = catalog(server)
    results: list[Any] = []

    async def look(scope: anyio.CancelScope) -> None:
        with scope:
            results.append(await found.find(Kind.TOOL, "s__a"))

    first = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(look, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        server.go.set()
    assert [target.inward for target in results] == ["a"]


async def test_a_server_that_connects_again_with_other_capabilities_is_listed_anew() -> None:
    server = Server("s", {}, tools=[tool("a")])
    found = catalog(server)
    assert await names(found) == []
    server.capabilities = ALL
    server.listener("connected")
    assert await names(found) == ["s__a"]


# listeners


async def test_listeners_hear_of_changes_until_they_stop_listening() -> None:
    one, other = Server("one"), Server("other")
    found = catalog(one, other)
    heard: list[str] = []
    stop = found.subscribe(heard.append)
    one.listener("notifications/tools/list_changed")
    other.listener("notifications/prompts/list_changed")
    assert heard == ["notifications/tools/list_changed", "notifications/prompts/list_changed"]
    heard.clear()
    one.listener("connected")
    assert sorted(heard) == [
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/tools/list_changed",
    ]
    stop()
    stop()
    one.listener("connected")
    assert len(heard) == 3


async def test_what_is_known_can_be_read_without_asking() -> None:
    server = Server("s", tools=[tool("a")])
    found = catalog(server)
    (joined,) = found.members
    assert joined.known(Kind.TOOL) == {}
    await found.list(Kind.TOOL)
    assert joined.known(Kind.TOOL)["s__a"].definition == freeze(tool("s__a"))
    assert len(server.asked) == 1


# apps


def with_app(name: str, uri: str) -> dict[str, Any]:
    return tool(name, _meta={"ui": {"resourceUri": uri}})


def resource(uri: str) -> dict[str, Any]:
    return {"uri": uri, "name": uri}


async def owner(found: Catalog, uri: str) -> tuple[str, str] | None:
    target = await found.find(Kind.RESOURCE, uri)
    return None if target is None else (target.member.name, target.inward)


async def test_an_app_goes_to_the_server_that_lists_it() -> None:
    one, two = Server("one"), Server("two", resources=[resource("ui://page")])
    found = catalog(one, two)
    assert await owner(found, "ui://page") == ("two", "ui://page")
    assert await names(found, Kind.RESOURCE) == ["ui://page"]


async def test_an_app_that_nobody_lists_goes_to_the_server_whose_tool_has_it() -> None:
    one, two = Server("one"), Server("two", tools=[with_app("t", "ui://page")])
    found = catalog(one, two)
    await names(found)
    assert await owner(found, "ui://page") == ("two", "ui://page")
    assert [method for method, _ in one.asked] == ["tools/list"]  # nobody else is asked
    assert await owner(found, "ui://other") is None


async def test_of_two_servers_with_the_same_app_the_first_keeps_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lists = [resource("ui://page")]
    found = catalog(Server("one", resources=lists), Server("two", resources=lists))
    listed = await found.list(Kind.RESOURCE)
    assert [item["uri"] for item in listed.items] == ["ui://page"]
    (lost,) = listed.unavailable
    said = "'ui://page' is offered by 'one' and by 'two': the first keeps it"
    assert (lost.server, lost.reason) == ("two", said)
    assert await owner(found, "ui://page") == ("one", "ui://page")


async def test_an_app_has_no_second_uri_that_rules_would_not_know() -> None:
    found = catalog(Server("one", resources=[resource("ui://page")]))
    await names(found, Kind.RESOURCE)
    assert await owner(found, "one+ui://page") is None
    assert await owner(found, "one+UI://page") is None
