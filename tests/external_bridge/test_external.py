"""The plugin kind itself: finding out what a server speaks, and how it is."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, cast

import anyio
import pytest

from plugway_external_bridge.client.breaker import FAILURES
from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.external import External
from plugway_hookspecs import (
    Context,
    Operation,
    Outcome,
    Payload,
    PluginError,
    Scope,
    Server,
    ServerError,
    ServerUnavailableError,
    ToolCall,
)

P = TypeVar("P", bound=Payload)
Manager = Callable[..., AbstractAsyncContextManager[Server]]

GUARD: dict[str, Any] = {
    "name": "guard",
    "type": "validation",
    "hooks": [{"events": ["tools/call"], "phase": "request"}],
}


class Scripted:
    """A server that answers what it is told to, and may go away."""

    name = "safety"

    def __init__(self, **answers: Any) -> None:
        self.answers = {method.replace("_", "/"): answer for method, answer in answers.items()}
        self.capabilities: Mapping[str, Any] = {}
        self.down = False
        self.asked: list[str] = []

    async def connect(self) -> None:
        if self.down:
            raise ServerUnavailableError("connection refused", server=self.name)

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        self.asked.append(method)
        if self.down:
            raise ServerUnavailableError("connection refused", server=self.name)
        answer: Any = self.answers.get(method, -32601)
        if isinstance(answer, int):
            raise ServerError("no", server=self.name, code=answer)
        return cast("dict[str, Any]", answer(params) if callable(answer) else answer)


class Host:
    """What a plugin is given when it starts."""

    def __init__(self, server: Server) -> None:
        self.logger = logging.getLogger("plugway.plugins.test")
        self._server = server

    def server(self, name: str) -> Server:
        return {self._server.name: self._server}[name]

    def parts_changed(self) -> None: ...

    def implemented(self, hook: str, context: Context) -> bool:
        return False

    async def fire(self, hook: str, payload: P, context: Context) -> Outcome[P]:
        return Outcome(payload)


async def start(server: Server, **config: Any) -> External:
    plugin = External(External.Config(server=server.name, **config), name="remote")
    with anyio.fail_after(5):
        await plugin.plugin_startup(Host(server))
    return plugin


def context() -> Context:
    return Context(Operation("1", "tools/call", name="echo"), Scope("remote"))


INTERCEPTORS = {"interceptors": [GUARD]}
TOOLS = {"tools": [{"name": "get_plugin_configs"}, {"name": "invoke_hook"}]}
CONFIGS = {"structuredContent": {"result": [{"name": "Demo", "hooks": ["tool_pre_invoke"]}]}}


@pytest.mark.parametrize(
    ("answers", "config", "asked", "part"),
    [
        ({"interceptors_list": INTERCEPTORS}, {}, ["interceptors/list"], "guard:request"),
        (
            {"tools_list": TOOLS, "tools_call": CONFIGS},
            {},
            ["interceptors/list", "tools/list", "tools/call"],
            "Demo",
        ),
        (
            # servers made before extensions answer an unknown method with "invalid params"
            {"interceptors_list": -32602, "tools_list": TOOLS, "tools_call": CONFIGS},
            {},
            ["interceptors/list", "tools/list", "tools/call"],
            "Demo",
        ),
        (
            {"interceptors_list": INTERCEPTORS, "tools_list": TOOLS, "tools_call": CONFIGS},
            {"dialect": "contextforge"},
            ["tools/list", "tools/call"],
            "Demo",
        ),
        (
            {"interceptors_list": INTERCEPTORS, "tools_list": TOOLS, "tools_call": CONFIGS},
            {"plugin": "demo"},
            ["tools/list", "tools/call"],
            "Demo",
        ),
    ],
)
async def test_the_dialect_is_found_out_with_one_question(
    answers: dict[str, Any], config: dict[str, Any], asked: list[str], part: str
) -> None:
    server = Scripted(**answers)
    plugin = await start(server, **config)
    assert server.asked == asked
    assert [each.name for each in plugin.parts()] == [part]


@pytest.mark.parametrize(
    ("config", "capabilities"),
    [
        ({"dialect": "interceptors"}, {}),
        ({"interceptors": ["guard"]}, {}),
        ({}, {"extensions": {"io.modelcontextprotocol/interceptors": {}}}),
    ],
)
async def test_where_interceptors_are_expected_an_error_is_no_reason_to_try_something_else(
    config: dict[str, Any], capabilities: dict[str, Any]
) -> None:
    server = Scripted(interceptors_list=-32603, tools_list=TOOLS, tools_call=CONFIGS)
    server.capabilities = capabilities
    with pytest.raises(SetupError, match="answered interceptors/list with error -32603"):
        await start(server, **config)


async def test_a_server_without_plugins_is_refused_with_both_names_it_could_have() -> None:
    server = Scripted(tools_list={"tools": [{"name": "echo"}]})
    with pytest.raises(SetupError, match=r"'safety' offers no plugins: .*'invoke_hook'"):
        await start(server)


async def test_pages_are_followed_to_the_end_and_a_list_without_one_is_refused() -> None:
    def page(params: dict[str, Any] | None) -> dict[str, Any]:
        number = int((params or {}).get("cursor", 0))
        found = {**GUARD, "name": f"guard-{number}"}
        more = {"nextCursor": str(number + 1)} if number < 2 else {}
        return {"interceptors": [found], **more}

    plugin = await start(Scripted(interceptors_list=page))
    assert [part.name for part in plugin.parts()] == [f"guard-{n}:request" for n in range(3)]
    with pytest.raises(SetupError, match="more than 100 pages"):
        await start(Scripted(interceptors_list={"interceptors": [], "nextCursor": "again"}))


async def test_a_server_that_is_down_is_not_started_and_its_health_says_so() -> None:
    server = Scripted(interceptors_list=INTERCEPTORS)
    plugin = await start(server)
    assert await plugin.plugin_health() is None
    server.down = True
    assert await plugin.plugin_health() == "server 'safety' can't be reached"
    with pytest.raises(ServerUnavailableError):
        await start(server)


async def test_a_server_that_does_not_answer_is_left_alone_for_a_while() -> None:
    server = Scripted(interceptors_list=INTERCEPTORS)
    plugin = await start(server)
    server.down = True
    (part,) = plugin.parts()
    guard: Any = part.plugin
    for _ in range(FAILURES + 3):
        with pytest.raises(PluginError, match=r"server 'safety' gave no answer"):
            await guard.tool_pre_invoke(ToolCall("echo"), context())
    assert server.asked.count("interceptor/invoke") == FAILURES
    assert await plugin.plugin_health() == "server 'safety' does not answer"


async def test_it_is_not_healthy_before_it_is_started() -> None:
    plugin = External(External.Config(server="safety"), name="remote")
    assert await plugin.plugin_health() == "it has not been started"
    assert plugin.parts() == ()


async def test_a_connection_that_is_lost_during_a_call_is_one_failure(
    serve_foreign: Manager,
) -> None:
    reached = anyio.Event()

    async def hang(_: dict[str, Any]) -> dict[str, Any]:
        reached.set()
        await anyio.sleep_forever()
        return {}

    def listed(_: dict[str, Any]) -> dict[str, Any]:
        return INTERCEPTORS

    methods = {"interceptors/list": listed, "interceptor/invoke": hang}
    failures: list[str] = []

    async def ask(plugin: External) -> None:
        guard: Any = plugin.parts()[0].plugin
        try:
            await guard.tool_pre_invoke(ToolCall("echo"), context())
        except PluginError as error:
            failures.append(error.message)

    with anyio.fail_after(5):
        async with (
            anyio.create_task_group() as tasks,
            serve_foreign(methods, mode="legacy") as peer,
        ):
            tasks.start_soon(ask, await start(peer))
            await reached.wait()
    assert failures == ["server 'peer' gave no answer"]
