from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from plugway.dispatch.inputs import (
    Answered,
    DeniedQuestionError,
    after_client,
    asked_by,
    before_client,
)
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.conditions import Condition, compile_conditions
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway.jsonrpc import DENIED, INVALID_PARAMS, TOO_LARGE, UPSTREAM_ERROR, RpcError
from plugway.methods import ASKS
from plugway_hookspecs import (
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    Operation,
    Respond,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    ToolCall,
    hookimpl,
)

TEXT = {"type": "text", "text": "hi"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "sampling/createMessage": {
        "messages": [{"role": "user", "content": TEXT}],
        "maxTokens": 9,
        "temperature": 0.5,
        "new": {"a": None},
    },
    "elicitation/create": {
        "message": "who?",
        "mode": "form",
        "requestedSchema": {"type": "object", "properties": {}},
        "new": [1],
    },
    "roots/list": {"new": 1},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "sampling/createMessage": {"role": "assistant", "content": [TEXT], "model": "m", "new": 1},
    "elicitation/create": {"action": "accept", "content": {}, "new": None},
    "roots/list": {"roots": [{"uri": "file:///r", "new": 1}], "new": []},
}
ASK = ASKS["elicitation/create"]
QUESTION, ANSWER = QUESTIONS[ASK.name], ANSWERS[ASK.name]


@dataclass
class Parts:
    """The plugins of a gateway, and its limit."""

    compiled: Mapping[str, Chain[Any]]
    max_payload_bytes: int = 10_000

    @property
    def chains(self) -> "Parts":
        return self

    def chain(self, hook: str) -> Chain[Any]:
        return self.compiled[hook]


def parts(*plugins: object, **policy: Any) -> Parts:
    named = [(f"p{n}", plugin, Policy(**policy)) for n, plugin in enumerate(plugins)]
    return Parts(compile_chains(named))


def calling(tool: str = "crm__find") -> Operation:
    return Operation("7", "tools/call", tool, "crm", {"name": tool}, record=[])


class Sees:
    """Takes down what it sees, and lets everything pass."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @hookimpl
    def sampling_pre_request(self, payload: SamplingRequest) -> None:
        self.seen.append(payload)

    @hookimpl
    def sampling_post_response(self, payload: SamplingResult) -> None:
        self.seen.append(payload)

    @hookimpl
    def elicitation_pre_request(self, payload: ElicitationRequest) -> None:
        self.seen.append(payload)

    @hookimpl
    def elicitation_post_response(self, payload: ElicitationResult) -> None:
        self.seen.append(payload)

    @hookimpl
    def roots_pre_list(self, payload: RootsRequest) -> None:
        self.seen.append(payload)

    @hookimpl
    def roots_post_list(self, payload: RootsResult) -> None:
        self.seen.append(payload)


@pytest.mark.parametrize("method", ASKS)
async def test_what_nobody_changes_goes_on_as_it_came(method: str) -> None:
    ask, sees = ASKS[method], Sees()
    for each in (parts(), parts(sees)):
        operation = asked_by(calling(), ask, "crm")
        assert await before_client(each, ask, QUESTIONS[method], operation) is QUESTIONS[method]
        assert await after_client(each, ask, ANSWERS[method], operation) is ANSWERS[method]
    assert [type(payload) for payload in sees.seen] == [ask.request, ask.result]
    assert [payload.to_wire() for payload in sees.seen] == [QUESTIONS[method], ANSWERS[method]]


class Edits:
    @hookimpl
    def elicitation_pre_request(self, payload: ElicitationRequest) -> ElicitationRequest:
        return payload.replace(message="[crm] " + payload.message)

    @hookimpl
    def elicitation_post_response(self, payload: ElicitationResult) -> ElicitationResult:
        return payload.replace(content={"name": "x"})


async def test_what_a_plugin_changes_keeps_everything_else() -> None:
    each, operation = parts(Edits()), asked_by(calling(), ASK, "crm")
    asked = await before_client(each, ASK, QUESTION, operation)
    assert asked == {**QUESTION, "message": "[crm] who?"}
    answered = await after_client(each, ASK, ANSWER, operation)
    assert answered == {**ANSWER, "content": {"name": "x"}}


async def test_a_plugin_sees_the_asking_server_and_what_it_asks_for() -> None:
    class Looks:
        @hookimpl
        def tool_pre_invoke(self, context: Context) -> None:
            context.state["n"] = 1
            context.shared["m"] = 2

        @hookimpl
        def elicitation_pre_request(self, context: Context) -> None:
            seen = context.method, context.within, context.server, context.name
            assert seen == ("elicitation/create", "tools/call", "other", "crm__find")
            assert context.definition == {"name": "crm__find"}
            assert context.request is None
            assert (context.state["n"], context.shared["m"]) == (1, 2)
            context.annotate("asked", True)
            context.shared["m"] = 3

        @hookimpl
        def elicitation_post_response(self, context: Context) -> None:
            assert context.request == ElicitationRequest.from_wire(QUESTION)
            context.state["n"] += context.shared["m"]

    each, request = parts(Looks()), calling()
    await each.chain("tool_pre_invoke")(ToolCall("crm__find"), request)
    question = asked_by(request, ASK, "other")
    await before_client(each, ASK, QUESTION, question)
    await after_client(each, ASK, ANSWER, question)
    assert request.states == {"p0": {"n": 4}}
    assert [found.key for found in request.findings] == ["asked"]
    hooks = [line.hook for line in lines(request)]
    assert hooks == ["tool_pre_invoke", "elicitation_pre_request", "elicitation_post_response"]
    assert (request.method, request.server, request.request) == ("tools/call", "crm", None)


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ({"tools": ["crm__*"]}, True),
        ({"tools": ["crm__*", "!crm__find"]}, False),
        ({"prompts": ["*"]}, False),
        ({"server_ids": ["other"]}, True),
        ({"server_ids": ["crm"]}, False),
        ({"tools": ["crm__find"], "server_ids": ["other"]}, True),
    ],
)
async def test_conditions_are_about_what_a_server_asks_for_and_who_asks(
    condition: dict[str, Any], asked: bool
) -> None:
    sees = Sees()
    when = compile_conditions([Condition(**condition)])
    await before_client(parts(sees, when=when), ASK, QUESTION, asked_by(calling(), ASK, "other"))
    assert bool(sees.seen) is asked


async def test_a_condition_on_types_is_about_the_resource_in_whose_read_a_server_asks() -> None:
    sees = Sees()
    each = parts(sees, when=compile_conditions([Condition(content_types=("text/*",))]))
    for mime in ("text/html", "image/png"):
        read = Operation("1", "resources/read", "x:y", "crm", {"mimeType": mime})
        await before_client(each, ASK, QUESTION, asked_by(read, ASK, "crm"))
    await before_client(each, ASK, QUESTION, asked_by(calling(), ASK, "crm"))
    assert len(sees.seen) == 1


async def test_a_plugins_answer_spares_the_client_and_passes_the_post_chain() -> None:
    class Declines:
        @hookimpl
        def elicitation_pre_request(self) -> Respond:
            return Respond(ElicitationResult("decline"))

    sees = Sees()
    answered = await before_client(
        parts(Declines(), sees), ASK, QUESTION, asked_by(calling(), ASK, "crm")
    )
    assert isinstance(answered, Answered)
    assert answered.result == {"action": "decline"}
    assert sees.seen == [ElicitationResult("decline")]


class Denies:
    @hookimpl
    def elicitation_pre_request(self, payload: ElicitationRequest) -> Deny | None:
        secret = "password" in payload.message
        return Deny("no secrets", code="secret", details={"s3cret": 1}) if secret else None

    @hookimpl
    def elicitation_post_response(self) -> Deny:
        return Deny("not that", mcp_error_code=-32042)


async def test_a_deny_carries_what_the_client_and_the_server_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "plugway.dispatch.inputs")
    each, operation = parts(Denies()), asked_by(calling(), ASK, "crm")
    with pytest.raises(DeniedQuestionError) as before:
        await before_client(each, ASK, {**QUESTION, "message": "password?"}, operation)
    assert before.value.outcome.plugin == "p0"
    assert before.value.outcome.verdict is before.value.deny
    told = before.value.as_rpc_error()
    assert (told.code, told.message) == (DENIED, "Denied: no secrets")
    assert told.data == {"code": "secret", "request": "7"}
    assert operation.denied
    with pytest.raises(DeniedQuestionError) as after:
        await after_client(each, ASK, ANSWER, asked_by(calling(), ASK, "crm"))
    assert after.value.as_rpc_error().code == -32042
    assert caplog.messages == [
        "request 7 (elicitation/create 'crm__find') denied by 'p0': secret",
        "request 7 (elicitation/create 'crm__find') denied by 'p0': denied",
    ]


async def test_a_plugin_that_fails_lets_no_question_through() -> None:
    class Fails:
        @hookimpl
        def elicitation_pre_request(self) -> None:
            raise RuntimeError("s3cret")

    with pytest.raises(DeniedQuestionError) as caught:
        await before_client(parts(Fails()), ASK, QUESTION, asked_by(calling(), ASK, "crm"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "question"),
    [
        ("elicitation/create", {}),
        ("elicitation/create", {"message": 1}),
        ("elicitation/create", {"message": "s3cret", "requestedSchema": []}),
        ("sampling/createMessage", {"messages": ["s3cret"]}),
        ("sampling/createMessage", {"messages": [], "maxTokens": "s3cret"}),
        ("sampling/createMessage", {"messages": [], "tools": [1]}),
        ("roots/list", {"_meta": "s3cret"}),
    ],
)
async def test_a_question_of_the_wrong_shape_is_the_servers_mistake(
    method: str, question: dict[str, Any]
) -> None:
    ask, sees = ASKS[method], Sees()
    with pytest.raises(RpcError, match=f"^Server 'crm' asked {method} with") as caught:
        await before_client(parts(sees), ask, question, asked_by(calling(), ask, "crm"))
    assert caught.value.code == UPSTREAM_ERROR
    assert "s3cret" not in caught.value.message
    assert not sees.seen


@pytest.mark.parametrize(
    ("method", "answer", "where"),
    [
        ("elicitation/create", {}, "nothing where there must be something at action"),
        ("elicitation/create", {"action": "accept", "content": []}, "a list .* at content"),
        ("sampling/createMessage", {"role": "user", "content": "hi", "model": ""}, "at content"),
        ("sampling/createMessage", {"role": "user", "content": [1], "model": ""}, r"content\[0\]"),
        ("roots/list", {"roots": {}}, "an object instead of a list at roots"),
    ],
)
async def test_an_answer_of_the_wrong_shape_is_the_clients_mistake(
    method: str, answer: dict[str, Any], where: str
) -> None:
    ask, sees = ASKS[method], Sees()
    said = f"^The client's answer to {method} is not what MCP has there: .*{where}"
    with pytest.raises(RpcError, match=said) as caught:
        await after_client(parts(sees), ask, answer, asked_by(calling(), ask, "crm"))
    assert caught.value.code == INVALID_PARAMS
    assert not sees.seen


async def test_what_is_too_large_is_refused_before_any_plugin_sees_it() -> None:
    sees, large = Sees(), "x" * 200
    each = Parts(parts(sees).compiled, max_payload_bytes=200)
    with pytest.raises(RpcError, match=r"^What server 'crm' asks by elicitation/create is 2\d\d b"):
        await before_client(each, ASK, {"message": large}, asked_by(calling(), ASK, "crm"))
    with pytest.raises(
        RpcError, match=r"^The client's answer to elicitation/create is 2\d\d bytes"
    ):
        await after_client(
            each, ASK, {**ANSWER, "content": {"a": large}}, asked_by(calling(), ASK, "crm")
        )
    assert not sees.seen


async def test_what_plugins_make_too_large_is_refused() -> None:
    each = Parts(parts(Edits()).compiled, max_payload_bytes=100)
    with pytest.raises(RpcError, match="question elicitation/create, as plugins made it") as caught:
        await before_client(each, ASK, {"message": "x" * 84}, asked_by(calling(), ASK, "crm"))
    assert caught.value.code == TOO_LARGE
