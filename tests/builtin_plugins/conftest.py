"""A gateway in memory, for plugins round the call: its servers count what they are asked."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.jsonrpc import RpcError
from plugway.methods import LIST_METHOD
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import Client, Operation, Principal

HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint")
TOOLS = [
    {"name": "find", "annotations": {"readOnlyHint": True}},
    {"name": "put", "annotations": {"idempotentHint": True}},
    {"name": "send"},
    {"name": "odd", "annotations": {"readOnlyHint": True, "destructiveHint": True}},
    {"name": "odder", "annotations": dict.fromkeys(HINTS, True)},
    {"name": "vague", "annotations": {"readOnlyHint": "true", "idempotentHint": 1}},
    {"name": "wrong", "annotations": ["readOnlyHint"]},
]


class Server(MemoryServer):
    """An MCP server in memory."""

    capabilities: Mapping[str, Any] = {
        kind: {"listChanged": True} for kind in ("tools", "prompts", "resources")
    }

    def __init__(self, name: str) -> None:
        self.name = name
        self.lists: dict[str, list[Any]] = {
            "tools": TOOLS,
            "prompts": [{"name": "p"}],
            "resources": [{"uri": "file:///r", "name": "r"}],
            "resourceTemplates": [],
        }
        self.answer: Any = {"content": [], "messages": [], "contents": []}
        """A result, an exception, or a function that returns one of them, now or later."""
        self.asked: list[Any] = []
        self.listeners: list[Callable[[str, Any], None]] = []

    def on_list_changed(self, listener: Callable[[str, Any], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def request(self, method: str, params: Any = None, **_: Any) -> dict[str, Any]:
        for kind, name in LIST_METHOD.items():
            if method == name:
                return {kind.value: self.lists[kind.value]}
        self.asked.append(params.get("name") or params["uri"])
        answer: Any = self.answer() if callable(self.answer) else self.answer
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        result: dict[str, Any] = answer
        return result


class Gateway:
    """Some plugins before two servers, `s` and `t`."""

    def __init__(self, *plugins: Any, request_timeout: float = 5) -> None:
        entries: list[tuple[object, Policy]] = [
            each if isinstance(each, tuple) else (each, Policy()) for each in plugins
        ]
        self.chains = compile_chains(
            [(f"p{n}", plugin, policy) for n, (plugin, policy) in enumerate(entries)]
        )
        self.servers = {name: Server(name) for name in ("s", "t")}
        self.server = self.servers["s"]
        self.findings: list[tuple[str, Any]] = []
        members = [Member(server, name, 5) for name, server in self.servers.items()]
        generation = Generation(
            Catalog(members),
            self.servers,
            self,
            Federation(members, None, lambda name: ""),
            request_timeout=request_timeout,
            max_payload_bytes=100_000,
        )
        self.dispatcher = Dispatcher(generation, server_info={})
        self.dispatcher.listen(self.note)

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]

    def note(self, operation: Operation, _: RpcError | None) -> None:
        self.findings += [(finding.key, finding.value) for finding in operation.findings]

    async def ask(
        self, method: str, params: dict[str, Any], *, principal: Principal | None = None
    ) -> dict[str, Any]:
        request = Request(method, params, Client("test"), True, principal=principal or Principal())
        with anyio.fail_after(5):
            return await self.dispatcher.handle(request)

    async def call(
        self, tool: str = "s__find", arguments: Any = None, *, user: Any = None, **more: Any
    ) -> dict[str, Any]:
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}, **more}
        return await self.ask("tools/call", params, principal=user)

    async def refusal(self, *arguments: Any, **more: Any) -> RpcError:
        with pytest.raises(RpcError) as caught:
            await self.call(*arguments, **more)
        return caught.value


@pytest.fixture
def gateway() -> type[Gateway]:
    return Gateway
