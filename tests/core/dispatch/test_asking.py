from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import anyio
import pytest

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Ask, Caller, Request
from plugway.dispatch.questions import Questions
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.jsonrpc import HEADER_MISMATCH, UPSTREAM_ERROR, URL_ELICITATION_REQUIRED, RpcError
from plugway.testing.memory import MemoryServer
from plugway.timing import Limit
from plugway.upstream.asked import ASKS, asked_of
from plugway_hookspecs import (
    Client,
    Context,
    Deny,
    ElicitationRequest,
    Operation,
    RootsRequest,
    ServerError,
    ToolCall,
    hookimpl,
)

OK = {"content": [{"type": "text", "text": "ok"}]}
FORM: Any = {"method": "elicitation/create", "params": {"message": "who?"}}
SAMPLING: Any = {"method": "sampling/createMessage", "params": {"messages": [], "tools": []}}
ROOTS: Any = {"method": "roots/list", "params": {"_meta": {"secret": 1}}}
FULL: Any = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}


class Server(MemoryServer):
    """A server that gives one answer after another, and may ask clients for everything."""

    capabilities: Mapping[str, Any] = {"tools": {}}

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.called: list[Any] = []
        self.tools: list[dict[str, Any]] = [{"name": "a"}, {"name": "b"}]

    def asks(self, caller: Caller | None) -> Mapping[str, Any]:
        return asked_of(caller.capabilities if caller else {}, ASKS)

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": self.tools}
        self.called.append((params or {}).get("name"))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        result: dict[str, Any] = answer
        return result


class Chains:
    def __init__(self, *plugins: object) -> None:
        self.compiled = compile_chains([(f"p{n}", p, Policy()) for n, p in enumerate(plugins)])

    def chain(self, hook: str) -> Chain[Any]:
        return self.compiled[hook]


def generation(server: Server, *plugins: object) -> Generation:
    members = [Member(server, server.name, 5)]
    return Generation(
        Catalog(members),
        {server.name: server},
        Chains(*plugins),
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
    )


def gateway(server: Server, *plugins: object) -> Dispatcher:
    return Dispatcher(generation(server, *plugins), server_info={"name": "t", "version": "0"})


def call(*, modern: bool = True, capabilities: Any = FULL, ask: Ask | None = None) -> Request:
    caller = Caller(capabilities)
    params = {"name": "s__a"}
    return Request("tools/call", params, Client(), modern=modern, caller=caller, ask=ask)


def asking(**questions: Any) -> dict[str, Any]:
    return {"resultType": "input_required", "requestState": "s", "inputRequests": questions}


async def refusal(dispatcher: Dispatcher, asked: Request) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await dispatcher.handle(asked)
    return caught.value


def url_error(*urls: str) -> ServerError:
    wanted = [
        {"mode": "url", "url": url, "message": "visit", "elicitationId": f"e{n}"}
        for n, url in enumerate(urls)
    ]
    data = {"elicitations": wanted, "more": 1}
    return ServerError("visit first", server="s", code=URL_ELICITATION_REQUIRED, data=data)


class Rewrites:
    @hookimpl
    def elicitation_pre_request(self, payload: ElicitationRequest) -> Any:
        if payload.url == "https://evil.example/":
            return Deny("no such site")
        return payload.replace(message="[s] " + payload.message)


async def test_urls_for_a_client_that_waits_pass_the_hooks_of_questions() -> None:
    error = await refusal(gateway(Server(url_error("u:1", "u:2")), Rewrites()), call(modern=False))
    wanted: Any = error.data
    assert (error.code, wanted["more"]) == (URL_ELICITATION_REQUIRED, 1)
    assert wanted["elicitations"] == [
        {"mode": "url", "url": "u:1", "message": "[s] visit", "elicitationId": "e0"},
        {"mode": "url", "url": "u:2", "message": "[s] visit", "elicitationId": "e1"},
    ]


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        None,
        {"elicitations": None},
        {"elicitations": {"url": "https://a.example/", "message": "secret"}},
        {"elicitations": []},
        {"elicitations": [{"url": "https://a.example/", "message": "a"}, "secret"]},
        {"elicitations": [{"url": "https://a.example/"}]},
        {"elicitations": [{"url": ["secret"], "message": "a"}]},
    ],
)
async def test_a_server_that_does_not_say_which_urls_to_visit_is_not_passed_on(
    data: Any, *, modern: bool
) -> None:
    error = ServerError("secret", server="s", code=URL_ELICITATION_REQUIRED, data=data)
    refused = await refusal(gateway(Server(error)), call(modern=modern))
    assert (refused.code, refused.data) == (UPSTREAM_ERROR, None)
    assert refused.message == "Server 's' wants URLs visited first, and does not say which"


async def test_a_denied_url_is_a_denied_call() -> None:
    server = Server(url_error("u:1", "https://evil.example/"))
    result = await gateway(server, Rewrites()).handle(call(modern=False))
    assert result["content"] == [{"type": "text", "text": "Denied: no such site"}]
    assert result["isError"]


async def test_a_client_gets_no_urls_that_it_does_not_offer_to_visit() -> None:
    asked = call(modern=False, capabilities={"elicitation": {}})
    error = await refusal(gateway(Server(url_error("u:1"))), asked)
    assert error.data == {"requiredCapabilities": {"elicitation": {"url": {}}}}


class Sends:
    """Sends calls to another tool."""

    def __init__(self) -> None:
        self.to = "s__a"

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
        return payload.replace(name=self.to)


async def test_a_state_is_for_the_tool_that_plugins_sent_the_request_to() -> None:
    server, sends = Server(asking(q=FORM), OK), Sends()
    dispatcher = gateway(server, sends)
    first = await dispatcher.handle(call())
    second = call()
    second.params = {
        **second.params,
        "requestState": first["requestState"],
        "inputResponses": {"q": {"action": "decline"}},
    }
    sends.to = "s__b"
    error = await refusal(dispatcher, second)
    assert error.data == {"reason": "other_request"}
    sends.to = "s__a"
    assert (await dispatcher.handle(second))["content"] == OK["content"]
    assert server.called == ["a", "a"]


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_tool_that_has_changed_is_not_called_past_its_guards(guarded: bool) -> None:
    server = Server(ServerError("headers", server="s", code=HEADER_MISMATCH), OK)
    dispatcher = gateway(server, *([Sends()] if guarded else []))
    listed = Request("tools/list", {}, Client(), modern=True, caller=Caller(FULL))
    await dispatcher.handle(listed)
    server.tools = [{"name": "a", "description": "new"}]
    if not guarded:
        assert (await dispatcher.handle(call()))["content"] == OK["content"]
        return
    error = await refusal(dispatcher, call())
    message = "Tool 's__a' has changed; list the tools again and repeat the call"
    assert (error.code, error.message, server.called) == (UPSTREAM_ERROR, message, ["a"])
    assert (await dispatcher.handle(call()))["content"] == OK["content"]


async def test_a_question_that_a_plugin_empties_goes_out_empty() -> None:
    class Empties:
        @hookimpl
        def roots_pre_list(self) -> RootsRequest:
            return RootsRequest()

    result = await gateway(Server(asking(q=ROOTS)), Empties()).handle(call())
    assert result["inputRequests"] == {"q": {"method": "roots/list", "params": {}}}


@pytest.mark.parametrize("modern", [True, False])
async def test_no_server_asks_under_the_gateways_key(modern: bool) -> None:
    server = Server(asking(**{"plugway-roots": ROOTS}))
    error = await refusal(gateway(server), call(modern=modern))
    message = "Server 's' asks under 'plugway-roots', a key of the gateway's"
    assert (error.code, error.message) == (UPSTREAM_ERROR, message)


@pytest.mark.parametrize(
    ("question", "declared", "needed"),
    [
        (FORM, {}, {"elicitation": {}}),
        (FORM, {"elicitation": {}}, None),
        (FORM, {"elicitation": {"form": {}}}, None),
        (FORM, {"elicitation": {"url": {}}}, {"elicitation": {"form": {}}}),
        (SAMPLING, {"sampling": {}}, {"sampling": {"tools": {}}}),
        (SAMPLING, {"sampling": {"tools": {}}}, None),
    ],
)
async def test_a_client_is_asked_only_what_it_has_declared_every_part_of(
    question: Any, declared: Any, needed: Any
) -> None:
    dispatcher, asked = gateway(Server(asking(q=question))), call(capabilities=declared)
    if needed is None:
        assert (await dispatcher.handle(asked))["inputRequests"] == {"q": question}
        return
    assert (await refusal(dispatcher, asked)).data == {"requiredCapabilities": needed}


@pytest.mark.parametrize("answers", [True, False])
async def test_a_question_moves_the_deadline_whatever_comes_of_it(answers: bool) -> None:
    operation = Operation("7", "tools/call")
    seen: list[float | None] = []

    class Looks:
        @hookimpl
        async def elicitation_post_response(self, context: Context) -> None:
            seen.append(context.deadline)

    async def put(_method: str, _params: Mapping[str, Any]) -> dict[str, Any]:
        if answers:
            return {"action": "decline"}
        raise RpcError(-1, "not now")

    with anyio.fail_after(5) as scope:
        asked = call(modern=False, ask=put)
        asked.limit = Limit(scope)
        questions = Questions(generation(Server(), Looks()), asked, operation, "s")
        with nullcontext() if answers else pytest.raises(RpcError, match="not now"):
            await questions.push("elicitation/create", {"message": "who?"})
        assert operation.deadline == scope.deadline
        assert seen == ([scope.deadline] if answers else [])
