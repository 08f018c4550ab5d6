"""A gateway that is reloaded again and again does what a plain model of it says."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from plugway.config import parse
from plugway.dispatch.exchange import Request
from plugway.errors import StartupError
from plugway.gateway import Gateway
from plugway_hookspecs import Client, Plugin, PluginConfig, ToolCall, ToolResult, hookimpl

LocalGateway = Callable[..., AbstractAsyncContextManager[Gateway]]
Path = tuple[list[str], list[str]]


class Life:
    """Every plugin object there ever was, by the number that it got when it was started."""

    def __init__(self) -> None:
        self.stops: list[int] = []
        self.wrong: list[str] = []

    def start(self) -> int:
        self.stops.append(0)
        return len(self.stops) - 1

    @property
    def alive(self) -> set[int]:
        return {serial for serial, stops in enumerate(self.stops) if not stops}


def counted(current: list[Life]) -> type[Plugin]:
    """Make a kind that stamps what passes with the number of its object."""

    class Counted(Plugin):
        class Config(PluginConfig):
            number: int = 0
            fails: bool = False

        config: Config
        life: Life
        serial: int

        @hookimpl
        async def plugin_startup(self) -> None:
            self.life = current[0]
            self.serial = self.life.start()
            await anyio.lowlevel.checkpoint()
            if self.config.fails:
                raise ValueError

        @hookimpl
        async def plugin_shutdown(self) -> None:
            self.life.stops[self.serial] += 1

        def stamp(self) -> str:
            if self.life.stops[self.serial]:
                self.life.wrong.append(f"{self.serial} was called after it was stopped")
            return str(self.serial)

        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            path = [*payload.arguments.get("path", []), self.stamp()]
            return payload.replace(arguments={**payload.arguments, "path": path})

        @hookimpl
        async def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            content = [*payload.content, {"type": "text", "text": self.stamp()}]
            return payload.replace(content=content)

    return Counted


@dataclass(frozen=True)
class Entry:
    """A plugin as the file has it."""

    name: str
    number: int = 0
    priority: int = 100
    broken: bool = False
    disabled: bool = False

    def switched(self, what: str) -> "Entry":
        if what == "broken":
            return replace(self, broken=not self.broken)
        return replace(self, disabled=not self.disabled)

    def text(self) -> str:
        settings = f"{{number: {self.number}, fails: {str(self.broken).lower()}}}"
        mode = ", mode: disabled" if self.disabled else ""
        return (
            f"{{name: {self.name}, kind: counted, priority: {self.priority}, config: {settings}"
            f"{mode}}}"
        )


@dataclass
class Model:
    """What should be running: entries with the numbers of their objects."""

    running: list[tuple[Entry, int]] = field(default_factory=list[tuple[Entry, int]])
    next_serial: int = 0

    @property
    def path(self) -> list[str]:
        ordered = sorted(self.running, key=lambda pair: pair[0].priority)
        return [str(serial) for _, serial in ordered]

    @property
    def serials(self) -> set[int]:
        return {serial for _, serial in self.running}

    def reload(self, entries: list[Entry]) -> bool:
        """Take over what the file says, if nothing in it is broken."""
        old = {(entry.name, entry.number): serial for entry, serial in self.running}
        wanted = [entry for entry in entries if not entry.disabled]
        found: list[tuple[Entry, int]] = []
        for entry in wanted:
            serial = None if entry.broken else old.get((entry.name, entry.number))
            if serial is None:
                serial, self.next_serial = self.next_serial, self.next_serial + 1
            found.append((entry, serial))
        if any(entry.broken for entry in wanted):
            return False
        self.running = found
        return True


@dataclass
class Slow:
    """A call that waits in the server, and what it has to come to."""

    go: anyio.Event
    expected: list[str]
    serials: set[int]
    got: list[Path] = field(default_factory=list[Path])


def machine(  # noqa: C901 - a class, made here because it needs what the test gets
    portal: BlockingPortal, local_gateway: LocalGateway, current: list[Life]
) -> type[RuleBasedStateMachine]:
    class Reloading(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.life = Life()
            current[:] = [self.life]
            self.file: list[Entry] = []
            self.model = Model()
            self.slow: list[Slow] = []
            self.gates: dict[int, tuple[anyio.Event, anyio.Event]] = {}
            self.manager = portal.wrap_async_context_manager(local_gateway(self.text(), self.pause))
            self.gateway = self.manager.__enter__()

        def teardown(self) -> None:
            for _ in range(len(self.slow)):
                self.finish(0)
            self.manager.__exit__(None, None, None)
            assert self.life.stops == [1] * self.model.next_serial

        def text(self) -> str:
            plugins = ", ".join(entry.text() for entry in self.file)
            return f"{{mcpServers: {{s: {{command: x}}}}, plugins: [{plugins}]}}"

        async def pause(self, arguments: Any) -> None:
            if (key := arguments.get("wait")) is not None:
                reached, go = self.gates[key]
                reached.set()
                await go.wait()

        async def path(self, **arguments: Any) -> Path:
            params = {"name": "s__echo", "arguments": arguments}
            request = Request("tools/call", params, Client(), modern=False)
            result: Any = await self.gateway.dispatcher.handle(request)
            back = [content["text"] for content in result["content"]]
            return list(result["structuredContent"].get("path", [])), back

        # what an operator does to the file

        @rule(
            name=st.sampled_from("abcd"),
            number=st.integers(0, 1),
            priority=st.integers(1, 3),
            at=st.integers(0, 3),
        )
        def write(self, name: str, number: int, priority: int, at: int) -> None:
            self.file = [entry for entry in self.file if entry.name != name]
            self.file.insert(at, Entry(name, number, priority))

        @rule(name=st.sampled_from("abcd"))
        def remove(self, name: str) -> None:
            self.file = [entry for entry in self.file if entry.name != name]

        @rule(order=st.permutations("abcd"))
        def reorder(self, order: list[str]) -> None:
            self.file.sort(key=lambda entry: order.index(entry.name))

        @rule(name=st.sampled_from("abcd"), what=st.sampled_from(["broken", "disabled"]))
        def switch(self, name: str, what: str) -> None:
            self.file = [
                entry.switched(what) if entry.name == name else entry for entry in self.file
            ]

        # what happens to the gateway

        @rule()
        def reload(self) -> None:
            config = parse(self.text())
            if self.model.reload(self.file):
                portal.call(self.gateway.reload, config)
            else:
                with pytest.raises(StartupError):
                    portal.call(self.gateway.reload, config)

        @rule()
        def call(self) -> None:
            assert portal.call(self.path) == (self.model.path, self.model.path)

        @rule()
        def begin(self) -> None:
            key = len(self.gates)
            reached, go = portal.call(lambda: (anyio.Event(), anyio.Event()))
            self.gates[key] = reached, go
            slow = Slow(go, self.model.path, self.model.serials)

            async def run() -> None:
                slow.got.append(await self.path(wait=key))

            portal.start_task_soon(run)
            portal.call(reached.wait)
            self.slow.append(slow)

        @precondition(lambda self: self.slow)
        @rule(which=st.integers(0, 9))
        def finish(self, which: int) -> None:
            slow = self.slow.pop(which % len(self.slow))

            async def end() -> None:
                slow.go.set()
                with anyio.fail_after(5):
                    while not slow.got:
                        await anyio.lowlevel.checkpoint()

            portal.call(end)
            assert slow.got == [(slow.expected, slow.expected)]

        # what always holds

        @invariant()
        def only_what_is_needed_is_alive(self) -> None:
            needed = self.model.serials.union(*(slow.serials for slow in self.slow))

            async def settle() -> None:
                for _ in range(1000):  # no closing takes more turns of the loop
                    if self.life.alive == needed:
                        return
                    await anyio.lowlevel.checkpoint()

            portal.call(settle)
            assert self.life.alive == needed
            assert max(self.life.stops, default=0) <= 1
            assert self.life.wrong == []

    return Reloading


@pytest.mark.hypothesis
def test_reloads_do_what_the_model_says(
    local_gateway: LocalGateway, install_kinds: Callable[..., None]
) -> None:
    current: list[Life] = []
    install_kinds(counted=counted(current))
    with start_blocking_portal() as portal:
        reloading = machine(portal, local_gateway, current)
        run_state_machine_as_test(reloading, settings=settings(stateful_step_count=25))
