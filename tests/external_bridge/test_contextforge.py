"""ContextForge plugins of somebody else, called by the gateway."""

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult, TextContent

from plugway_hookspecs import (
    Deny,
    Operation,
    Payload,
    Principal,
    PromptFetch,
    PromptResult,
    ResourceFetch,
    ResourceResult,
    ToolCall,
    ToolResult,
)

Manager = Callable[..., AbstractAsyncContextManager[Any]]

HOOKS = [
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "tool_pre_invoke",
    "tool_post_invoke",
    "resource_pre_fetch",
    "resource_post_fetch",
]


def described(name: str = "Demo", **fields: Any) -> dict[str, Any]:
    secret = {"api_key": "hunter2"}
    return {"name": name, "hooks": [*HOOKS, "agent_pre_invoke"], "config": secret, **fields}


def allow(modified: Any = None, **more: Any) -> dict[str, Any]:
    result = {"continue_processing": True, "modified_payload": modified, **more}
    return {"plugin_name": "Demo", "result": result}


def deny(violation: Any) -> dict[str, Any]:
    result = {"continue_processing": False, "violation": violation}
    return {"plugin_name": "Demo", "result": result}


@pytest.fixture
def forge(run_plugins: Manager, serve_foreign: Manager) -> Manager:
    """A gateway with one external plugin, on a server with these plugins behind three tools."""

    @asynccontextmanager
    async def run(
        *plugins: dict[str, Any],
        reply: Any,
        name: str = "remote",
        strict: bool = True,
        lists: bool = True,
        **config: Any,
    ) -> AsyncGenerator[Any]:
        def configs(_: dict[str, Any]) -> CallToolResult:
            blocks = [TextContent(text=json.dumps(plugin, indent=2)) for plugin in plugins]
            return CallToolResult(content=[*blocks])

        def one(arguments: dict[str, Any]) -> str:
            wanted = arguments["name"].casefold()
            found = [plugin for plugin in plugins if plugin["name"].casefold() == wanted]
            return json.dumps(found[0] if found else {})

        def invoke(arguments: dict[str, Any]) -> Any:
            answer = reply(arguments) if callable(reply) else reply
            return json.dumps(answer, indent=2) if isinstance(answer, dict) else answer

        tools: dict[str, Any] = {"get_plugin_config": one, "invoke_hook": invoke}
        if lists:
            tools["get_plugin_configs"] = configs
        external = {
            "name": name,
            "kind": "external",
            "capabilities": ["write_headers"],
            "config": {"server": "peer", **config},
        }
        async with (
            serve_foreign(tools=tools) as peer,
            run_plugins({}, external, servers={"peer": peer}, strict=strict) as gateway,
        ):
            yield gateway

    return run


async def run_hook(
    gateway: Any, payload: Payload, hook: str, operation: Operation | None = None
) -> Any:
    with anyio.fail_after(5):
        about = operation or Operation("op-1", "tools/call", name="echo", server="crm")
        return await gateway.chain(hook)(payload, about)


CALL = ToolCall("echo", {"n": 2**60 + 1}, meta={"progressToken": 1}, extra={"x": 1})

CASES: list[tuple[str, Payload, dict[str, Any], dict[str, Any], Payload]] = [
    (
        "tool_pre_invoke",
        CALL,
        {"name": "echo", "args": {"n": 2**60 + 1}},
        {"name": "other", "args": {"n": 1}, "headers": None},
        CALL.replace(name="other", arguments={"n": 1}),
    ),
    (
        "prompt_pre_fetch",
        PromptFetch("greet", {"who": "ann"}),
        {"prompt_id": "greet", "args": {"who": "ann"}},
        {"prompt_id": "greet", "args": None},
        PromptFetch("greet", {}),
    ),
    (
        "resource_pre_fetch",
        ResourceFetch("file:///a", extra={"x": 1}),
        {"uri": "file:///a", "metadata": {}},
        {"uri": "file:///b", "metadata": {"seen": True}},
        ResourceFetch("file:///b", extra={"x": 1}),
    ),
    (
        "tool_post_invoke",
        ToolResult([{"type": "text", "text": "a"}], is_error=True, meta={"m": 1}),
        {"name": "echo", "result": {"content": [{"type": "text", "text": "a"}], "isError": True}},
        {"name": "echo", "result": {"content": [], "structuredContent": {"a": 1}}},
        ToolResult([], structured_content={"a": 1}, meta={"m": 1}),
    ),
    (
        "prompt_post_fetch",
        PromptResult([{"role": "user"}], "says hello"),
        {
            "prompt_id": "echo",
            "result": {"messages": [{"role": "user"}], "description": "says hello"},
        },
        {"prompt_id": "echo", "result": {"messages": []}},
        PromptResult([]),
    ),
    (
        "resource_post_fetch",
        ResourceResult([{"uri": "a", "text": "x"}], extra={"ttlMs": 1}),
        {"uri": "echo", "content": {"uri": "a", "text": "x"}},
        {"uri": "echo", "content": {"uri": "a", "text": "[redacted]"}},
        ResourceResult([{"uri": "a", "text": "[redacted]"}], extra={"ttlMs": 1}),
    ),
]


@pytest.mark.parametrize(("hook", "payload", "sent", "modified", "expected"), CASES)
async def test_payloads_are_translated_both_ways(
    hook: str,
    payload: Payload,
    sent: dict[str, Any],
    modified: dict[str, Any],
    expected: Payload,
    forge: Manager,
) -> None:
    seen: list[dict[str, Any]] = []

    def reply(arguments: dict[str, Any]) -> dict[str, Any]:
        seen.append(arguments)
        return allow(modified)

    async with forge(described(), reply=reply) as gateway:
        outcome = await run_hook(gateway, payload, hook)
    assert outcome.verdict is None
    assert outcome.payload == expected
    (arguments,) = seen
    assert arguments["payload"] == sent
    assert (arguments["hook_type"], arguments["plugin_name"]) == (hook, "Demo")


async def test_the_context_says_who_asks_and_no_more(forge: Manager) -> None:
    seen: list[dict[str, Any]] = []

    def reply(arguments: dict[str, Any]) -> dict[str, Any]:
        seen.append(arguments["context"])
        return allow()

    operation = Operation(
        "op-1",
        "tools/call",
        name="echo",
        server="crm",
        principal=Principal("ann", "acme", claims={"sub": "1"}),
        headers={"authorization": "Bearer hunter2"},
    )
    async with forge(described(), reply=reply) as gateway:
        await run_hook(gateway, CALL, "tool_pre_invoke", operation)
    overall = {"request_id": "op-1", "user": "ann", "tenant_id": "acme", "server_id": "crm"}
    assert seen == [
        {"state": {}, "metadata": {}, "global_context": {**overall, "state": {}, "metadata": {}}}
    ]


async def test_every_content_of_a_resource_is_shown(forge: Manager) -> None:
    def reply(arguments: dict[str, Any]) -> dict[str, Any]:
        content = arguments["payload"]["content"]
        if content["text"] == "secret":
            return allow({"uri": "x", "content": {**content, "text": "[redacted]"}})
        return deny({"reason": "no"}) if content["text"] == "forbidden" else allow()

    def contents(*texts: str) -> ResourceResult:
        return ResourceResult([{"uri": text, "text": text} for text in texts])

    async with forge(described(), reply=reply) as gateway:
        hook = "resource_post_fetch"
        redacted = await run_hook(gateway, contents("a", "secret", "b"), hook)
        denied = await run_hook(gateway, contents("a", "b", "forbidden"), hook)
        untouched = await run_hook(gateway, payload := contents("a", "b"), hook)
    assert [item["text"] for item in redacted.payload.contents] == ["a", "[redacted]", "b"]
    assert denied.verdict.reason == "no"
    assert untouched.payload is payload


@pytest.mark.parametrize("kind", [ToolResult, PromptResult, ResourceResult])
async def test_an_error_of_the_server_is_shown_and_may_be_rewritten(
    kind: Any, forge: Manager
) -> None:
    def reply(arguments: dict[str, Any]) -> dict[str, Any]:
        return allow(json.loads(json.dumps(arguments["payload"]).replace("hunter2", "***")))

    hook = {ToolResult: "tool_post_invoke", PromptResult: "prompt_post_fetch"}.get(kind)
    async with forge(described(), reply=reply) as gateway:
        payload = kind(error={"code": -32603, "message": "hunter2", "data": [1]})
        outcome = await run_hook(gateway, payload, hook or "resource_post_fetch")
    assert outcome.payload == kind(error={"code": -32603, "message": "***", "data": [1]})


async def test_a_violation_denies_with_all_that_it_says(forge: Manager) -> None:
    violation = {
        "reason": "too many",
        "description": "12 a minute",
        "code": "RATE_LIMIT",
        "details": {"limit": 10},
        "mcp_error_code": -32099,
        "http_status_code": 429,
        "http_headers": {"Retry-After": "7", "X-Odd": 1},
    }
    async with forge(described(), reply=deny(violation)) as gateway:
        outcome = await run_hook(gateway, CALL, "tool_pre_invoke")
    assert outcome.verdict == Deny(
        "too many", "RATE_LIMIT", "12 a minute", {"limit": 10}, 429, -32099, {"Retry-After": "7"}
    )


@pytest.mark.parametrize(
    "violation",
    [None, {}, "no", {"reason": 7, "http_status_code": "x"}, {"details": {"n": float("nan")}}],
)
async def test_a_denial_without_words_is_a_denial(violation: Any, forge: Manager) -> None:
    async with forge(described(), reply=deny(violation)) as gateway:
        outcome = await run_hook(gateway, CALL, "tool_pre_invoke")
    assert outcome.verdict == Deny("refused by 'Demo'")


async def test_metadata_and_headers_that_are_not_set_go_on_record(forge: Manager) -> None:
    modified = {"name": "echo", "args": {}, "headers": {"X-Token": "hunter2"}}
    operation = Operation("op-1", "tools/call")
    async with forge(described(), reply=allow(modified, metadata={"score": 1})) as gateway:
        await run_hook(gateway, CALL, "tool_pre_invoke", operation)
    assert [(found.key, found.value) for found in operation.findings] == [
        ("metadata", {"score": 1}),
        ("headers_not_set", ["X-Token"]),
    ]


async def test_state_comes_back_to_the_same_plugin_and_global_state_to_all(
    forge: Manager,
) -> None:
    seen: list[Any] = []

    def reply(arguments: dict[str, Any]) -> dict[str, Any]:
        context, name = arguments["context"], arguments["plugin_name"]
        overall = context["global_context"]
        seen.append((name, context["state"], overall["state"]))
        returned = {
            "state": {"by": name},
            "global_context": {**overall, "state": {**overall["state"], name: 1}},
        }
        return {**allow(), "context": returned}

    async with forge(described("A"), described("B"), reply=reply) as gateway:
        operation = Operation("op-1", "tools/call", name="echo")
        await run_hook(gateway, CALL, "tool_pre_invoke", operation)
        await run_hook(gateway, ToolResult(), "tool_post_invoke", operation)
    assert seen == [
        ("A", {}, {}),
        ("B", {}, {"A": 1}),
        ("A", {"by": "A"}, {"A": 1, "B": 1}),
        ("B", {"by": "B"}, {"A": 1, "B": 1}),
    ]


# replies


def text(value: Any) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=json.dumps(value))])


@pytest.mark.parametrize(
    "reply",
    [
        text({"continue_processing": False, "violation": {"reason": "no"}}),
        text({"result": deny({"reason": "no"})}),
        CallToolResult(
            content=[TextContent(text="see below"), *text(deny({"reason": "no"})).content]
        ),
        CallToolResult(content=[], structured_content=deny({"reason": "no"})),
        CallToolResult(
            content=text(deny({"reason": "no"})).content, structured_content={"result": "text"}
        ),
    ],
)
async def test_other_ways_to_say_it_are_understood(reply: CallToolResult, forge: Manager) -> None:
    async with forge(described(), reply=reply) as gateway:
        outcome = await run_hook(gateway, CALL, "tool_pre_invoke")
    assert outcome.verdict == Deny("no")


@pytest.mark.parametrize(
    "reply",
    [
        {"plugin_name": "Demo", "error": {"message": "ValueError('hunter2')", "code": ""}},
        CallToolResult(
            content=[TextContent(text="Error executing tool invoke_hook")], is_error=True
        ),
        CallToolResult(content=text(allow()).content, is_error=True),
        CallToolResult(content=[]),
        "not JSON",
        "[]",
        {"result": {}},
        allow(modified=[]),
        allow(modified={"name": "echo", "args": "all"}),
        allow(modified={"args": {}}),
        {"result": {"continue_processing": "yes"}},
    ],
)
async def test_anything_else_is_a_failure_and_the_payload_stays(
    reply: Any, forge: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    async with forge(described(), reply=reply) as gateway:
        outcome = await run_hook(gateway, CALL, "tool_pre_invoke")
    assert outcome.verdict.code == "plugin_error"
    assert outcome.payload is CALL
    assert "hunter2" not in "".join(r.getMessage() for r in caplog.records if r.levelno >= 20)


# which plugins, and how


def parts(gateway: Any, hook: str = "tool_pre_invoke") -> list[tuple[str, str, str]]:
    return [
        (step.scope.plugin, step.policy.mode.value, step.policy.on_error.value)
        for step in gateway.steps(hook)
    ]


async def test_all_plugins_take_part_by_priority_in_their_own_modes(forge: Manager) -> None:
    plugins = [
        described("late", priority=90),
        described("first", priority=1, mode="concurrent"),
        described("watch", priority=50, mode="audit", on_error="ignore"),
        described("off", mode="disabled"),
        described("new", priority=99, mode="quantum"),
        described("elsewhere", hooks=["agent_pre_invoke"]),
    ]
    async with forge(*plugins, reply=allow()) as gateway:
        assert parts(gateway) == [
            ("remote/first", "validate", "fail"),
            ("remote/watch", "audit", "ignore"),
            ("remote/late", "enforce", "fail"),
            ("remote/new", "enforce", "fail"),
        ]


@pytest.mark.parametrize("lists", [True, False])
async def test_a_plugin_is_chosen_by_name_in_any_case(lists: bool, forge: Manager) -> None:
    plugins = [described("One"), described("Two")]
    async with forge(*plugins, reply=allow(), lists=lists, plugin="two") as gateway:
        assert [name for name, _, _ in parts(gateway)] == ["remote/Two"]


async def test_a_plugin_with_the_instances_own_name_is_meant(forge: Manager) -> None:
    plugins = [described("One"), described("Two")]
    async with forge(*plugins, reply=allow(), name="two") as gateway:
        assert [name for name, _, _ in parts(gateway)] == ["two/Two"]


async def test_hooks_can_be_narrowed(forge: Manager) -> None:
    async with forge(described(), reply=allow(), hooks=["tool_post_invoke"]) as gateway:
        assert not parts(gateway)
        assert parts(gateway, "tool_post_invoke")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"mode": "transform"}, "mode 'transform'"),
        ({"mode": "permissive"}, "mode 'permissive'"),
        ({"mode": "audit"}, "mode 'audit'"),
        ({"on_error": "ignore"}, "on_error 'ignore'"),
        ({"on_error": "disable"}, "on_error 'disable'"),
        ({"mode": "enforce_ignore_error"}, "mode 'enforce_ignore_error'"),
    ],
)
async def test_a_weaker_setting_on_the_server_is_warned_about(
    fields: dict[str, Any], word: str, forge: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    async with forge(described(**fields), reply=allow()):
        pass
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith("'remote' relies on 'Demo', which server 'peer' runs with ")
    assert word in warning


async def test_a_strict_server_is_not_warned_about(
    forge: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    async with forge(described(mode="concurrent"), reply=allow()):
        pass
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("plugins", "config", "message"),
    [
        (
            [described("One")],
            {"plugin": "two"},
            r"no plugin 'two' .*\(there are: One\)",
        ),
        ([], {}, "offers no plugin for any hook"),
        ([described(mode="disabled")], {}, "offers no plugin for any hook"),
        ([described()], {"hooks": ["tool_post_list"]}, "no plugin here is made for"),
        ([described()], {"lists": False}, "can't list its plugins: name one with 'plugin'"),
        ([described()], {"lists": False, "plugin": "x"}, "no plugin 'x' on the server"),
        ([described(hooks="all")], {}, "a plugin description with a wrong hooks"),
    ],
)
async def test_a_configuration_that_can_not_be_met_says_what_is_missing(
    plugins: list[Any], config: dict[str, Any], message: str, forge: Manager
) -> None:
    async with forge(*plugins, reply=allow(), strict=False, **config) as gateway:
        assert re.search(message, gateway.problems[0].message)
