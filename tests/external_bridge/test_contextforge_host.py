"""What ContextForge gets from a host of our plugins."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from plugway_hookspecs import (
    Context,
    Deny,
    Plugin,
    PluginConfig,
    ResourceFetch,
    ResourceResult,
    Respond,
    Server,
    ServerError,
    ToolCall,
    ToolResult,
    hookimpl,
)

Manager = Callable[..., AbstractAsyncContextManager[Any]]

SECRET = "hunter2"


class Guard(Plugin):
    """Does what the tool is called."""

    class Config(PluginConfig):
        token: str = ""

    capabilities = frozenset({"write_headers"})

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        if payload.name == "crash":
            raise RuntimeError(SECRET)
        if payload.name == "note":
            context.state["seen"] = [*context.state.get("seen", []), context.principal.user]
        answers: dict[str, Any] = {
            "deny": Deny("no", "mine", "because", {"a": [1]}, 429, -32099, {"Retry-After": "1"}),
            "respond": Respond(ToolResult(structured_content=7)),
            "modify": payload.replace(arguments={"n": 2**60 + 1}),
        }
        return answers.get(payload.name)

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> ToolResult:
        return payload.replace(structured_content=[context.name, context.server])

    @hookimpl
    def tool_post_list(self) -> None: ...

    @hookimpl
    def resource_pre_fetch(self, payload: ResourceFetch) -> ResourceFetch:
        return payload.replace(uri=f"{payload.uri}?checked")

    @hookimpl
    def resource_post_fetch(self, payload: ResourceResult) -> ResourceResult:
        kept = [item for item in payload.contents if item["text"] != "forbidden"]
        return payload.replace(contents=[{**item, "text": "x"} for item in kept])


@pytest.fixture
def host(run_plugins: Manager, serve_plugins: Manager) -> Manager:
    """A server that serves `Guard`, in some mode."""

    @asynccontextmanager
    async def serve(*, era: str = "auto", **entry: Any) -> AsyncGenerator[Server]:
        config = {"token": SECRET}
        guard = {"name": "Guard", "kind": "guard", "config": config, **entry}
        async with (
            run_plugins({"guard": Guard}, guard) as runner,
            serve_plugins(runner, mode=era) as peer,
        ):
            yield peer

    return serve


async def use(server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(5):
        return await server.request("tools/call", {"name": tool, "arguments": arguments})


async def invoke(
    server: Server, payload: Any, hook: str = "tool_pre_invoke", plugin: str = "Guard", **ctx: Any
) -> dict[str, Any]:
    context = {"state": {}, "metadata": {}, "global_context": {"request_id": "r1"}, **ctx}
    answer = await use(
        server, "invoke_hook", hook_type=hook, plugin_name=plugin, payload=payload, context=context
    )
    assert not answer.get("isError")
    (block,) = answer["content"]
    found: dict[str, Any] = json.loads(block["text"])
    return found


def call(tool: str) -> dict[str, Any]:
    return {"name": tool, "args": {"n": 1}, "headers": {"authorization": "Bearer x"}}


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_three_tools_are_listed_with_what_they_take(era: str, host: Manager) -> None:
    async with host(era=era) as server:
        listed = await server.request("tools/list")
    required = {tool["name"]: tool["inputSchema"].get("required") for tool in listed["tools"]}
    assert required == {
        "get_plugin_configs": None,
        "get_plugin_config": ["name"],
        "invoke_hook": ["hook_type", "plugin_name", "payload", "context"],
    }


@pytest.mark.parametrize(
    ("mode", "theirs"),
    [
        ("enforce", "sequential"),
        ("transform", "transform"),
        ("validate", "concurrent"),
        ("audit", "audit"),
        ("background", "fire_and_forget"),
    ],
)
async def test_a_plugin_is_described_without_its_configuration(
    mode: str, theirs: str, host: Manager
) -> None:
    async with host(mode=mode, priority=7, on_error="ignore") as server:
        every = await use(server, "get_plugin_configs")
        one = await use(server, "get_plugin_config", name="gUARD")
        none = await use(server, "get_plugin_config", name="other")
    (described,) = every["structuredContent"]["result"]
    assert [json.loads(block["text"]) for block in every["content"]] == [described]
    assert json.loads(one["content"][0]["text"]) == described
    assert none["content"][0]["text"] == "{}"
    assert (described["name"], described["mode"]) == ("Guard", theirs)
    assert (described["on_error"], described["priority"]) == ("ignore", 7)
    assert sorted(described["hooks"]) == [
        "resource_post_fetch",
        "resource_pre_fetch",
        "tool_post_invoke",
        "tool_pre_invoke",
    ]
    assert described["config"] == {}
    assert SECRET not in json.dumps([every, one])


async def test_an_allowed_call_goes_on_as_it_is(host: Manager) -> None:
    async with host() as server:
        reply = await invoke(server, call("pass"))
    assert reply == {
        "plugin_name": "Guard",
        "result": {
            "continue_processing": True,
            "modified_payload": None,
            "violation": None,
            "metadata": {},
        },
    }


async def test_a_changed_call_comes_back_in_their_words(host: Manager) -> None:
    async with host() as server:
        reply = await invoke(server, call("modify"), plugin="guard")
    assert reply["result"]["modified_payload"] == {"name": "modify", "args": {"n": 2**60 + 1}}


async def test_a_denial_is_a_violation_with_all_that_it_says(host: Manager) -> None:
    async with host() as server:
        result = (await invoke(server, call("deny")))["result"]
    assert result["continue_processing"] is False
    assert result["violation"] == {
        "reason": "no",
        "description": "because",
        "code": "mine",
        "details": {"a": [1]},
        "mcp_error_code": -32099,
        "http_status_code": 429,
        "http_headers": {"Retry-After": "1"},
    }


async def test_an_answer_stops_the_call_for_those_who_can_not_give_it(host: Manager) -> None:
    async with host() as server:
        result = (await invoke(server, call("respond")))["result"]
    assert result["continue_processing"] is False
    assert result["modified_payload"] is None
    assert result["violation"]["reason"] == "answered by a plugin in the server's place"


async def test_one_content_of_a_resource_is_shown_and_comes_back(host: Manager) -> None:
    async with host() as server:
        uri = await invoke(server, {"uri": "file:///a", "metadata": {}}, "resource_pre_fetch")
        payload = {"uri": "file:///a", "content": {"uri": "file:///a", "text": "secret"}}
        content = await invoke(server, payload, "resource_post_fetch")
    assert uri["result"]["modified_payload"] == {"uri": "file:///a?checked", "metadata": {}}
    changed = {"uri": "file:///a", "content": {"uri": "file:///a", "text": "x"}}
    assert content["result"]["modified_payload"] == changed


async def test_the_plugin_learns_what_they_say_about_the_request(host: Manager) -> None:
    overall = {"request_id": "r1", "server_id": "crm", "user": "ann", "tenant_id": None}
    async with host() as server:
        payload: dict[str, Any] = {"name": "echo", "result": {"content": []}}
        reply = await invoke(server, payload, "tool_post_invoke", global_context=overall)
    assert reply["result"]["modified_payload"]["result"]["structuredContent"] == ["echo", "crm"]


async def test_state_goes_back_and_forth(host: Manager) -> None:
    overall = {"request_id": "r1", "user": {"email": "ann"}, "state": {"g": 1}}
    async with host() as server:
        first = await invoke(server, call("note"), global_context=overall)
        second = await invoke(
            server, call("note"), global_context=overall, state=first["context"]["state"]
        )
    assert first["context"] == {
        "state": {"seen": ["ann"]},
        "metadata": {},
        "global_context": overall,
    }
    assert second["context"]["state"] == {"seen": ["ann", "ann"]}


@pytest.mark.parametrize(
    ("payload", "hook", "plugin", "message"),
    [
        (call("crash"), "tool_pre_invoke", "Guard", "the plugin failed"),
        (call("x"), "tool_pre_invoke", "other", "no plugin 'other' with the hook"),
        (call("x"), "agent_pre_invoke", "Guard", "no plugin 'Guard' with the hook"),
        (call("x"), "tool_post_list", "Guard", "no plugin 'Guard' with the hook"),
        ({"prompt_id": "x"}, "prompt_pre_fetch", "Guard", "does not implement 'prompt_pre_fetch'"),
        ({"args": {}}, "tool_pre_invoke", "Guard", "this is a payload that is no ToolCall"),
        ({"uri": "x", "content": "text"}, "resource_post_fetch", "Guard", "this is a 'content'"),
        ({"name": "x", "result": "text"}, "tool_post_invoke", "Guard", "this is a 'result'"),
        (
            {"uri": "x", "content": {"text": "forbidden"}},
            *("resource_post_fetch", "Guard", "a resource with 0 contents"),
        ),
    ],
)
async def test_a_failure_is_an_error_without_the_plugins_words(
    payload: Any, hook: str, plugin: str, message: str, host: Manager
) -> None:
    async with host() as server:
        reply = await invoke(server, payload, hook, plugin)
    assert set(reply) == {"plugin_name", "error"}
    assert message in reply["error"]["message"]
    assert SECRET not in json.dumps(reply)


async def test_wrong_arguments_are_a_tool_error_that_names_them(host: Manager) -> None:
    async with host() as server:
        answer = await use(server, "invoke_hook", hook_type="tool_pre_invoke", context=[])
    assert answer["isError"] is True
    assert answer["content"][0]["text"] == (
        "Error executing tool invoke_hook: missing or wrong: context, payload, plugin_name"
    )


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_there_is_no_other_tool(era: str, host: Manager) -> None:
    async with host(era=era) as server:
        with pytest.raises(ServerError) as caught:
            await use(server, "tool_pre_invoke")
    assert caught.value.code == -32602
