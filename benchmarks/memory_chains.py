"""The calls that the memory is watched over: plugins that do all that plugins can do."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.jsonrpc import RpcError
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import (
    Client,
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Respond,
    ToolCall,
    ToolResult,
    hookimpl,
)

Call = Callable[[], Awaitable[None]]
HOOK = "tool_pre_invoke"
TEXT = {"content": [{"type": "text", "text": "ok"}]}


class Pass:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None


class Note:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        context.annotate("length", len(payload.arguments))
        context.state["seen"] = payload
        context.shared["by"] = context.request_id

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        context.annotate("saw", "seen" in context.state)


class Modify:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return payload.replace(arguments={**payload.arguments, "by": context.request_id})

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> ToolResult:
        return payload.replace(content=[*payload.content, {"type": "text", "text": "more"}])


class Refuse:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Deny:
        return Deny("no", details={"request": context.request_id})


class Answer:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Respond:
        return Respond(ToolResult(content=[{"type": "text", "text": context.request_id}]))


class Fail:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        raise LookupError(payload)


class Hang:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        await anyio.sleep_forever()


IGNORE, TIMED = Policy(on_error=OnError.IGNORE), Policy(timeout=0.005)
VALIDATE = Policy(mode=Mode.VALIDATE)
MIX: dict[str, tuple[int, list[tuple[object, Policy]]]] = {
    "pass": (300, [(Pass(), Policy()), (Pass(), Policy())]),
    "findings and state": (150, [(Note(), Policy()), (Modify(), Policy())]),
    "modify": (250, [(Modify(), Policy()), (Modify(), Policy())]),
    "deny": (100, [(Pass(), Policy()), (Refuse(), Policy())]),
    "respond": (60, [(Answer(), Policy())]),
    "plugin error": (30, [(Fail(), Policy())]),
    "plugin error, ignored": (20, [(Fail(), IGNORE), (Pass(), Policy())]),
    "validators": (50, [(Pass(), VALIDATE), (Pass(), VALIDATE)]),
    "validators, one denies": (20, [(Refuse(), VALIDATE), (Hang(), VALIDATE)]),
    "timeout": (10, [(Hang(), TIMED)]),
    "caller gives up": (10, [(Pass(), Policy()), (Hang(), Policy())]),
}
"""How often each comes in a thousand calls, and the plugins that do it."""
VERDICTS: dict[str, type] = {
    **dict.fromkeys(("deny", "plugin error", "validators, one denies", "timeout"), Deny),
    "respond": Respond,
    "caller gives up": BaseException,  # there is no outcome then
}


class Mixed:
    """A thousand calls of compiled chains at a time, half of them recorded."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.made: Counter[str] = Counter()
        self.chains: dict[str, Chain[Any]] = {}
        for name, (_, plugins) in MIX.items():
            steps = [(f"p{i}", plugin, policy) for i, (plugin, policy) in enumerate(plugins)]
            self.chains[name] = compile_chains(steps)[HOOK]

    async def thousand(self) -> int:
        """Make the calls; return how many. What waits, waits together."""
        for name, (often, _) in MIX.items():
            if name in {"timeout", "caller gives up"}:
                continue
            for _ in range(often):
                await self.call(name)
        async with anyio.create_task_group() as tasks:
            for _ in range(MIX["timeout"][0]):
                tasks.start_soon(self.call, "timeout")
        async with anyio.create_task_group() as tasks:
            for _ in range(MIX["caller gives up"][0]):
                tasks.start_soon(self.call, "caller gives up")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        return sum(often for often, _ in MIX.values())

    async def call(self, name: str) -> None:
        number = next(self.numbers)
        self.made[name] += 1
        operation = Operation(str(number), "tools/call", "echo", record=[] if number % 2 else None)
        payload = ToolCall("echo", {"number": number, "list": [number]})
        outcome = await self.chains[name](payload, operation)
        if outcome.verdict.__class__ is not VERDICTS.get(name, type(None)):
            raise RuntimeError(f"{name}: {outcome.verdict}")
        if operation.record is not None and not lines(operation):
            raise RuntimeError(f"{name}: nothing on record")


class Server(MemoryServer):
    """An MCP server in memory, with two tools."""

    name = "s"
    capabilities: Mapping[str, Any] = {"tools": {}}

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": [{"name": "echo"}, {"name": "other"}]}
        return dict(TEXT)


class Chains:
    """The chains that the dispatcher uses."""

    def __init__(self) -> None:
        plugins = [("note", Note(), Policy()), ("modify", Modify(), Policy())]
        self.compiled = compile_chains(plugins)

    def chain(self, hook: str) -> Chain[Any]:
        return self.compiled[hook]


class Dispatched:
    """Requests through the dispatcher to a server in memory: calls, lists, and unknown tools."""

    def __init__(self) -> None:
        server = Server()
        self.heard = 0
        members = [Member(server, "s", list_timeout=5)]
        generation = Generation(
            Catalog(members),
            {"s": server},
            Chains(),
            Federation(members, None, lambda name: ""),
            request_timeout=30,
            max_payload_bytes=1_000_000,
        )
        self.dispatcher = Dispatcher(generation, server_info={"name": "plugway", "version": "1"})
        self.dispatcher.listen(self._hear)

    def _hear(self, operation: Operation, _: RpcError | None) -> None:
        self.heard += len(lines(operation))

    async def thousand(self) -> int:
        """Make the requests; return how many."""
        client = Client("bench", "0", "2026-07-28", "http")
        for number in range(1000):
            method, name = "tools/call", "s__echo"
            if number % 10 == 8:
                method = "tools/list"
            elif number % 10 == 9:
                name = "s__unknown"
            params = {"name": name, "arguments": {"number": number}}
            request = Request(method, {} if method == "tools/list" else params, client, modern=True)
            try:
                result = await self.dispatcher.handle(request)
            except RpcError:
                if name == "s__echo":
                    raise
            else:
                if len(result.get("content", "..")) != 2 and method == "tools/call":
                    raise RuntimeError(f"the post chain did not run: {result}")
        return 1000
