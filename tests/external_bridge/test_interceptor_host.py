"""What a host of interceptors answers, to a plugway and to anyone else."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.host.interceptors import InterceptorHost
from plugway_external_bridge.wire import sep2624
from plugway_external_bridge.wire.hooks import HOOKS
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Outcome,
    Payload,
    Plugin,
    PluginConfig,
    PluginInfo,
    Respond,
    Server,
    ServerError,
    ToolCall,
    ToolResult,
    hookimpl,
)

Manager = Callable[..., AbstractAsyncContextManager[Any]]

DENY = Deny("no", "mine", "because", {"a": [1]}, 429, -32099, {"Retry-After": "1"})
SECRET = "hunter2"


class Guard(Plugin):
    """Does what the tool is called."""

    class Config(PluginConfig):
        token: str = ""

    capabilities = frozenset({"write_headers"})

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        if payload.name == "hang":
            await anyio.sleep_forever()
        if payload.name == "crash":
            raise RuntimeError(SECRET)
        context.annotate("who", [context.principal.user, context.name, context.method])
        answers: dict[str, Any] = {
            "deny": DENY,
            "respond": Respond(ToolResult(structured_content=7, meta={"by": "guard"})),
            "modify": payload.replace(arguments={"n": 2**60 + 1}),
        }
        return answers.get(payload.name)


@pytest.fixture
def host(run_plugins: Manager, serve_plugins: Manager) -> Manager:
    """A server that serves `guard`, in some mode."""

    @asynccontextmanager
    async def serve(*, era: str = "auto", **entry: Any) -> AsyncGenerator[Server]:
        guard = {"name": "guard", "kind": "guard", "priority": 0, **entry}
        async with (
            run_plugins({"guard": Guard}, guard) as runner,
            serve_plugins(runner, mode=era) as peer,
        ):
            yield peer

    return serve


def call(tool: str, name: str = "guard", **more: Any) -> dict[str, Any]:
    payload = {"name": tool, "arguments": {"n": 1}, "_meta": {"progressToken": 1}, "x": None}
    return {
        "name": name,
        "event": "tools/call",
        "phase": "request",
        "payload": payload,
        **more,
    }


async def invoke(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    with anyio.fail_after(5):
        answer = await server.request("interceptor/invoke", params)
    kept = {key: answer[key] for key in answer if key not in {"_meta", "resultType", "durationMs"}}
    assert isinstance(answer["durationMs"], float)
    return kept


# listing


@pytest.mark.parametrize(
    ("mode", "listed"),
    [
        ("transform", [("guard", "mutation", None)]),
        ("validate", [("guard", "validation", None)]),
        ("audit", [("guard", "validation", "audit")]),
        ("background", [("guard", "validation", "audit")]),
        ("enforce", [("guard.mutate", "mutation", None), ("guard.validate", "validation", None)]),
        ("disabled", []),
    ],
)
async def test_a_plugin_is_listed_by_what_it_may_do(
    mode: str, listed: list[Any], host: Manager
) -> None:
    async with host(mode=mode) as server:
        answer = await server.request("interceptors/list")
    assert [(d["name"], d["type"], d.get("mode")) for d in answer["interceptors"]] == listed


async def test_a_descriptor_says_order_failure_and_configuration(host: Manager) -> None:
    entry = {"mode": "transform", "priority": 7, "on_error": "ignore"}
    async with host(**entry, config={"token": SECRET}) as server:
        answer = await server.request("interceptors/list")
    (found,) = answer["interceptors"]
    assert (found["priorityHint"], found["failOpen"]) == (7, True)
    assert found["description"] == "Does what the tool is called."
    assert list(found["configSchema"]["properties"]) == ["token"]
    assert SECRET not in json.dumps(answer)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_capability_names_the_events(era: str, host: Manager) -> None:
    async with host(era=era) as server:
        declared = server.capabilities["extensions"][sep2624.EXTENSION]
    assert declared == {"supportedEvents": ["tools/call"]}


class Changeable:
    """A runner whose plugins change every payload, and deny."""

    def __init__(self, *plugins: tuple[str, Mode]) -> None:
        self._plugins = plugins

    def plugins(self) -> list[PluginInfo]:
        common: Any = {"kind": "k", "hooks": tuple(HOOKS), "on_error": OnError.FAIL}
        return [PluginInfo(name, mode=mode, priority=0, **common) for name, mode in self._plugins]

    async def run(
        self, plugin: str, hook: str, payload: Payload, operation: Operation
    ) -> Outcome[Payload]:
        return Outcome(payload.replace(arguments={"changed": True}), Deny("no"), plugin)


def test_two_plugins_can_not_be_published_under_one_name() -> None:
    runner = Changeable(("pii.mutate", Mode.TRANSFORM), ("pii", Mode.ENFORCE))
    with pytest.raises(SetupError, match=r"'pii.mutate' and 'pii' would both be 'pii.mutate'"):
        InterceptorHost(runner)


async def test_what_was_changed_before_a_verdict_is_not_released() -> None:
    host = InterceptorHost(Changeable(("pii", Mode.ENFORCE)))
    answer = await host.invoke(call("x", "pii.mutate"))
    assert answer["modified"] is False
    assert answer["payload"] == call("x")["payload"]


# verdicts


async def test_a_verdict_is_a_result_and_complete_in_its_info(host: Manager) -> None:
    async with host(mode="enforce") as server:
        mutation = await invoke(server, call("deny", "guard.mutate"))
        validation = await invoke(server, call("deny", "guard.validate"))
    verdict = {
        "reason": "no",
        "code": "mine",
        "description": "because",
        "details": {"a": [1]},
        "http_status": 429,
        "mcp_error_code": -32099,
        "http_headers": {"Retry-After": "1"},
    }
    assert mutation.pop("info")["plugway"]["verdict"] == {"deny": verdict}
    assert mutation == {
        "interceptor": "guard.mutate",
        "type": "mutation",
        "phase": "request",
        "modified": False,
        "payload": call("deny")["payload"],
    }
    assert validation.pop("info")["plugway"]["verdict"] == {"deny": verdict}
    assert validation == {
        "interceptor": "guard.validate",
        "type": "validation",
        "phase": "request",
        "valid": False,
        "severity": "error",
        "messages": [{"message": "no", "severity": "error"}],
    }


async def test_an_answer_stops_the_call_for_those_who_can_not_give_it(host: Manager) -> None:
    async with host(mode="enforce") as server:
        mutation = await invoke(server, call("respond", "guard.mutate"))
        validation = await invoke(server, call("respond", "guard.validate"))
    assert mutation["modified"] is False
    assert validation["valid"] is False
    result = mutation["info"]["plugway"]["verdict"]["respond"]
    assert result["result"] == {"content": [], "structuredContent": 7}
    assert result["meta"] == {"by": "guard"}


async def test_a_mutation_returns_the_whole_payload(host: Manager) -> None:
    async with host(mode="transform") as server:
        answer = await invoke(server, call("modify"))
    assert answer["modified"] is True
    assert answer["payload"] == {"name": "modify", "arguments": {"n": 2**60 + 1}, "x": None}


async def test_a_request_may_come_with_its_method_and_goes_back_with_it(host: Manager) -> None:
    wrapped = {"method": "tools/call", "params": {"name": "modify"}}
    async with host(mode="transform") as server:
        answer = await invoke(server, call("modify", payload=wrapped))
    changed = {"name": "modify", "arguments": {"n": 2**60 + 1}}
    assert answer["payload"] == {"method": "tools/call", "params": changed}


async def test_the_plural_of_the_method_is_known_too(host: Manager) -> None:
    async with host(mode="validate") as server:
        answer = await server.request("interceptors/invoke", call("pass"))
    assert answer["valid"] is True


async def test_anyone_can_say_who_asks(host: Manager) -> None:
    context = {"principal": {"type": "user", "id": "ann"}, "traceId": "t"}
    async with host(mode="validate") as server:
        answer = await invoke(server, call("pass", context=context))
    (found,) = answer["info"]["plugway"]["findings"]
    assert found == {"key": "who", "value": ["ann", "pass", "tools/call"]}


# errors


@pytest.mark.parametrize(
    ("params", "data"),
    [
        (call("pass", "other"), {"interceptor": "other"}),
        ({"event": "tools/call"}, {"fields": ["name", "payload", "phase"]}),
        (call("pass", phase="later"), {"fields": ["phase"]}),
        (call("pass", payload=[]), {"fields": ["payload"]}),
        (call("pass", timeoutMs=0), {"fields": ["timeoutMs"]}),
        (
            call("pass", payload={"arguments": {}}),
            {"interceptor": "guard", "reason": "a payload that is no ToolCall"},
        ),
        (
            call("pass", context={"principal": {"id": 7}}),
            {"interceptor": "guard", "reason": "an operation with 1 wrong fields"},
        ),
        (
            call("pass", config={"token": "x"}),
            {"interceptor": "guard", "reason": "the plugin is configured on its host"},
        ),
        (
            call("pass", event="prompts/get"),
            {"event": "prompts/get", "phase": "request", "interceptor": "guard"},
        ),
        (call("pass", phase="response"), {"phase": "response", "event": "tools/call"}),
    ],
)
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_what_can_not_be_invoked_is_invalid_params(
    params: dict[str, Any], data: dict[str, Any], era: str, host: Manager
) -> None:
    async with host(mode="validate", era=era) as server:
        with pytest.raises(ServerError) as caught:
            await invoke(server, params)
    assert caught.value.code == -32602
    said = {key: value for key, value in caught.value.data.items() if key in data}
    assert {**said, "reason": said.get("reason", "").partition(":")[0]} == {"reason": "", **data}


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_plugin_that_fails_is_an_error_without_its_words(era: str, host: Manager) -> None:
    async with host(mode="validate", era=era) as server:
        with pytest.raises(ServerError) as caught:
            await invoke(server, call("crash"))
    assert caught.value.code == -32603
    assert caught.value.data == {"interceptor": "guard", "reason": "the plugin failed"}
    assert SECRET not in str(caught.value)


async def test_a_plugin_that_hangs_is_cancelled_when_its_time_is_over(host: Manager) -> None:
    async with host(mode="validate") as server:
        with pytest.raises(ServerError) as caught:
            await invoke(server, call("hang", timeoutMs=20))
    assert caught.value.code == -32000
    assert caught.value.data == {"interceptor": "guard", "timeoutMs": 20, "phase": "request"}


class NoSuggestions(Plugin):
    @hookimpl
    def completion_pre(self, context: Context) -> Deny:
        return Deny(f"{context.method} of {context.name} within {context.within}")


@pytest.mark.parametrize(
    ("ref", "within"),
    [
        ({"type": "ref/prompt", "name": "p"}, "p within prompts/get"),
        ({"type": "ref/resource", "uri": "x:y"}, "x:y within resources/read"),
    ],
)
async def test_a_condition_is_about_what_somebody_elses_completion_is_for(
    ref: dict[str, Any], within: str, run_plugins: Manager, serve_plugins: Manager
) -> None:
    when = [{"prompts": ["p"]}, {"resources": ["x:*"]}]
    entry = {"name": "guard", "kind": "none", "mode": "validate", "when": when}
    async with (
        run_plugins({"none": NoSuggestions}, entry) as runner,
        serve_plugins(runner) as server,
    ):
        event: dict[str, Any] = {
            "event": "completion/complete",
            "payload": {"ref": ref, "argument": {}},
        }
        answer = await invoke(server, call("x", **event))
    assert answer["messages"][0]["message"] == f"completion/complete of {within}"


async def test_an_event_that_no_plugin_could_see_is_said_to_be_unexamined(
    run_plugins: Manager, serve_plugins: Manager
) -> None:
    everything = type("Everything", (Plugin,), {name: _nothing() for name in HOOKS})
    entry = {"name": "all", "kind": "all", "mode": "enforce"}
    async with (
        run_plugins({"all": everything}, entry) as runner,
        serve_plugins(runner) as server,
    ):
        event: dict[str, Any] = {"event": "llm/completion", "payload": {"messages": []}}
        validation = await invoke(server, call("x", "all.validate", **event))
        mutation = await invoke(server, call("x", "all.mutate", **event))
    assert validation["valid"] is True
    assert validation["messages"][0]["severity"] == "info"
    assert "plugway has no hook for llm/completion" in validation["messages"][0]["message"]
    assert (mutation["modified"], mutation["payload"]) == (False, {"messages": []})


def _nothing() -> Any:
    @hookimpl
    def implementation(self: Any) -> None: ...

    return implementation
