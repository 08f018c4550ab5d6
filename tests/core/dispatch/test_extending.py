from collections.abc import Mapping
from typing import Any

import pytest

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Caller, Request
from plugway.dispatch.extending import APPS, TASKS
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.federation.view import View
from plugway.generation import Generation
from plugway.jsonrpc import UPSTREAM_ERROR, RpcError
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import Client, hookimpl

VENDOR = "com.example/search"
TASK = {"resultType": "task", "taskId": "t1", "status": "working"}


class Server(MemoryServer):
    """A server with extensions: it answers calls with a task, and every other method with it."""

    def __init__(self, name: str, *extensions: str, listed: list[str] | None = None) -> None:
        self.name = name
        self.capabilities = {
            "tools": {"listChanged": True},
            "extensions": {extension: {"v": 1} for extension in extensions},
        }
        self.extensions = listed
        self.seen: list[tuple[str, Any, Any]] = []
        self.answer: dict[str, Any] = TASK

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": [{"name": "a"}]}
        self.seen.append((method, dict(params or {}), options["extensions"]))
        return dict(self.answer)


class Guard:
    @hookimpl
    async def tool_post_invoke(self) -> None:
        return None


class Chains:
    def __init__(self, *plugins: object) -> None:
        self.compiled = compile_chains([(f"p{n}", p, Policy()) for n, p in enumerate(plugins)])

    def chain(self, hook: str) -> Chain[Any]:
        return self.compiled[hook]


def gateway(*servers: Server, plugins: tuple[object, ...] = ()) -> Dispatcher:
    members = [Member(server, server.name, 5) for server in servers]
    generation = Generation(
        Catalog(members),
        {server.name: server for server in servers},
        Chains(*plugins),
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
    )
    return Dispatcher(generation, server_info={"name": "test", "version": "0"})


def request(method: str, params: Any = None, *, view: View | None = None) -> Request:
    capabilities = {"extensions": {TASKS: {}, VENDOR: {"deep": [1]}}}
    asked = Request(method, params or {}, Client(), modern=True, caller=Caller(capabilities))
    if view is not None:
        asked.view = view
    return asked


async def refusal(dispatcher: Dispatcher, asked: Request) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await dispatcher.handle(asked)
    return caught.value


async def test_a_task_has_a_name_of_its_servers_and_leads_back_to_it() -> None:
    a, b = Server("a", TASKS), Server("b", TASKS)
    dispatcher = gateway(a, b)
    started = await dispatcher.handle(request("tools/call", {"name": "b__a"}))
    assert (started["resultType"], started["taskId"]) == ("task", "b__t1")
    got = await dispatcher.handle(request("tasks/get", {"taskId": started["taskId"]}))
    assert got["taskId"] == "b__t1"
    assert [(method, params) for method, params, _ in b.seen[1:]] == [
        ("tasks/get", {"taskId": "t1"})
    ]
    assert a.seen == []


async def test_a_server_learns_of_the_clients_extensions() -> None:
    server = Server("a", TASKS, VENDOR)
    await gateway(server).handle(request("com.example/search", {"q": None}))
    assert server.seen == [("com.example/search", {"q": None}, {TASKS: {}, VENDOR: {"deep": [1]}})]


async def test_a_method_whose_server_can_t_be_told_needs_an_endpoint() -> None:
    a, b = Server("a", VENDOR), Server("b", VENDOR)
    dispatcher = gateway(a, b)
    error = await refusal(dispatcher, request("com.example/search"))
    assert error.code == -32601
    assert "use the endpoint of one of them" in error.message
    view = View("b", {"b": "b"})
    await dispatcher.handle(request("com.example/search", view=view))
    assert (len(a.seen), len(b.seen)) == (0, 1)


@pytest.mark.parametrize("method", ["com.example/search", "tasks/get"])
async def test_without_extensions_there_are_no_methods(method: str) -> None:
    server = Server("a")
    error = await refusal(gateway(server), request(method, {"taskId": "a__t1"}))
    assert (error.code, error.message) == (-32601, f"Method not found: {method}")
    assert server.seen == []


async def test_what_plugins_guard_no_extension_gets_round() -> None:
    server = Server("a", TASKS, VENDOR, APPS)
    dispatcher = gateway(server, plugins=(Guard(),))
    assert (await refusal(dispatcher, request("tasks/get", {"taskId": "a__t1"}))).code == -32601
    error = await refusal(dispatcher, request("tools/call", {"name": "a__a"}))
    assert error.message == "Server 'a' answered with a 'task', which the client can't read"
    assert [extensions for *_, extensions in server.seen] == [{}]


async def test_an_operator_may_let_them() -> None:
    server = Server("a", TASKS, VENDOR, listed=[TASKS])
    dispatcher = gateway(server, plugins=(Guard(),))
    await dispatcher.handle(request("tasks/get", {"taskId": "a__t1"}))
    assert [extensions for *_, extensions in server.seen] == [{TASKS: {}}]


async def test_a_task_of_nobody_is_unknown() -> None:
    error = await refusal(gateway(Server("a", TASKS)), request("tasks/get", {"taskId": "x__t1"}))
    assert (error.code, error.message) == (-32602, "Unknown task: x__t1")


async def test_apps_open_no_methods() -> None:
    server = Server("a", APPS)
    error = await refusal(gateway(server, plugins=(Guard(),)), request("com.example/search"))
    assert (error.code, server.seen) == (-32601, [])


async def test_an_extension_that_is_kept_back_keeps_back_all_methods_of_its_server() -> None:
    server = Server("a", VENDOR, "com.example/other", listed=[VENDOR])
    error = await refusal(gateway(server), request("com.example/search"))
    assert (error.code, server.seen) == (-32601, [])


@pytest.mark.parametrize("params", [{}, {"taskId": 7}, {"taskId": ["a__t1"]}])
async def test_a_tasks_method_needs_a_task(params: dict[str, Any]) -> None:
    server = Server("a", TASKS, VENDOR)
    error = await refusal(gateway(server), request("tasks/get", params))
    assert (error.code, error.message) == (-32602, "Invalid params: taskId must be a string")
    assert server.seen == []


async def test_no_question_comes_as_the_result_of_an_extension() -> None:
    server = Server("a", VENDOR)
    server.answer = {"resultType": "input_required", "inputRequests": {}}
    error = await refusal(gateway(server), request("com.example/search"))
    message = "Server 'a' answered com.example/search with a question, which is not possible there"
    assert (error.code, error.message) == (UPSTREAM_ERROR, message)


async def test_who_guards_questions_guards_extensions_too() -> None:
    class Questions:
        @hookimpl
        async def elicitation_pre_request(self) -> None:
            return None

    server = Server("a", VENDOR)
    error = await refusal(gateway(server, plugins=(Questions(),)), request("com.example/search"))
    assert (error.code, server.seen) == (-32601, [])


@pytest.mark.parametrize(
    ("kind", "declared", "passes"),
    [
        ("task", [TASKS], True),
        ("task", [VENDOR], False),
        ("new", [TASKS, APPS], False),
        ("new", [VENDOR], True),
        (["new"], [TASKS], False),
    ],
)
async def test_a_kind_of_result_needs_an_extension_that_may_have_it(
    kind: Any, declared: list[str], passes: bool
) -> None:
    server = Server("a", TASKS, VENDOR)
    server.answer = {**TASK, "resultType": kind}
    asked = request("tools/call", {"name": "a__a"})
    asked.caller = Caller({"extensions": {name: {} for name in declared}})
    if passes:
        assert (await gateway(server).handle(asked))["resultType"] == kind
    else:
        assert "which the client can't read" in (await refusal(gateway(server), asked)).message
