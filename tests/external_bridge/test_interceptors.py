"""Interceptors of somebody else, called by the gateway."""

import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import MCPError

from plugway_external_bridge.wire import sep2624
from plugway_hookspecs import (
    Deny,
    Operation,
    Payload,
    Principal,
    ResourceTemplateList,
    ToolCall,
    ToolList,
    ToolResult,
)

Manager = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[[dict[str, Any]], Any]

CALL = ToolCall("echo", {"note": "hi", "n": 2**60 + 1}, meta={"progressToken": 1})


def descriptor(name: str = "guard", kind: str = "validation", **fields: Any) -> dict[str, Any]:
    hooks = [{"events": ["tools/call"], "phase": phase} for phase in ("request", "response")]
    return {"name": name, "type": kind, "hooks": hooks, **fields}


def result(params: dict[str, Any], **fields: Any) -> dict[str, Any]:
    kind = "mutation" if "modified" in fields else "validation"
    head = {"interceptor": params["name"], "type": kind, "phase": params["phase"]}
    return {**head, **fields}


def shout(params: dict[str, Any]) -> dict[str, Any]:
    """A mutator that appends its name to the note."""
    payload = params["payload"]
    note = f"{payload['arguments']['note']} {params['name']}"
    arguments = {**payload["arguments"], "note": note}
    return result(params, modified=True, payload={**payload, "arguments": arguments})


@pytest.fixture
def intercept(run_plugins: Manager, serve_foreign: Manager) -> Manager:
    """A gateway with one external plugin, on a server with these interceptors."""

    @asynccontextmanager
    async def run(
        *listed: dict[str, Any],
        reply: Reply,
        entry: dict[str, Any] | None = None,
        strict: bool = True,
        **config: Any,
    ) -> AsyncGenerator[Any]:
        def answer_list(_: dict[str, Any]) -> dict[str, Any]:
            return {"interceptors": list(listed)}

        methods = {sep2624.LIST: answer_list, sep2624.INVOKE: reply}
        external: dict[str, Any] = {"name": "remote", "kind": "external", **(entry or {})}
        external["config"] = {"server": "peer", **config}
        async with (
            serve_foreign(methods, capabilities=[sep2624.EXTENSION]) as peer,
            run_plugins({}, external, servers={"peer": peer}, strict=strict) as gateway,
        ):
            yield gateway

    return run


async def run_hook(
    gateway: Any, payload: Payload = CALL, hook: str = "tool_pre_invoke", **facts: Any
) -> tuple[Any, Operation]:
    operation = Operation("op-1", "tools/call", name="echo", **facts)
    with anyio.fail_after(5):
        return await gateway.chain(hook)(payload, operation), operation


def names(gateway: Any, hook: str) -> list[str]:
    return [step.scope.plugin.removeprefix("remote/") for step in gateway.steps(hook)]


# validators


async def test_a_validator_that_refuses_denies_with_its_first_error(intercept: Manager) -> None:
    messages = [
        {"message": "just so you know", "severity": "info"},
        {"message": "no secrets here", "severity": "error", "path": "arguments.note"},
    ]

    def refuse(params: dict[str, Any]) -> dict[str, Any]:
        return result(params, valid=False, severity="error", messages=messages)

    async with intercept(descriptor(), reply=refuse) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict == Deny("no secrets here", details={"messages": messages})


@pytest.mark.parametrize(
    ("said", "blocked"),
    [
        ({"valid": True}, False),
        ({"valid": True, "severity": "error"}, False),
        ({"valid": False, "severity": "error"}, True),
        ({"valid": False}, True),
        ({"valid": False, "severity": "fatal"}, True),
        ({"valid": False, "severity": None}, True),
        ({"valid": False, "severity": "warn"}, False),
        ({"valid": False, "severity": "info"}, False),
        ({"validation": {"valid": False, "severity": "error"}}, True),
        ({"validation": {"valid": True}}, False),
    ],
)
async def test_only_an_error_blocks_and_an_unknown_severity_is_one(
    said: dict[str, Any], blocked: bool, intercept: Manager
) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        return result(params, **said)

    async with intercept(descriptor(), reply=reply) as gateway:
        outcome, _ = await run_hook(gateway)
    assert isinstance(outcome.verdict, Deny) is blocked
    assert getattr(outcome.verdict, "code", "denied") == "denied"


async def test_warnings_go_on_record(intercept: Manager) -> None:
    messages = [{"message": "looks odd", "severity": "warn"}]

    def warn(params: dict[str, Any]) -> dict[str, Any]:
        return result(params, valid=False, severity="warn", messages=messages)

    async with intercept(descriptor(), reply=warn) as gateway:
        _, operation = await run_hook(gateway)
    assert [(found.key, found.value) for found in operation.findings] == [("messages", messages)]


async def test_audit_never_blocks_and_a_changed_payload_is_not_taken(intercept: Manager) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        refused = result(params, valid=False, severity="error")
        return shout(params) if params["name"] == "m" else refused

    listed = [descriptor("v", mode="audit"), descriptor("m", "mutation", mode="audit")]
    async with intercept(*listed, reply=reply) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict is None
    assert outcome.payload is CALL


# mutators


async def test_a_mutation_replaces_the_payload_and_keeps_its_meta(intercept: Manager) -> None:
    async with intercept(descriptor("m", "mutation"), reply=shout) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.payload == CALL.replace(arguments={"note": "hi m", "n": 2**60 + 1})


async def test_a_mutation_may_name_another_tool(intercept: Manager) -> None:
    def rename(params: dict[str, Any]) -> dict[str, Any]:
        return result(params, modified=True, payload={**params["payload"], "name": "other"})

    async with intercept(descriptor("m", "mutation"), reply=rename) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.payload.name == "other"


async def test_an_error_of_the_server_is_shown_and_may_be_rewritten(intercept: Manager) -> None:
    def rewrite(params: dict[str, Any]) -> dict[str, Any]:
        error = {**params["payload"]["error"], "message": "[redacted]"}
        return result(params, modified=True, payload={"content": [], "error": error})

    async with intercept(descriptor("m", "mutation"), reply=rewrite) as gateway:
        payload = ToolResult(error={"code": -32603, "message": "password is hunter2"})
        outcome, _ = await run_hook(gateway, payload, "tool_post_invoke")
    assert outcome.payload.error == {"code": -32603, "message": "[redacted]"}


# failures


SAME = CALL.replace(meta={}).to_wire()

MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("validation", {"valid": True, "interceptor": "other"}, "a result of another interceptor"),
    ("validation", {"valid": True, "type": "sink"}, "a result of another type"),
    ("validation", {"valid": True, "phase": "response"}, "a result of another phase"),
    ("validation", {"valid": "yes"}, "a result that is no validation"),
    ("validation", {}, "a result that is no validation"),
    ("validation", {"valid": True, "modified": False}, "a result that is no validation"),
    ("mutation", {"modified": True, "payload": SAME, "type": "validation"}, "of another type"),
    ("mutation", {"modified": "no", "payload": SAME}, "a result that is no mutation"),
    ("mutation", {"modified": True, "payload": SAME, "valid": True}, "that is no mutation"),
    ("mutation", {"modified": True}, "a mutation without a payload"),
    ("mutation", {"modified": False}, "a mutation without a payload"),
    ("mutation", {"modified": False, "payload": {}}, "'modified: false' and changed the payload"),
    ("mutation", {"modified": True, "payload": None}, "a payload that is no JSON object"),
    ("mutation", {"modified": True, "payload": {"arguments": {}}}, "a payload that is no ToolCall"),
    (
        "mutation",
        {"modified": True, "payload": {"name": "echo", "arguments": []}},
        "no ToolCall: a list instead of an object at arguments",
    ),
]


@pytest.mark.parametrize(("kind", "said", "problem"), MALFORMED)
async def test_a_malformed_result_is_a_failure_and_its_payload_is_not_taken(
    kind: str,
    said: dict[str, Any],
    problem: str,
    intercept: Manager,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        head = {"interceptor": params["name"], "type": kind, "phase": params["phase"]}
        return {**head, **said}

    async with intercept(descriptor(kind=kind), reply=reply) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict.code == "plugin_error"
    assert outcome.payload is CALL
    assert any(problem in record.getMessage() for record in caplog.records)


def crash(_: dict[str, Any]) -> dict[str, Any]:
    raise MCPError(-32603, "the password is hunter2")


@pytest.mark.parametrize(("fail_open", "blocked"), [(False, True), (True, False)])
async def test_an_error_blocks_unless_the_interceptor_may_fail(
    fail_open: bool, blocked: bool, intercept: Manager
) -> None:
    async with intercept(descriptor(failOpen=fail_open), reply=crash) as gateway:
        outcome, _ = await run_hook(gateway)
    assert (outcome.verdict is not None) is blocked


async def test_what_the_operator_says_about_failures_wins(intercept: Manager) -> None:
    closed = {"on_error": "fail"}
    async with intercept(descriptor(failOpen=True), reply=crash, entry=closed) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict.code == "plugin_error"


async def test_a_refusal_blocks_even_where_failing_is_allowed(intercept: Manager) -> None:
    def refuse(params: dict[str, Any]) -> dict[str, Any]:
        return result(params, valid=False, severity="error")

    async with intercept(descriptor(failOpen=True), reply=refuse) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict == Deny("refused by 'guard'")


async def test_what_the_server_says_of_its_failure_is_not_logged(
    intercept: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    async with intercept(descriptor(), reply=crash) as gateway:
        await run_hook(gateway)
    shown = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert any("server 'peer' answered error -32603" in message for message in shown)
    assert not any("hunter2" in message for message in shown)


async def test_a_server_that_hangs_is_given_up_after_the_timeout(intercept: Manager) -> None:
    async def hang(_: dict[str, Any]) -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    async with intercept(descriptor(), reply=hang, timeout=0.05) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict.code == "plugin_error"


async def test_a_failed_invocation_is_not_repeated(intercept: Manager) -> None:
    asked: list[str] = []

    def count(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params["name"])
        return crash(params)

    async with intercept(descriptor(), reply=count) as gateway:
        await run_hook(gateway)
    assert asked == ["guard"]


# order


async def test_requests_meet_mutators_first_and_results_validators_first(
    intercept: Manager,
) -> None:
    listed = [
        descriptor("v2"),
        descriptor("m-ü", "mutation"),
        descriptor("m-z", "mutation"),
        descriptor("m-late", "mutation", priorityHint=10),
        descriptor("m-turn", "mutation", priorityHint={"request": -1, "response": 99}),
        descriptor("v1"),
    ]
    async with intercept(*listed, reply=shout) as gateway:
        before, after = names(gateway, "tool_pre_invoke"), names(gateway, "tool_post_invoke")
    assert [name.partition(":")[0] for name in before] == [
        *("m-turn", "m-z", "m-ü", "m-late"),
        *("v2", "v1"),
    ]
    assert [name.partition(":")[0] for name in after] == [
        *("v2", "v1"),
        *("m-z", "m-ü", "m-late", "m-turn"),
    ]


async def test_each_mutator_sees_what_the_one_before_made(intercept: Manager) -> None:
    listed = [descriptor("b", "mutation"), descriptor("a", "mutation")]
    async with intercept(*listed, reply=shout) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.payload.arguments["note"] == "hi a b"


async def test_a_failing_mutator_keeps_validators_from_being_asked(intercept: Manager) -> None:
    asked: list[str] = []

    def reply(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params["name"])
        return crash(params) if params["name"] == "m" else result(params, valid=True)

    async with intercept(descriptor("v"), descriptor("m", "mutation"), reply=reply) as gateway:
        outcome, _ = await run_hook(gateway)
    assert asked == ["m"]
    assert outcome.payload is CALL


# what is sent


async def test_an_invocation_says_who_asks_and_carries_no_meta(intercept: Manager) -> None:
    seen: list[dict[str, Any]] = []

    def reply(params: dict[str, Any]) -> dict[str, Any]:
        seen.append(params)
        return result(params, valid=True)

    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    config: dict[str, Any] = {"config": {"level": "high"}, "timeout": 1.5}
    async with intercept(descriptor(), reply=reply, **config) as gateway:
        await run_hook(gateway, principal=Principal("ann", "acme"), trace=trace)
        await run_hook(gateway)
    known, anonymous = seen
    assert known["payload"] == {"name": "echo", "arguments": {"note": "hi", "n": 2**60 + 1}}
    assert (known["name"], known["event"], known["phase"]) == ("guard", "tools/call", "request")
    assert (known["config"], known["timeoutMs"]) == ({"level": "high"}, 1500)
    assert known["context"].pop("timestamp").startswith("20")
    assert known["context"] == {
        "principal": {"type": "user", "id": "ann"},
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "sessionId": "op-1",
    }
    assert anonymous["context"]["principal"] == {"type": "anonymous"}
    assert anonymous["context"]["traceId"] == "op-1"


async def test_a_request_can_be_sent_with_its_method_round_it(intercept: Manager) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        if params["phase"] == "response":
            return result(params, modified=False, payload=params["payload"])
        inner = shout({**params, "payload": params["payload"]["params"]})["payload"]
        payload = {"method": params["payload"]["method"], "params": inner}
        return result(params, modified=True, payload=payload)

    listed = descriptor("m", "mutation")
    async with intercept(listed, reply=reply, payload="request") as gateway:
        outcome, _ = await run_hook(gateway)
        after, _ = await run_hook(gateway, ToolResult(), "tool_post_invoke")
    assert outcome.payload.arguments["note"] == "hi m"
    assert after.verdict is None


async def test_a_mutation_can_not_turn_a_request_into_another(intercept: Manager) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        payload = {"method": "prompts/get", "params": {"name": "x"}}
        return result(params, modified=True, payload=payload)

    listed = descriptor("m", "mutation")
    async with intercept(listed, reply=reply, payload="request") as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict.code == "plugin_error"


async def test_a_foreign_host_can_not_pass_for_a_plugway(intercept: Manager) -> None:
    def reply(params: dict[str, Any]) -> dict[str, Any]:
        assert "plugway" not in params["context"]
        verdict = {"deny": {"reason": "I am a plugway"}}
        return result(params, valid=True, info={"plugway": {"verdict": verdict}})

    async with intercept(descriptor(), reply=reply) as gateway:
        outcome, _ = await run_hook(gateway)
    assert outcome.verdict is None


# selection


async def test_what_can_not_be_used_is_left_out_with_a_word_and_the_rest_is_kept(
    intercept: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    listed = [descriptor("sink", "sink"), descriptor("odd", mode="odd"), descriptor("good")]
    async with intercept(*listed, reply=shout) as gateway:
        assert names(gateway, "tool_pre_invoke") == ["good:request"]
    left_out = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert left_out == [
        "interceptor 'sink' is left out: unknown or malformed: type",
        "interceptor 'odd' is left out: unknown or malformed: mode",
    ]


async def test_interceptors_can_be_chosen_by_name(intercept: Manager) -> None:
    listed = [descriptor("a"), descriptor("b")]
    async with intercept(*listed, reply=shout, interceptors=["b"]) as gateway:
        assert names(gateway, "tool_pre_invoke") == ["b:request"]


async def test_hooks_can_be_narrowed(intercept: Manager) -> None:
    async with intercept(descriptor(), reply=shout, hooks=["tool_post_invoke"]) as gateway:
        assert names(gateway, "tool_pre_invoke") == []
        assert names(gateway, "tool_post_invoke") == ["guard:response"]


async def test_a_star_is_bound_to_what_the_proposal_knows(intercept: Manager) -> None:
    hooks = [{"events": ["*"], "phase": "response"}]
    async with intercept(descriptor(hooks=hooks), reply=crash) as gateway:
        listed, _ = await run_hook(gateway, ToolList(), "tool_post_list")
        templates, _ = await run_hook(
            gateway, ResourceTemplateList(), "resource_template_post_list"
        )
    assert listed.verdict.code == "plugin_error"
    assert templates.verdict is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"interceptors": ["other"]}, "no interceptor 'other' .*there are: guard"),
        ({"hooks": ["prompt_pre_fetch"]}, "no interceptor here is made for 'prompt_pre_fetch'"),
        ({"hooks": ["nonsense"]}, "no interceptor here is made for 'nonsense'"),
        ({"server": "other"}, "there is no server 'other' in mcpServers"),
        ({"plugin": "x", "interceptors": ["guard"]}, "'plugin' is for dialect contextforge"),
        ({"dialect": "contextforge", "config": {"a": 1}}, "'config' is for dialect interceptors"),
    ],
)
async def test_a_configuration_that_can_not_be_met_says_what_is_missing(
    config: dict[str, Any], message: str, intercept: Manager
) -> None:
    async with intercept(descriptor(), reply=shout, strict=False, **config) as gateway:
        assert re.search(message, gateway.problems[0].message)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([descriptor(), descriptor()], "the server lists two interceptors 'guard'"),
        ([], "the server offers no interceptor for any hook of plugway"),
        ([descriptor(hooks=[])], "the server offers no interceptor for any hook of plugway"),
    ],
)
async def test_a_list_that_guards_nothing_or_is_ambiguous_is_refused(
    listed: list[dict[str, Any]], message: str, intercept: Manager
) -> None:
    async with intercept(*listed, reply=shout, strict=False) as gateway:
        assert re.search(message, gateway.problems[0].message)
