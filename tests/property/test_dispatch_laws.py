"""What a client gets and what a server sees follow from what the chains decide."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio.lowlevel
import pytest
from bounds import at_most
from chain_model import POST, PRE, RESULTS, End, Model, No, Plugin, UndecidedError
from chain_stage import Stage
from chain_strategies import chains
from hypothesis import assume, given
from hypothesis import strategies as st

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.jsonrpc import RpcError
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import (
    Client,
    Deny,
    Mode,
    OnError,
    Operation,
    Respond,
    ServerError,
    ServerUnavailableError,
    ToolCall,
    ToolResult,
    hookimpl,
    thaw,
)

ANSWER = {"content": [{"type": "text", "text": "from the server"}], "x-unknown": [None, False]}


class Server(MemoryServer):
    """Records what reaches it."""

    name = "s"
    capabilities: Mapping[str, Any] = {"tools": {"listChanged": True}}

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": [{"name": "a"}, {"name": "b"}]}
        self.calls.append(dict(params or {}))
        await anyio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class BeforeAndAfter:
    """Does one thing before and another after."""

    def __init__(self, name: str, before: str, after: str) -> None:
        self.name, self.before, self.after = name, before, after

    def answer(self, does: str, payload: Any) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "nothing": lambda: None,
            "change": lambda: payload.replace(meta={**payload.meta, self.name: True}),
            "rename": lambda: payload.replace(name="s__b"),
            "deny": lambda: Deny(self.name),
            "respond": lambda: Respond(ToolResult([{"type": "text", "text": self.name}])),
            "forgive": lambda: payload.replace(error=None),
            "raise": lambda: 1 / 0,
        }
        return answers[does]()

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.answer(self.before, payload)

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.answer(self.after, payload)


class Chains:
    def __init__(self, plugins: list[tuple[BeforeAndAfter, Policy]]) -> None:
        named = [(plugin.name, plugin, policy) for plugin, policy in plugins]
        self.chains = compile_chains(named, offer=lambda step, payload, operation: True)

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]


BEFORE = st.sampled_from(["nothing", "change", "rename", "deny", "respond", "raise"])
AFTER = st.sampled_from(["nothing", "change", "deny", "forgive", "raise"])


@st.composite
def plugins(draw: st.DrawFn) -> list[tuple[BeforeAndAfter, Policy]]:
    found: list[tuple[BeforeAndAfter, Policy]] = []
    for number in range(draw(st.integers(0, 4))):
        policy = Policy(
            draw(st.sampled_from(Mode)),
            draw(st.sampled_from([OnError.FAIL, OnError.IGNORE])),
            draw(st.integers(1, 3)),
        )
        found.append((BeforeAndAfter(f"p{number}", draw(BEFORE), draw(AFTER)), policy))
    return found


def dispatcher_of(server: Server, chains: Any) -> Dispatcher:
    members = [Member(server, "s", 5)]
    generation = Generation(
        Catalog(members),
        {"s": server},
        chains,
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
        deny_as_error=True,
    )
    return Dispatcher(generation, server_info={})


async def handled(dispatcher: Dispatcher, modern: bool) -> dict[str, Any] | RpcError:
    request = Request("tools/call", {"name": "s__a", "x": None}, Client(), modern)
    try:
        return await dispatcher.handle(request)
    except RpcError as error:
        return error


ERROR = ServerError("it broke", server="s", code=-32050)


@at_most(5_000)
@given(plugins(), st.sampled_from([ANSWER, ERROR]), st.booleans())
async def test_only_what_the_pre_chain_passes_reaches_the_server_and_the_post_chain_the_client(
    found: list[tuple[BeforeAndAfter, Policy]], answer: Any, modern: bool
) -> None:
    server, chains = Server(answer), Chains(found)
    got = await handled(dispatcher_of(server, chains), modern)

    # the same, step by step: renamed calls pass the pre chain once more
    operation = Operation("1", "tools/call", "s__a", "s")
    call = ToolCall.from_wire({"name": "s__a", "x": None})
    before = await chains.chain("tool_pre_invoke")(call, operation)
    if before.payload.name != "s__a" and not isinstance(before.verdict, Deny):
        before = await chains.chain("tool_pre_invoke")(before.payload, operation)

    if isinstance(before.verdict, Deny):
        assert server.calls == []
        assert isinstance(got, RpcError)
        assert (got.code, got.message) == (403, f"Denied: {before.verdict.reason}")
        return
    if isinstance(before.verdict, Respond):
        assert server.calls == []
        result: Any = before.verdict.result
    else:
        own = {**before.payload.to_wire(), "name": before.payload.name.removeprefix("s__")}
        assert [thaw(sent) for sent in server.calls] == [thaw(own)]
        result = (
            ToolResult(error={"code": -32050, "message": "it broke", "data": None})
            if answer is ERROR
            else ToolResult.from_wire(ANSWER)
        )
    after = await chains.chain("tool_post_invoke")(result, operation)
    if isinstance(after.verdict, Deny):
        assert isinstance(got, RpcError)
        assert got.message == f"Denied: {after.verdict.reason}"
    elif after.payload.error is not None:
        assert isinstance(got, RpcError)
        assert (got.code, got.message) == (-32050, "it broke")
    else:
        assert isinstance(got, dict)
        shaped = thaw(got)
        if modern:
            assert shaped.pop("resultType") == "complete"
            shaped["_meta"].pop("io.modelcontextprotocol/serverInfo")
            if not shaped["_meta"]:
                del shaped["_meta"]
        assert shaped == thaw(after.payload.to_wire())


class Staged:
    """The chains of two stages."""

    def __init__(self, pre: Stage, post: Stage) -> None:
        self.stages = {PRE: pre, POST: post}
        self.others = compile_chains([])

    def chain(self, hook: str) -> Chain[Any]:
        stage = self.stages.get(hook)
        return self.others[hook] if stage is None else stage.chain


class Answering(Server):
    """Answers in the words of the model, one after the other and the last one for good."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__({})
        self.answers = answers

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        self.answer = self.raw(self.answers[min(len(self.calls), len(self.answers) - 1)])
        return await super().request(method, params, **options)

    @staticmethod
    def raw(answer: str) -> Any:
        if answer == "gone":
            return ServerUnavailableError("away", server="s")
        if answer == "error":
            return ServerError("no", server="s", code=-32000)
        return thaw(RESULTS[answer].to_wire())


ANSWERS = st.lists(
    st.sampled_from(["result", "other result", "error", "gone"]), min_size=1, max_size=2
)


@at_most(5_000)
@given(chains(max_size=4), chains(max_size=3), ANSWERS)
async def test_with_wrappers_server_and_client_get_what_the_model_says(
    before: list[Plugin], after: list[Plugin], answers: list[str]
) -> None:
    try:
        pre = Model(before, PRE, answers).run(ToolCall("s__a"))
        answer = pre.end.verdict if pre.end else None
        post = Model(after, POST).run(answer) if isinstance(answer, ToolResult) else None
    except UndecidedError:
        assume(False)
        raise
    server, stages = Answering(answers), Staged(Stage(before, PRE), Stage(after, POST))
    request = Request("tools/call", {"name": "s__a"}, Client(), modern=False)
    got: dict[str, Any] | RpcError
    try:
        got = await dispatcher_of(server, stages).handle(request)
    except RpcError as error:
        got = error

    assert [thaw(call) for call in server.calls] == [
        thaw({**call.to_wire(), "name": "a"}) for call in pre.asked
    ]
    final = post if post is not None and post.end is not None else pre
    match final.end:
        case None:
            assert isinstance(got, RpcError)
        case End(verdict=No(origin=origin)):
            assert isinstance(got, RpcError)
            assert got.code == 403
            assert origin in got.message
        case End(payload=result) if result.error is not None:
            assert isinstance(got, RpcError)
            assert (got.code, got.message) == (-32000, "no")
        case End(payload=result):
            assert isinstance(got, dict)
            assert thaw(got) == thaw(result.to_wire())


PIECES = st.lists(st.sampled_from(["a", "b", "__", "_", "s"]), max_size=6).map("".join)


@at_most(5_000)
@given(PIECES | st.sampled_from(["s__a", "s__b"]))
async def test_no_name_reaches_a_server_that_does_not_list_it(name: str) -> None:
    server = Server(ANSWER)
    dispatcher = dispatcher_of(server, Chains([]))
    request = Request("tools/call", {"name": name}, Client(), modern=False)
    if name in {"s__a", "s__b"}:
        await dispatcher.handle(request)
        assert server.calls == [{"name": name.removeprefix("s__")}]
        return
    with pytest.raises(RpcError, match="Unknown tool"):
        await dispatcher.handle(request)
    assert server.calls == []
