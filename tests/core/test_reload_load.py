"""Reloads under load: no call sees half a chain, none is lost, and nothing is left over."""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.to_thread

from plugway.config import parse
from plugway.dispatch.exchange import Request
from plugway.errors import StartupError
from plugway.gateway import Gateway
from plugway_hookspecs import Client, Plugin, PluginConfig, ToolCall, ToolResult, hookimpl

LocalGateway = Callable[..., AbstractAsyncContextManager[Gateway]]

IN_FLIGHT, RELOADS = 2_000, 30
NAMES = "abcde"


class Life:
    """How many plugins were started and stopped, and what went wrong with them."""

    def __init__(self) -> None:
        self.started = self.stopped = 0
        self.wrong: list[str] = []


def stamping(life: Life) -> type[Plugin]:
    """Make a kind that stamps what passes, both ways, with its name and number."""

    class Stamp(Plugin):
        class Config(PluginConfig):
            number: int = 0
            fails: bool = False

        config: Config
        alive = False

        @hookimpl
        async def plugin_startup(self) -> None:
            await anyio.lowlevel.checkpoint()
            life.started += 1
            self.alive = True
            if self.config.fails:
                raise ValueError

        @hookimpl
        async def plugin_shutdown(self) -> None:
            if not self.alive:
                life.wrong.append(f"{self.name} was stopped twice, or before it started")
            life.stopped += 1
            self.alive = False

        async def stamp(self) -> str:
            for _ in range(1 + self.config.number % 3):
                await anyio.lowlevel.checkpoint()
                if not self.alive:
                    life.wrong.append(f"{self.name} was called while it did not run")
            return f"{self.name}{self.config.number}"

        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            path = [*payload.arguments.get("path", []), await self.stamp()]
            return payload.replace(arguments={**payload.arguments, "path": path})

        @hookimpl
        async def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            content = [*payload.content, {"type": "text", "text": await self.stamp()}]
            return payload.replace(content=content)

    return Stamp


def entries(rng: random.Random, number: int) -> list[tuple[str, int]]:
    """Choose plugins, in an order, some with the settings they have had before."""
    chosen = rng.sample(NAMES, rng.randint(1, len(NAMES)))
    marked = [(name, rng.choice([0, 0, number])) for name in chosen]
    marked.insert(rng.randint(0, len(marked)), ("mark", number))
    return marked


def text(marked: list[tuple[str, int]], server: int, *, fails: bool = False) -> str:
    plugins = [f"{{name: {n}, kind: stamp, config: {{number: {k}}}}}" for n, k in marked]
    if fails:
        plugins.append("{name: broken, kind: stamp, config: {fails: true}}")
    upstream = f"{{command: x{server}, list_timeout: 1h}}"
    gateway = "gateway: {request_timeout: 1h}"
    return f"{{mcpServers: {{s: {upstream}}}, plugins: [{', '.join(plugins)}], {gateway}}}"


class Turns:
    """What calls wait for in the server: some of the next reloads."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.next = rng, anyio.Event()
        self.over = False

    async def __call__(self, _: Any) -> None:
        for _ in range(self.rng.randint(0, 10)):
            if not self.over:
                await self.next.wait()

    def advance(self) -> None:
        self.next.set()
        self.next = anyio.Event()

    def end(self) -> None:
        self.over = True
        self.next.set()


async def test_thousands_of_calls_in_flight_each_see_one_whole_generation(
    local_gateway: LocalGateway, install_kinds: Callable[..., None]
) -> None:
    life, rng = Life(), random.Random(7)
    turns = Turns(rng)
    install_kinds(stamp=stamping(life))
    allowed: set[tuple[str, ...]] = set()
    seen: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    sent = refused = 0
    in_flight: list[int] = []

    async def calls(gateway: Gateway) -> None:
        nonlocal sent
        while not turns.over:
            sent += 1
            params: dict[str, Any] = {"name": "s__echo", "arguments": {"path": []}}
            request = Request("tools/call", params, Client(), modern=False)
            result: Any = await gateway.dispatcher.handle(request)
            there = tuple(result["structuredContent"]["path"])
            seen.append((there, tuple(content["text"] for content in result["content"])))

    def allow(marked: list[tuple[str, int]]) -> None:
        allowed.add(tuple(f"{name}{number}" for name, number in marked))

    marked = entries(rng, 1)
    allow(marked)
    async with local_gateway(text(marked, 0), turns) as gateway, anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(calls, gateway)
        for number in range(2, RELOADS):
            marked = entries(rng, number)
            broken = number % 7 == 0
            changed = text(marked, number // 5, fails=broken)
            config = await anyio.to_thread.run_sync(parse, changed)
            if not broken:
                allow(marked)
            try:
                await gateway.reload(config)
            except StartupError:
                refused += 1
            in_flight.append(sent - len(seen))
            turns.advance()
        turns.end()
    assert len(seen) == sent
    assert all(there == back for there, back in seen)
    used = {there for there, _ in seen}
    assert used <= allowed
    assert life.wrong == []
    assert life.started == life.stopped
    # the test itself: calls were under way during the reloads, and under what each brought
    assert refused == RELOADS // 7
    assert len(used) > RELOADS // 2
    assert in_flight == [IN_FLIGHT] * len(in_flight)
