"""Nothing gets past the dispatcher, and the hooks of questions run wherever they come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from eras import ALL_EIGHT, ROOTS, Serve, called, elicitation, sampling, staged, until
from mcp_types.methods import CLIENT_REQUESTS
from raw_clients import RawClient, raw_http, raw_pipe

from plugway.methods import FETCHES, LISTINGS, UNHOOKED
from plugway_hookspecs import (
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    Operation,
    Plugin,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    hookimpl,
)

eight = pytest.mark.parametrize("combination", ALL_EIGHT, ids="-".join)

PARAMS: dict[str, Any] = {
    "tools/call": called("count", up_to=1),
    "prompts/get": {"name": "up__plain"},
    "resources/read": {"uri": "up+memo://one"},
    "resources/subscribe": {"uri": "up+memo://one"},
    "resources/unsubscribe": {"uri": "up+memo://one"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "up__ask"},
        "argument": {"name": "a", "value": ""},
    },
    "logging/setLevel": {"level": "error"},
    "subscriptions/listen": {"notifications": {"toolsListChanged": True}},
}
OF_THE_EDGE = {"initialize", "server/discover", "logging/setLevel"}
"""Methods that the edge answers from what it knows of its own connection."""

VERSIONS = sorted({version for _, version in CLIENT_REQUESTS})


@pytest.mark.parametrize("edge", ["http", "pipe"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_method_of_every_revision_goes_through_the_dispatcher(
    serve_http: Serve, tmp_path: Path, edge: str, version: str
) -> None:
    methods = sorted(method for method, of in CLIENT_REQUESTS if of == version)
    assert UNHOOKED.keys() >= OF_THE_EDGE
    seen: list[str] = []
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "dual", "http") as stage:
            stage.gateway.dispatcher.listen(lambda operation, _: seen.append(operation.method))
            opened: Any = (
                raw_http(stage.url, version)
                if edge == "http"
                else raw_pipe(stage.gateway.edge, version)
            )
            async with opened as client:
                for method in methods:
                    if method != "initialize":  # it opened the connection
                        await answered(client, method, seen)
    assert seen == [method for method in methods if method not in OF_THE_EDGE]
    assert {*FETCHES, *LISTINGS} <= set(seen)


async def answered(client: RawClient, method: str, seen: list[str]) -> None:
    if method != "subscriptions/listen":
        response = await client.ask(method, PARAMS.get(method))
        assert "result" in response, response
        return
    async with anyio.create_task_group() as tasks:  # a stream ends when its client goes
        tasks.start_soon(client.ask, method, PARAMS[method])
        await until(lambda: method in seen)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("edge", ["http", "pipe"])
async def test_methods_that_a_revision_does_not_have_are_refused(
    serve_http: Serve, tmp_path: Path, edge: str, version: str
) -> None:
    known = {method for method, of in CLIENT_REQUESTS if of == version}
    foreign = sorted({method for method, _ in CLIENT_REQUESTS} - known - {"initialize"})
    seen: list[str] = []
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "dual", "http") as stage:
            stage.gateway.dispatcher.listen(lambda operation, _: seen.append(operation.method))
            opened: Any = (
                raw_http(stage.url, version)
                if edge == "http"
                else raw_pipe(stage.gateway.edge, version)
            )
            async with opened as client:
                for method in [*foreign, "nonesuch/do"]:
                    response = await client.ask(method, PARAMS.get(method))
                    assert response["error"]["code"] == -32601, (method, response)
    assert seen == ["nonesuch/do"]  # a server might have it


class Seen:
    """What the plugins of one test saw."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.within: set[str] = set()
        self.operations: list[Operation] = []


def looking(seen: Seen) -> type[Plugin]:
    """Make a kind that sees all questions and answers, and denies those that say so."""

    def look(name: str, context: Context, text: str = "") -> Deny | None:
        seen.hooks.append(name)
        seen.within.add(context.within or "")
        assert context.server == "up"
        assert context.name == "up__ask"
        return Deny("not allowed", code="no") if f"deny {name}" in text else None

    class Looks(Plugin):
        @hookimpl
        def elicitation_pre_request(
            self, payload: ElicitationRequest, context: Context
        ) -> Deny | None:
            return look("elicitation_pre", context, payload.message)

        @hookimpl
        def elicitation_post_response(
            self, payload: ElicitationResult, context: Context
        ) -> Deny | None:
            return look("elicitation_post", context, str(payload.content))

        @hookimpl
        def sampling_pre_request(self, payload: SamplingRequest, context: Context) -> Deny | None:
            return look("sampling_pre", context, str(payload.to_wire()))

        @hookimpl
        def sampling_post_response(self, payload: SamplingResult, context: Context) -> Deny | None:
            return look("sampling_post", context, str(payload.to_wire()))

        @hookimpl
        def roots_pre_list(self, payload: RootsRequest, context: Context) -> Deny | None:
            return look("roots_pre", context)

        @hookimpl
        def roots_post_list(self, payload: RootsResult, context: Context) -> Deny | None:
            return look("roots_post", context)

    return Looks


@eight
async def test_hooks_run_round_every_question_and_can_stop_it(
    serve_http: Serve,
    tmp_path: Path,
    install_kinds: Callable[..., None],
    combination: tuple[str, str, str],
) -> None:
    front, back, transport = combination
    seen, asked = Seen(), list[str]()
    install_kinds(looks=looking(seen))

    async def elicit(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"name": params.message})

    async def sample(_context: Any, params: Any) -> types.CreateMessageResult:
        text = params.messages[0].content.text
        asked.append(text)
        content = types.TextContent(type="text", text=text)
        return types.CreateMessageResult(role="assistant", content=content, model="m")

    async def roots(_context: Any) -> types.ListRootsResult:
        asked.append("roots")
        return types.ListRootsResult(roots=[])

    questions = {
        "elicitation": elicitation("fine"),
        "sampling": sampling("fine"),
        "roots": ROOTS,
    }
    plugins = [{"name": "looks", "kind": "looks"}]
    with anyio.fail_after(60):
        async with staged(serve_http, tmp_path, back, transport, plugins=plugins) as stage:
            async with stage.client(
                front,
                elicitation_callback=elicit,
                sampling_callback=sample,
                list_roots_callback=roots,
            ) as client:
                for name, question in questions.items():
                    result: Any = await client.call_tool(**called("ask", rounds=[{"q": question}]))
                    assert not result.is_error, result
                    assert seen.hooks == [f"{name}_pre", f"{name}_post"]
                    seen.hooks.clear()
                assert seen.within == {"tools/call"}
                assert asked == ["fine", "fine", "roots"]
                for hook, question in {
                    "elicitation_pre": elicitation("deny elicitation_pre"),
                    "elicitation_post": elicitation("deny elicitation_post"),
                    "sampling_pre": sampling("deny sampling_pre"),
                    "sampling_post": sampling("deny sampling_post"),
                }.items():
                    asked.clear()
                    denied: Any = await client.call_tool(**called("ask", rounds=[{"q": question}]))
                    # a server that asked for roots once is told them before every call
                    assert (len(asked) > asked.count("roots")) is hook.endswith("post")
                    if back == "legacy":  # the server pushed the question, and reads the deny
                        given = denied.structured_content["rounds"][0]["q"]
                        assert given == {"error": 403, "message": "Denied: not allowed"}
                    else:
                        assert denied.is_error
                        assert denied.content[0].text == "Denied: not allowed"
            await stage.left_empty()


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_hooks_run_round_what_is_asked_outside_of_a_call(
    serve_http: Serve, tmp_path: Path, install_kinds: Callable[..., None], transport: str
) -> None:
    hooks: list[Any] = []
    seen: list[str] = []

    class Denies(Plugin):
        @hookimpl
        def elicitation_pre_request(self, context: Context) -> Deny:
            hooks.append((context.server, context.within))
            return Deny("not now")

    async def never(_context: Any, _params: Any) -> types.ElicitResult:
        raise AssertionError

    install_kinds(denies=Denies)
    plugins = [{"name": "denies", "kind": "denies"}]
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "legacy", transport, plugins=plugins) as stage:
            stage.gateway.dispatcher.listen(lambda operation, _: seen.append(operation.method))
            async with stage.client("legacy", elicitation_callback=never) as client:
                await client.call_tool(**called("late", question=elicitation("later")))
                await stage.happened("refused 403")
            await stage.left_empty()
    assert hooks == [("up", "")]
    assert "elicitation/create" in seen
