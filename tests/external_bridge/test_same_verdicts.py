"""The law of the bridge: a plugin decides the same in this process and in another one."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, cast

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugway_external_bridge.wire.plain import list_or_none, object_or_none
from plugway_hookspecs import (
    Client,
    CompletionRequest,
    CompletionResult,
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    Operation,
    Outcome,
    Payload,
    Plugin,
    PluginError,
    Principal,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceSubscribe,
    ResourceTemplateList,
    Respond,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    Server,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)

Run = Callable[..., AbstractAsyncContextManager[Any]]
Serve = Callable[..., AbstractAsyncContextManager[Server]]
Answer = Payload | Deny | Respond | None

ACTIONS = [
    "nothing",
    "same",
    "modify",
    "retype",
    "deny",
    "deny as if it had failed",
    "respond",
    "raise",
    "wrong type",
]
EDITED: dict[type[Payload], str] = {
    ToolCall: "arguments",
    PromptFetch: "arguments",
    ToolResult: "structured_content",
    PromptResult: "messages",
    ResourceResult: "contents",
    ToolList: "tools",
    PromptList: "prompts",
    ResourceList: "resources",
    ResourceTemplateList: "resource_templates",
    CompletionRequest: "argument",
    CompletionResult: "completion",
    SamplingRequest: "messages",
    SamplingResult: "content",
    ElicitationRequest: "requested_schema",
    ElicitationResult: "content",
    RootsRequest: "extra",
    RootsResult: "roots",
}
ANSWERS: dict[type[Payload], Any] = {
    ToolCall: ToolResult,
    PromptFetch: PromptResult,
    ResourceFetch: ResourceResult,
    CompletionRequest: CompletionResult,
    SamplingRequest: partial(SamplingResult, "assistant", {"type": "text"}, "m"),
    ElicitationRequest: partial(ElicitationResult, "accept"),
    RootsRequest: RootsResult,
}


def without_meta(payload: Payload) -> dict[str, Any]:
    """A payload as it goes to another process: `_meta` is between two hops."""
    return {key: value for key, value in payload.to_wire().items() if key != "_meta"}


def as_integers(value: Any) -> Any:
    """What Python calls equal and JSON does not."""
    if (members := object_or_none(value)) is not None:
        return {key: as_integers(item) for key, item in members.items()}
    if (items := list_or_none(value)) is not None:
        return [as_integers(item) for item in items]
    return int(value) if isinstance(value, bool) else value


def change(payload: Any, edit: Callable[[Any], Any]) -> Any:
    if getattr(payload, "error", None) is not None:
        return payload.replace(error=edit(payload.error))
    if isinstance(payload, ResourceFetch | ResourceSubscribe):
        return payload.replace(uri=f"{payload.uri}?changed")
    field = EDITED[type(payload)]
    return payload.replace(**{field: edit(getattr(payload, field))})


def grow(value: Any) -> Any:
    if (members := object_or_none(value)) is not None:
        return {**members, "added": [2**63 + 1, 1.0, True, None, {"é": "\N{SNOWMAN}"}]}
    if (items := list_or_none(value)) is not None:
        return [*items, {"name": "added", "uri": "x:y", "n": 9007199254740993}]
    return {"was": value}


def fail() -> Answer:
    raise RuntimeError("a secret")


def answer_to(payload: Payload, details: dict[str, Any]) -> Respond | None:
    answer = ANSWERS.get(type(payload))
    return None if answer is None else Respond(answer(meta={"by": "me"}, extra=details))


class Obedient(Plugin):
    """Does what the name of the user says, and puts on record all that it can see."""

    def decide(self, payload: Any, context: Context) -> Answer:
        client, principal, request = context.client, context.principal, context.request
        who = [principal.user, principal.tenant, list(principal.groups), principal.claims]
        context.annotate("who", who)
        context.annotate("what", [context.name, context.within, context.server, context.definition])
        context.annotate("whence", [client.name, client.transport, client.capabilities])
        context.annotate("request", None if request is None else without_meta(request))
        details = {"got": without_meta(payload)}
        answers: dict[str | None, Callable[[], Answer]] = {
            "same": payload.replace,
            "modify": lambda: cast("Payload", change(payload, grow)),
            "retype": lambda: cast("Payload", change(payload, as_integers)),
            "deny": lambda: Deny(
                "no", "mine", "because", details, 429, -32099, {"Retry-After": "1"}
            ),
            "deny as if it had failed": lambda: Deny("no", "plugin_error"),
            "respond": lambda: answer_to(payload, details),
            "raise": fail,
            "wrong type": lambda: cast("Payload", 7),
        }
        return answers.get(principal.user, lambda: None)()

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def tool_post_list(self, payload: ToolList, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def prompt_pre_fetch(self, payload: PromptFetch, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def prompt_post_fetch(self, payload: PromptResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def prompt_post_list(self, payload: PromptList, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def resource_pre_fetch(self, payload: ResourceFetch, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def resource_post_fetch(self, payload: ResourceResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def resource_post_list(self, payload: ResourceList, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def resource_template_post_list(self, payload: ResourceTemplateList, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def resource_pre_subscribe(self, payload: ResourceSubscribe, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def completion_pre(self, payload: CompletionRequest, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def completion_post(self, payload: CompletionResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def sampling_pre_request(self, payload: SamplingRequest, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    async def sampling_post_response(self, payload: SamplingResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def elicitation_pre_request(self, payload: ElicitationRequest, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def elicitation_post_response(self, payload: ElicitationResult, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def roots_pre_list(self, payload: RootsRequest, context: Context) -> Any:
        return self.decide(payload, context)

    @hookimpl
    def roots_post_list(self, payload: RootsResult, context: Context) -> Any:
        return self.decide(payload, context)


# strategies

text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(text, values, max_size=3)


json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=6
)


def extras(kind: type[Payload]) -> st.SearchStrategy[dict[str, Any]]:
    named = {*kind.WIRE.values()}
    return st.dictionaries(text.filter(lambda key: key not in named), json_values, max_size=2)


any_object = objects(json_values)
lists = st.lists(any_object, max_size=2)
errors = st.none() | st.fixed_dictionaries(
    {"code": st.integers(-40000, 0), "message": text}, optional={"data": json_values}
)


def calls(kind: type[Payload]) -> st.SearchStrategy[Payload]:
    return st.builds(kind, name=text, arguments=any_object, meta=any_object, extra=extras(kind))


def results(kind: type[Payload], *fields: str, **more: Any) -> st.SearchStrategy[Payload]:
    for field in fields:
        more[field] = lists
    return st.builds(kind, meta=any_object, extra=extras(kind), **more)


PAYLOADS: dict[str, st.SearchStrategy[Payload]] = {
    "tool_pre_invoke": calls(ToolCall),
    "tool_post_invoke": results(
        ToolResult,
        "content",
        # a payload that says `false` here does not say it on any wire
        structured_content=json_values,
        is_error=st.booleans(),
        error=errors,
    ),
    "prompt_pre_fetch": calls(PromptFetch),
    "prompt_post_fetch": results(
        PromptResult, "messages", description=st.none() | text, error=errors
    ),
    "resource_pre_fetch": st.builds(
        ResourceFetch, uri=text, meta=any_object, extra=extras(ResourceFetch)
    ),
    "resource_post_fetch": results(ResourceResult, "contents", error=errors),
}
LISTS: dict[str, st.SearchStrategy[Payload]] = {
    "tool_post_list": results(ToolList, "tools"),
    "prompt_post_list": results(PromptList, "prompts"),
    "resource_post_list": results(ResourceList, "resources"),
    "resource_template_post_list": results(ResourceTemplateList, "resource_templates"),
}
QUESTIONS: dict[str, st.SearchStrategy[Payload]] = {
    "resource_pre_subscribe": results(ResourceSubscribe, uri=text),
    "completion_pre": results(
        CompletionRequest, ref=any_object, argument=any_object, context=any_object
    ),
    "completion_post": results(CompletionResult, completion=any_object, error=errors),
    "sampling_pre_request": results(
        SamplingRequest,
        "messages",
        system_prompt=st.none() | text,
        max_tokens=st.none() | st.integers(),
        model_preferences=any_object,
        tools=st.none() | lists,
    ),
    "sampling_post_response": results(
        SamplingResult, role=text, content=lists | any_object, model=text
    ),
    "elicitation_pre_request": results(
        ElicitationRequest,
        message=text,
        mode=st.sampled_from(["form", "url"]),
        requested_schema=st.none() | any_object,
        url=st.none() | text,
    ),
    "elicitation_post_response": results(
        ElicitationResult, action=text, content=st.none() | any_object
    ),
    "roots_pre_list": results(RootsRequest),
    "roots_post_list": results(RootsResult, "roots"),
}
METHODS = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
    "completion": "completion/complete",
    "sampling": "sampling/createMessage",
    "elicitation": "elicitation/create",
    "roots": "roots/list",
}

principals = st.builds(
    Principal,
    user=st.sampled_from(ACTIONS),
    tenant=st.none() | text,
    groups=st.lists(text, max_size=2).map(tuple),
    claims=any_object,
)
clients = st.builds(Client, name=text, transport=text, capabilities=any_object)


@st.composite
def situations(draw: st.DrawFn, payloads: dict[str, Any]) -> tuple[str, Payload, dict[str, Any]]:
    hook = draw(st.sampled_from(sorted(payloads)))
    facts: dict[str, Any] = {
        "method": METHODS[hook.split("_")[0]],
        "name": draw(text.filter(bool)),
        "within": draw(st.sampled_from(["", "tools/call"])),
        "server": draw(text),
        "definition": draw(st.none() | any_object),
        "principal": draw(principals),
        "client": draw(clients),
    }
    before = f"{hook.split('_')[0]}_pre_"
    if "_post_" in hook and not hook.endswith("list"):
        every = {**PAYLOADS, **QUESTIONS}
        request = next(name for name in every if name.startswith(before))
        facts["request"] = draw(every[request])
    return hook, draw(payloads[hook]), facts


# the law


def describe(payload: Payload) -> str:
    """A payload as JSON, in which 1 and true are not the same."""
    return json.dumps([payload.to_wire(), getattr(payload, "error", None)])


async def decide(
    registry: Any, plugin: str, hook: str, payload: Payload, facts: dict[str, Any]
) -> tuple[Any, list[Any]]:
    operation = Operation("1", **facts)
    try:
        outcome: Outcome[Payload] = await registry.run(plugin, hook, payload, operation)
    except PluginError:
        return "failed", []
    verdict = outcome.verdict
    answered = describe(verdict.result) if isinstance(verdict, Respond) else None
    findings = [(found.key, found.value) for found in operation.findings]
    return (verdict, answered, describe(outcome.payload)), findings


async def check_law(here: Any, there: Any, payloads: dict[str, Any]) -> None:
    async def check(hook: str, payload: Payload, facts: dict[str, Any]) -> None:
        with anyio.fail_after(5):
            expected, seen_here = await decide(here, "plugin", hook, payload, facts)
            actual, seen_there = await decide(there, "remote", hook, payload, facts)
        assert actual == expected
        assert json.dumps(seen_there) == json.dumps(seen_here)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(situations(payloads))
    def law(situation: tuple[str, Payload, dict[str, Any]]) -> None:
        anyio.from_thread.run(check, *situation)

    await anyio.to_thread.run_sync(law)


@pytest.mark.parametrize("mode", ["enforce", "validate", "transform", "audit"])
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_plugin_behind_interceptors_decides_as_it_does_here(
    mode: str, era: str, run_plugins: Run, serve_http: Serve
) -> None:
    entry = {"name": "plugin", "kind": "obedient", "mode": mode}
    external = {"name": "remote", "kind": "external", "config": {"server": "peer"}}
    async with (
        run_plugins({"obedient": Obedient}, entry) as here,
        serve_http(here, mode=era) as peer,
        run_plugins({}, external, servers={"peer": peer}) as there,
    ):
        await check_law(here, there, {**PAYLOADS, **LISTS, **QUESTIONS})


@pytest.mark.parametrize("mode", ["enforce", "validate", "transform", "audit"])
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_plugin_behind_contextforge_decides_as_it_does_here(
    mode: str, era: str, run_plugins: Run, serve_http: Serve
) -> None:
    entry = {"name": "plugin", "kind": "obedient", "mode": mode}
    config = {"server": "peer", "dialect": "contextforge"}
    external = {"name": "remote", "kind": "external", "config": config}
    async with (
        run_plugins({"obedient": Obedient}, entry) as here,
        serve_http(here, mode=era) as peer,
        run_plugins({}, external, servers={"peer": peer}) as there,
    ):
        await check_law(here, there, PAYLOADS)


class Counting(Plugin):
    """Notes what it saw before, and judges by it after."""

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        context.state["before"] = [payload.name]

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> Deny | ToolResult:
        if "before" not in context.state:
            return Deny("never asked before")
        context.state["before"].append("after")
        return payload.replace(structured_content=context.state["before"])


@pytest.mark.parametrize("mode", ["enforce", "transform"])
@pytest.mark.parametrize("dialect", ["interceptors", "contextforge"])
async def test_what_a_plugin_notes_before_the_call_is_there_after_it(
    dialect: str, mode: str, run_plugins: Run, serve_http: Serve
) -> None:
    entry = {"name": "plugin", "kind": "counting", "mode": mode}
    config = {"server": "peer", "dialect": dialect}
    external = {"name": "remote", "kind": "external", "config": config}
    async with (
        run_plugins({"counting": Counting}, entry) as here,
        serve_http(here) as peer,
        run_plugins({}, external, servers={"peer": peer}) as there,
    ):
        operation = Operation("1", "tools/call", name="echo")
        with anyio.fail_after(5):
            await there.chain("tool_pre_invoke")(ToolCall("echo"), operation)
            outcome = await there.chain("tool_post_invoke")(ToolResult(), operation)
            other = Operation("2", "tools/call", name="echo")
            unasked = await there.chain("tool_post_invoke")(ToolResult(), other)
    assert outcome.payload.structured_content == ["echo", "after"]
    assert unasked.verdict == (Deny("never asked before") if mode == "enforce" else None)
