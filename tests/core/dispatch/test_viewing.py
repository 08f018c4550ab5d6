"""What the dispatcher does with a request of an endpoint that shows a part of the federation."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.federation.view import View
from plugway.generation import Generation
from plugway.jsonrpc import INVALID_PARAMS, TIMED_OUT, UPSTREAM_UNAVAILABLE, RpcError
from plugway.methods import LIST_METHOD, Kind
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import (
    Client,
    Context,
    Operation,
    Principal,
    ResourceSubscribe,
    Respond,
    ServerError,
    ServerUnavailableError,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)
from plugway_hookspecs.context import READ_HEADERS

BOTH = {"a": "a", "b": "b"}


class Server(MemoryServer):
    """An MCP server in memory with one of everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.capabilities: Mapping[str, Any] = {
            **{key: {"listChanged": True} for key in ("tools", "prompts", "resources")},
            "completions": {},
        }
        self.lists: dict[str, list[Any]] = {
            "tools": [{"name": "x", "_meta": {"ui": {"resourceUri": f"m://{name}"}}}],
            "prompts": [{"name": f"p{name}"}],
            "resources": [{"uri": f"m://{name}"}],
            "resourceTemplates": [{"uriTemplate": f"t://{name}/{{x}}"}],
        }
        self.asked: list[dict[str, Any]] = []
        self.hangs = False
        self.error: Exception | None = None

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        for kind, name in LIST_METHOD.items():
            if method == name:
                return {kind.value: self.lists[kind.value]}
        if self.hangs:
            await anyio.sleep_forever()
        self.asked.append(dict(params or {}))
        link = {"type": "resource_link", "uri": f"m://{self.name}"}
        embedded = {"type": "resource", "resource": {"uri": f"t://{self.name}/1", "text": ""}}
        return {
            "content": [link, embedded],
            "messages": [{"role": "user", "content": link}],
            "contents": [{"uri": f"m://{self.name}", "text": ""}],
            "completion": {"values": [self.name]},
        }


class Chains:
    def __init__(self, *plugins: object, policy: Policy) -> None:
        named = [(f"p{number}", plugin, policy) for number, plugin in enumerate(plugins)]
        self.chains = compile_chains(named)

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]


class Watches:
    """Notes what a client follows."""

    def __init__(self) -> None:
        self.followed: list[tuple[str, str, str]] = []
        self.removed: list[str] = []

    async def add(self, uri: str, server: str, inward: str, principal: Principal) -> None:
        self.followed.append((uri, server, inward))

    def remove(self, uri: str) -> None:
        self.removed.append(uri)


class Gateway:
    """Two servers behind a dispatcher, seen through a view without prefixes."""

    def __init__(
        self, *plugins: object, view: View | None = None, policy: Policy | None = None
    ) -> None:
        self.a, self.b = Server("a"), Server("b")
        members = [Member(server, server.name, 5) for server in (self.a, self.b)]
        generation = Generation(
            Catalog(members),
            {"a": self.a, "b": self.b},
            Chains(*plugins, policy=policy or Policy()),
            Federation(members, None, lambda name: ""),
            request_timeout=0.2,
            max_payload_bytes=10_000,
        )
        self.dispatcher = Dispatcher(generation, server_info={})
        self.view = view or View("v", BOTH, prefixed=False)

    async def ask(
        self,
        method: str,
        headers: Mapping[str, str] | None = None,
        watches: Watches | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        with anyio.fail_after(5):
            request = Request(method, params, Client("test"), modern=False, view=self.view)
            request.headers, request.watches = headers or {}, watches
            return await self.dispatcher.handle(request)

    async def error(self, method: str, **params: Any) -> RpcError:
        with pytest.raises(RpcError) as caught:
            await self.ask(method, **params)
        return caught.value


async def test_lists_are_selected_and_renamed_after_the_plugins_had_their_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[list[str]] = []

    class Adds:
        @hookimpl
        async def tool_post_list(self, payload: ToolList) -> ToolList:
            seen.append([tool["name"] for tool in payload.tools])
            added = [{"name": "a__new"}, {"name": "c__new"}, {"name": "new"}]
            return payload.replace(tools=[*payload.tools, *added])

    result = await Gateway(Adds()).ask("tools/list")
    assert seen == [["a__x", "b__x"]]
    assert result["tools"] == [
        {"name": "x", "_meta": {"ui": {"resourceUri": "a+m://a"}}},
        {"name": "new"},
    ]
    missing = [{"server": "b", "reason": "name taken"}]
    assert result["_meta"] == {"plugway/unavailable": missing}
    assert "'x' of 'b' is 'a__x' at the endpoint 'v'" in caplog.text


async def test_uris_in_results_are_those_of_the_endpoint() -> None:
    gateway = Gateway()
    for kind in (Kind.RESOURCE, Kind.TEMPLATE):
        await gateway.ask(LIST_METHOD[kind])
    called = await gateway.ask("tools/call", name="x")
    assert [called["content"][0]["uri"], called["content"][1]["resource"]["uri"]] == [
        "m://a",
        "t://a/1",
    ]
    prompt = await gateway.ask("prompts/get", name="pb")
    assert prompt["messages"][0]["content"]["uri"] == "m://b"
    read = await gateway.ask("resources/read", uri="t://b/1")
    assert read["contents"][0]["uri"] == "m://b"
    assert gateway.b.asked == [{"name": "pb"}, {"uri": "t://b/1"}]
    resources = await gateway.ask("resources/list")
    assert resources["resources"] == [{"uri": "m://a"}, {"uri": "m://b"}]


async def test_what_is_completed_is_named_as_the_endpoint_names_it() -> None:
    gateway = Gateway()
    argument = {"name": "x", "value": ""}
    for ref, inward in (
        ({"type": "ref/prompt", "name": "pb"}, {"type": "ref/prompt", "name": "pb"}),
        ({"type": "ref/resource", "uri": "t://b/{x}"}, {"uri": "t://b/{x}"}),
        ({"type": "ref/resource", "uri": "m://b"}, {"uri": "m://b"}),
    ):
        result = await gateway.ask("completion/complete", ref=ref, argument=argument)
        assert result == {"completion": {"values": ["b"]}, **{k: result[k] for k in result}}
        assert gateway.b.asked[-1] == {"ref": {**ref, **inward}, "argument": argument}
    unknown: list[Any] = [{"type": "ref/prompt", "name": "no"}, {"type": "ref/resource"}, {}, 1]
    for none in unknown:
        error = await gateway.error("completion/complete", ref=none, argument=argument)
        assert error.code == INVALID_PARAMS
        assert error.message.startswith("Unknown reference:")


async def test_hooks_and_records_have_the_federations_names() -> None:
    seen: list[Any] = []

    class Sees:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
            seen.append((payload.name, context.name, context.server, dict(context.headers)))

        @hookimpl
        async def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
            seen.append((payload.content[0]["uri"], context.name))

    gateway = Gateway(Sees(), policy=Policy(capabilities=frozenset({READ_HEADERS})))
    operations: list[Operation] = []
    gateway.dispatcher.listen(lambda operation, error: operations.append(operation))
    await gateway.ask("tools/call", headers={"mcp-name": "x", "x-other": "1"}, name="x")
    assert seen == [("a__x", "a__x", "a", {"x-other": "1"}), ("a+m://a", "a__x")]
    assert [operation.name for operation in operations] == ["a__x"]
    await gateway.error("tools/call", name="nothing")
    assert operations[-1].name == "nothing"


async def test_what_a_plugin_answers_is_renamed_like_a_servers_result() -> None:
    class Answers:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> Respond:
            return Respond(ToolResult([{"type": "resource_link", "uri": "b+m://b"}]))

    gateway = Gateway(Answers())
    await gateway.ask("resources/list")
    result = await gateway.ask("tools/call", name="x")
    assert result["content"] == [{"type": "resource_link", "uri": "m://b"}]


async def test_errors_name_things_as_the_client_does() -> None:
    gateway = Gateway(view=View("v", {"a": "a"}, prefixed=False))
    for method, params, message, data in (
        ("tools/call", {"name": "a__x"}, "Unknown tool: a__x", None),
        ("prompts/get", {"name": "pb"}, "Unknown prompt: pb", None),
    ):
        error = await gateway.error(method, **params)
        assert (error.code, error.message, error.data) == (INVALID_PARAMS, message, data)
    gateway.a.hangs = True
    error = await gateway.error("tools/call", name="x")
    assert error.code == TIMED_OUT
    assert error.message.startswith("tools/call 'x' took longer")
    everything = Gateway(view=View("v", BOTH, prefixed=False))
    error = await everything.error("resources/read", uri="n://a")
    assert (error.message, error.data) == ("Unknown resource: n://a", {"uri": "n://a"})


@pytest.mark.parametrize("params", [{}, {"name": None}, {"name": 1}])
async def test_a_name_that_is_no_string_is_refused(params: dict[str, Any]) -> None:
    error = await Gateway().error("tools/call", **params)
    assert (error.code, error.message) == (
        INVALID_PARAMS,
        "Invalid params: name must be a string",
    )


async def test_a_server_that_can_not_be_asked_is_named_and_not_quoted() -> None:
    for failure, said in (
        (ServerError("secret", server="a", code=-32603), "Server 'a' can't list its tools"),
        (ServerUnavailableError("secret", server="a"), "Server 'a' is unavailable"),
    ):
        gateway = Gateway()
        gateway.a.error = failure
        error = await gateway.error("tools/call", name="nothing")
        assert error.code == UPSTREAM_UNAVAILABLE
        assert error.message.startswith(said)
        assert "secret" not in error.message


async def test_a_list_reports_only_servers_of_the_endpoint_as_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = Gateway(view=View("v", {"a": "a"}))
    gateway.b.error = ServerUnavailableError("down", server="b")
    assert "_meta" not in await gateway.ask("tools/list")
    gateway.view = View("v", {"b": "b"})
    missing = [{"server": "b", "reason": "unavailable"}]
    assert (await gateway.ask("tools/list"))["_meta"] == {"plugway/unavailable": missing}
    assert "b is missing from tools" in caplog.text


# subscriptions


class SeesSubscriptions:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    @hookimpl
    async def resource_pre_subscribe(self, payload: ResourceSubscribe, context: Context) -> None:
        self.seen.append((payload.uri, context.name))


async def test_a_client_follows_resources_by_the_endpoints_uris_and_hooks_see_the_federations() -> (
    None
):
    sees, watches = SeesSubscriptions(), Watches()
    gateway = Gateway(sees)
    await gateway.ask("resources/list")
    await gateway.ask("resources/subscribe", watches=watches, uri="m://b")
    assert watches.followed == [("m://b", "b", "m://b")]
    assert sees.seen == [("b+m://b", "b+m://b")]
    await gateway.ask("resources/unsubscribe", watches=watches, uri="m://b")
    assert watches.removed == ["m://b"]
    error = await gateway.error("resources/subscribe", watches=watches, uri="n://b")
    assert (error.code, error.message) == (INVALID_PARAMS, "Unknown resource: n://b")


async def test_a_stream_is_about_what_the_endpoint_has() -> None:
    sees, watches = SeesSubscriptions(), Watches()
    gateway = Gateway(sees)
    await gateway.ask("resources/list")
    uris = ["m://b", "n://b", "m://a", "b+m://b", 1]
    wanted = {"toolsListChanged": True, "resourceSubscriptions": uris}
    answer = await gateway.ask("subscriptions/listen", watches=watches, notifications=wanted)
    followed = {"toolsListChanged": True, "resourceSubscriptions": ["m://b", "m://a"]}
    assert answer["notifications"] == followed
    assert watches.followed == [("m://b", "b", "m://b"), ("m://a", "a", "m://a")]
    assert [name for name, _ in sees.seen] == ["b+m://b", "a+m://a"]
    for nothing in ({"toolsListChanged": True}, {"toolsListChanged": True, "x": None}):
        answer = await gateway.ask("subscriptions/listen", watches=watches, notifications=nothing)
        assert answer["notifications"] == nothing
    many = {"resourceSubscriptions": [f"m://{number}" for number in range(1001)]}
    error = await gateway.error("subscriptions/listen", watches=watches, notifications=many)
    assert "at most 1000 resourceSubscriptions" in error.message
