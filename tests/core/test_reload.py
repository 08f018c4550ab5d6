"""What a reload keeps, what it replaces, and that a bad one changes nothing."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plugway import succession
from plugway.config import parse
from plugway.dispatch.exchange import Request
from plugway.errors import StartupError
from plugway.gateway import Gateway
from plugway.generation import Generation
from plugway.jsonrpc import RpcError
from plugway.reloading import Changes
from plugway_hookspecs import (
    Client,
    Context,
    Deny,
    HookRegistrar,
    Host,
    Part,
    Payload,
    Plugin,
    PluginConfig,
    Respond,
    ToolCall,
    ToolResult,
    hookimpl,
    hookspec,
)

Kinds = Callable[..., None]
LocalGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


class Tag(Plugin):
    """Leaves a tag on its way there and back, and tells what happens to it."""

    class Config(PluginConfig):
        tag: Any = ""
        fails: bool = False
        server: str | None = None

    events: list[str]

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        config: Any = self.config
        self.calls = 0
        self.alive = True
        self.host = host
        self.events.append(f"{self.name}{config.tag} started")
        if config.server:
            host.server(config.server)
        if config.fails:
            raise ValueError

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
        assert self.alive
        config: Any = self.config
        self.calls += 1
        path = [*payload.arguments.get("path", []), f"{self.name}{config.tag}"]
        return payload.replace(arguments={**payload.arguments, "path": path})

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
        assert self.alive
        config: Any = self.config
        content = [*payload.content, {"type": "text", "text": f"{self.name}{config.tag}"}]
        return payload.replace(content=content)

    @hookimpl
    async def plugin_shutdown(self) -> None:
        self.alive = False
        config: Any = self.config
        self.events.append(f"{self.name}{config.tag} stopped")


@pytest.fixture
def events(install_kinds: Kinds) -> list[str]:
    """Install the kind `tag`; return the list of what happens to its plugins."""
    found: list[str] = []
    install_kinds(tag=type("Told", (Tag,), {"events": found}))
    return found


def config(*plugins: str, servers: str = "s: {command: x}", gateway: str = "") -> str:
    return f"{{mcpServers: {{{servers}}}, plugins: [{', '.join(plugins)}], gateway: {{{gateway}}}}}"


def tag(name: str, tag: str = "", **more: Any) -> str:
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{name: {name}, kind: tag, config: {{tag: '{tag}'}}{keys}}}"


async def reload(gateway: Gateway, text: str) -> Changes:
    return await gateway.reload(await anyio.to_thread.run_sync(parse, text))


async def call(gateway: Gateway, name: str = "s__echo", **arguments: Any) -> Any:
    params = {"name": name, "arguments": arguments}
    return await gateway.dispatcher.handle(Request("tools/call", params, Client(), modern=False))


async def path(gateway: Gateway, **arguments: Any) -> tuple[list[str], list[str]]:
    """Return who saw a call on its way there, and on its way back."""
    result = await call(gateway, **arguments)
    return result["structuredContent"].get("path", []), [c["text"] for c in result["content"]]


def plugin(gateway: Gateway, name: str) -> Any:
    return next(i.plugin for i in gateway.registry.instances if i.name == name)


async def refused(gateway: Gateway, text: str) -> Sequence[str]:
    with pytest.raises(StartupError) as caught:
        await reload(gateway, text)
    return caught.value.reasons


async def until_stopped(events: list[str], *what: str) -> None:
    while not set(what) <= set(events):
        await anyio.lowlevel.checkpoint()


# plugins


async def test_a_plugin_whose_settings_are_the_same_is_kept_with_its_state(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(tag("a"), tag("b"))) as gateway:
        assert await path(gateway) == (["a", "b"], ["a", "b"])
        kept = plugin(gateway, "a")
        changes = await reload(gateway, config(tag("a"), tag("c")))
        assert await path(gateway) == (["a", "c"], ["a", "c"])
        assert plugin(gateway, "a") is kept
        assert kept.calls == 2
        await until_stopped(events, "b stopped")
        assert events == ["a started", "b started", "c started", "b stopped"]
        assert (changes.plugins.kept, changes.plugins.added) == (["a"], ["c"])
        assert str(changes) == "plugins: added c, removed b, 1 kept; servers: 1 kept"
    assert events[4:] == ["c stopped", "a stopped"]


async def test_other_rules_are_taken_over_round_the_same_plugin(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(tag("a"), tag("b"))) as gateway:
        changes = await reload(gateway, config(tag("a", priority=200), tag("b", mode="audit")))
        assert await path(gateway) == (["a"], ["a"])
        assert plugin(gateway, "b").calls == 1
        assert changes.plugins.changed == ["a", "b"]
        await reload(gateway, config(tag("a", when="[{tools: ['s__other']}]"), tag("b")))
        assert await path(gateway) == (["b"], ["b"])
        await reload(gateway, config(tag("b"), tag("a")))
        assert await path(gateway) == (["b", "a"], ["b", "a"])
        assert (await reload(gateway, config(tag("a"), tag("b")))).plugins.reordered
        assert await path(gateway) == (["a", "b"], ["a", "b"])
        await reload(gateway, config(tag("a", mode="disabled"), tag("b")))
        await until_stopped(events, "a stopped")
    assert events == ["a started", "b started", "a stopped", "b stopped"]


@pytest.mark.parametrize(("before", "after"), [("x", "y"), ("1", "true"), ("1", "1.0")])
async def test_other_settings_make_another_plugin(
    local_gateway: LocalGateway, events: list[str], before: str, after: str
) -> None:
    entry = "{{name: a, kind: tag, config: {{tag: {}}}}}"
    async with local_gateway(config(entry.format(before))) as gateway:
        old = plugin(gateway, "a")
        changes = await reload(gateway, config(entry.format(after)))
        assert changes.plugins.replaced == ["a"]
        assert plugin(gateway, "a") is not old
        while old.alive:
            await anyio.lowlevel.checkpoint()
        assert plugin(gateway, "a").alive
    assert len(events) == 4


async def test_a_plugin_that_does_not_start_changes_nothing(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    broken = "{name: c, kind: tag, config: {fails: true}}"
    async with local_gateway(config(tag("a"), tag("b"))) as gateway:
        before = gateway.dispatcher.generation
        reasons = await refused(gateway, config(tag("a"), tag("new"), broken))
        assert len(reasons) == 1
        assert reasons[0].startswith("c: plugin_startup raised ValueError")
        assert gateway.dispatcher.generation is before
        assert await path(gateway) == (["a", "b"], ["a", "b"])
        assert events[2:] == ["new started", "c started", "c stopped", "new stopped"]
        changes = await reload(gateway, config(tag("a"), tag("b")))
        assert not changes
        assert changes.plugins.kept == ["a", "b"]


async def test_settings_that_a_kind_refuses_change_nothing_and_are_named(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    wrong = "{name: c, kind: tag, config: {tga: x}}"
    async with local_gateway(config(tag("a"))) as gateway:
        reasons = await refused(gateway, f"\n\n{config(tag('a'), wrong)}")
        where = "c: configuration:3: plugins[1].config.tga: unknown key; did you mean 'tag'?"
        assert reasons == (where,)
        assert await path(gateway) == (["a"], ["a"])


async def test_an_observer_that_does_not_start_is_left_out(
    local_gateway: LocalGateway, events: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    broken = "{name: c, kind: tag, mode: audit, config: {fails: true}}"
    async with local_gateway(config(tag("a"))) as gateway:
        await reload(gateway, config(tag("b"), broken))
        assert await path(gateway) == (["b"], ["b"])
    assert "plugin 'c' is not running" in caplog.text


async def test_rules_that_a_kept_plugin_can_not_follow_change_nothing(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(tag("a"))) as gateway:
        (reason,) = await refused(gateway, config(tag("a", threaded="true"), tag("b")))
        assert "'threaded: true' is for a plain def" in reason
        assert await path(gateway) == (["a"], ["a"])
        assert events == ["a started", "b started", "b stopped"]


async def test_a_reload_gives_a_disabled_plugin_another_chance(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    class Fails(Plugin):
        calls = 0

        @hookimpl
        async def tool_pre_invoke(self) -> None:
            self.calls += 1
            raise ValueError

    install_kinds(fails=Fails)
    text = config("{name: a, kind: fails, on_error: disable, retry_after: 1h}")
    async with local_gateway(text) as gateway:
        for _ in range(3):
            assert (await call(gateway))["isError"]
        assert plugin(gateway, "a").calls == 1
        await reload(gateway, text)
        await call(gateway)
        assert plugin(gateway, "a").calls == 2


async def test_a_package_that_was_installed_meanwhile_is_found(
    local_gateway: LocalGateway, events: list[str], install_kinds: Kinds
) -> None:
    class Denies(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            return Deny("no")

    async with local_gateway(config(tag("a"))) as gateway:
        new = "{name: n, kind: denies}"
        (reason,) = await refused(gateway, config(new))
        assert "is not installed" in reason
        install_kinds(tag=type(plugin(gateway, "a")), denies=Denies)
        await reload(gateway, config(tag("a"), new))
        assert (await call(gateway))["isError"]
    assert events == ["a started", "a stopped"]


# requests under way


class Gate:
    """Where calls wait in the server until the test lets them go."""

    def __init__(self) -> None:
        self.reached, self.open = anyio.Event(), anyio.Event()

    async def __call__(self, arguments: Any) -> None:
        if arguments.get("wait"):
            self.reached.set()
            await self.open.wait()


async def test_a_request_ends_under_the_plugins_and_on_the_server_that_it_began_with(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    gate = Gate()
    found: list[Any] = []
    async with local_gateway(config(tag("a", "1"), tag("b")), gate) as gateway:
        upstream: Any = gateway.upstreams["s"]
        async with anyio.create_task_group() as tasks:

            async def slow() -> None:
                found.append(await path(gateway, wait=True))

            tasks.start_soon(slow)
            await gate.reached.wait()
            servers = "s: {command: y}"
            await reload(gateway, config(tag("a", "2"), servers=servers))
            await reload(gateway, config(tag("a", "3"), servers=servers))
            assert await path(gateway) == (["a3"], ["a3"])
            await until_stopped(events, "a2 stopped")
            assert "a1 stopped" not in events
            assert upstream.alive
            gate.open.set()
        assert found == [(["a1", "b"], ["a1", "b"])]
        await until_stopped(events, "a1 stopped", "b stopped")
        while not upstream.closed:
            await anyio.lowlevel.checkpoint()
        assert plugin(gateway, "a").alive


async def test_a_plugin_is_not_stopped_while_an_older_request_may_need_it(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    gate = Gate()
    async with (
        local_gateway(config(tag("a"), tag("b")), gate) as gateway,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: path(gateway, wait=True))
        await gate.reached.wait()
        await reload(gateway, config(tag("a")))  # a is in both, b in the first
        await reload(gateway, config(tag("c")))  # the second is over, the first is not
        await reload(gateway, config(tag("d")))
        await until_stopped(events, "c stopped")
        assert not {"a stopped", "b stopped"} & set(events)
        gate.open.set()
        await until_stopped(events, "a stopped", "b stopped")


async def test_who_does_not_end_is_not_waited_for_longer_than_it_may_take(
    local_gateway: LocalGateway,
    events: list[str],
    install_kinds: Kinds,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(succession, "GRACE_SECONDS", 0.0)
    let_go, reached = anyio.Event(), anyio.Event()

    class Stubborn(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            reached.set()
            with anyio.CancelScope(shield=True):
                await let_go.wait()

        @hookimpl
        async def plugin_shutdown(self) -> None:
            let_go.set()

    install_kinds(stubborn=Stubborn, tag=Tag)
    text = config("{name: x, kind: stubborn}", gateway="request_timeout: 0.05")
    async with local_gateway(text) as gateway, anyio.create_task_group() as tasks:

        async def never_ends() -> None:
            with pytest.raises(RpcError, match="took longer than"):
                await call(gateway)

        tasks.start_soon(never_ends)
        await reached.wait()
        await reload(gateway, config())
        await let_go.wait()
    assert "1 requests don't end" in caplog.text


@dataclass(frozen=True, slots=True)
class Score(Payload):
    """What the hook of these tests is fired with."""


class ScoreHooks:
    @hookspec
    async def reload_scored(self, payload: Score, context: Context) -> Score | Deny | None:
        """Judge a score."""


class Fires(Plugin):
    """Fires a hook when the test lets it go on, if anybody implements it."""

    @staticmethod
    @hookimpl
    def register_hooks(registrar: HookRegistrar) -> None:
        registrar.add(ScoreHooks)

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        self.host = host
        self.reached, self.open = anyio.Event(), anyio.Event()

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> Deny | Respond | None:
        self.reached.set()
        await self.open.wait()
        if not self.host.implemented("reload_scored", context):
            return None
        outcome = await self.host.fire("reload_scored", Score(), context)
        return outcome.verdict


async def test_a_request_fires_hooks_in_the_chains_that_it_began_with(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    class Denies(Plugin):
        @hookimpl
        async def reload_scored(self) -> Deny:
            return Deny(f"scored by {self.name}")

    found: list[Any] = []
    install_kinds(fires=Fires, denies=Denies)
    fires = "{name: f, kind: fires}"
    with anyio.fail_after(5):
        async with local_gateway(config(fires, "{name: d, kind: denies}")) as gateway:
            firing = plugin(gateway, "f")
            async with anyio.create_task_group() as tasks:

                async def early() -> None:
                    found.append(await call(gateway))

                tasks.start_soon(early)
                await firing.reached.wait()
                await reload(gateway, config(fires))
                firing.open.set()
            assert plugin(gateway, "f") is firing
            found.append(await call(gateway))
    assert [result.get("isError", False) for result in found] == [True, False]
    assert "scored by d" in found[0]["content"][0]["text"]


async def test_background_work_is_done_before_its_plugin_is_stopped(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    seen: list[str] = []
    go = anyio.Event()

    class Slow(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            await go.wait()
            seen.append("called")

        @hookimpl
        async def plugin_shutdown(self) -> None:
            seen.append("stopped")

    install_kinds(slow=Slow)
    async with local_gateway(config("{name: a, kind: slow, mode: background}")) as gateway:
        for _ in range(3):
            await call(gateway)
        await reload(gateway, config())
        assert seen == []
        go.set()
        await until_stopped(seen, "stopped")
    assert seen == ["called", "called", "called", "stopped"]


async def test_generations_that_are_over_leave_nothing_behind(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, Generation | Tag) for each in gc.get_objects())

    others = alive()  # of other tests
    async with local_gateway(config(tag("a"))) as gateway:
        upstream: Any = gateway.upstreams["s"]
        for number in range(5):
            await reload(gateway, config(tag("a"), tag("b", str(number))))
        await until_stopped(events, "b3 stopped")
        while alive() > others + 3:
            await anyio.lowlevel.checkpoint()
        assert len(upstream._listeners) == 1


async def test_reloads_take_turns(local_gateway: LocalGateway, events: list[str]) -> None:
    numbers = ("1", "1", "2", "2")
    parsed = [await anyio.to_thread.run_sync(parse, config(tag("a", n))) for n in numbers]
    async with local_gateway(config()) as gateway, anyio.create_task_group() as tasks:
        for each in parsed:
            tasks.start_soon(gateway.reload, each)
    assert sorted(event for event in events if "started" in event) == ["a1 started", "a2 started"]
    assert sorted(event for event in events if "stopped" in event) == ["a1 stopped", "a2 stopped"]


async def test_a_reload_that_is_cancelled_as_it_comes_into_force_has_come_into_force(
    local_gateway: LocalGateway, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(5):
        async with local_gateway(config(tag("a"))) as gateway:
            take_over = gateway.edge.take_over
            with anyio.CancelScope() as scope:

                def then_cancel(**how: bool) -> None:
                    take_over(**how)
                    scope.cancel()

                monkeypatch.setattr(gateway.edge, "take_over", then_cancel)
                await reload(gateway, config(tag("b")))
            assert scope.cancelled_caught
            await until_stopped(events, "a stopped")
            await anyio.wait_all_tasks_blocked()
            assert await path(gateway) == (["b"], ["b"])
        assert events == ["a started", "b started", "a stopped", "b stopped"]


@pytest.mark.parametrize("ready", [True, False])
async def test_a_reload_that_is_cancelled_before_changes_nothing(
    local_gateway: LocalGateway, events: list[str], install_kinds: Kinds, *, ready: bool
) -> None:
    building, go = anyio.Event(), anyio.Event()

    class Slow(Tag):
        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            building.set()
            await go.wait()
            self.alive = True

    Slow.events = events
    install_kinds(tag=type("Told", (Tag,), {"events": events}), slow=Slow)
    with anyio.fail_after(5):
        async with local_gateway(config(tag("a"))) as gateway:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload, gateway, config(tag("b"), "{name: c, kind: slow}"))
                await building.wait()
                tasks.cancel_scope.cancel()
                if ready:
                    go.set()
            assert events[1:] == ["b started", "c stopped", "b stopped"]
            assert await path(gateway) == (["a"], ["a"])
            await reload(gateway, config(tag("d")))
            assert await path(gateway) == (["d"], ["d"])


async def test_a_reload_that_a_stopping_gateway_cuts_off_says_so(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    building = anyio.Event()
    said: list[Sequence[str]] = []

    class Slow(Plugin):
        @hookimpl
        async def plugin_startup(self) -> None:
            building.set()
            await anyio.sleep_forever()

    install_kinds(slow=Slow)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with local_gateway(config()) as gateway:

                    async def told() -> None:
                        said.append(await refused(gateway, config("{name: c, kind: slow}")))

                    tasks.start_soon(told)
                    await building.wait()
                    scope.cancel()
                    await anyio.sleep_forever()
    assert said == [("the gateway is stopping",)]


# parts


class InParts(Plugin):
    """Consists of what it is told."""

    now: tuple[str, ...] = ("one",)

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        self.host = host

    def parts(self) -> Sequence[Part]:
        def made(name: str) -> Part:
            class Step:
                @hookimpl
                async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
                    path = [*payload.arguments.get("path", []), name]
                    return payload.replace(arguments={**payload.arguments, "path": path})

            return Part(name, Step())

        return [made(name) for name in self.now]


async def test_parts_change_in_the_generation_in_force(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    install_kinds(parts=InParts)
    async with local_gateway(config("{name: a, kind: parts}")) as gateway:
        await reload(gateway, config("{name: a, kind: parts, priority: 5}"))
        found = plugin(gateway, "a")
        found.now = ("one", "two")
        found.host.parts_changed()
        assert (await path(gateway))[0] == ["one", "two"]
        found.now = ()
        found.host.parts_changed()  # nothing would guard calls any more
        assert (await path(gateway))[0] == ["one", "two"]
        await reload(gateway, config("{name: a, kind: parts}"))
        assert (await path(gateway))[0] == ["one", "two"]


async def test_parts_that_change_while_the_next_generation_is_built_are_in_it(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    building, go = anyio.Event(), anyio.Event()

    class Slow(Plugin):
        @hookimpl
        async def plugin_startup(self) -> None:
            building.set()
            await go.wait()

        @hookimpl
        async def tool_pre_invoke(self) -> None:
            return None

    install_kinds(parts=InParts, slow=Slow)
    both = config("{name: a, kind: parts}", "{name: slow, kind: slow}")
    async with local_gateway(config("{name: a, kind: parts}")) as gateway:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reload, gateway, both)
            await building.wait()
            found = plugin(gateway, "a")
            found.now = ("one", "two")
            found.host.parts_changed()
            assert (await path(gateway))[0] == ["one", "two"]
            go.set()
        assert len(gateway.registry.instances) == 2
        assert (await path(gateway))[0] == ["one", "two"]


async def test_parts_that_change_after_the_next_generation_was_compiled_are_in_it(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    install_kinds(parts=InParts)
    entry, gate = "{name: a, kind: parts}", Gate()
    async with local_gateway(config(entry), gate) as gateway:
        async with anyio.create_task_group() as tasks:
            servers = "s: {command: x}, t: {command: slow, required: true, expose: false}"
            tasks.start_soon(reload, gateway, config(entry, servers=servers))
            await gate.reached.wait()
            found = plugin(gateway, "a")
            found.now = ("one", "two")
            found.host.parts_changed()
            gate.open.set()
        assert len(gateway.upstreams) == 2
        assert (await path(gateway))[0] == ["one", "two"]


# servers


async def test_a_server_is_kept_unless_its_connection_would_be_another(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(servers="s: {command: x}, t: {command: y}")) as gateway:
        s, t = gateway.upstreams["s"], gateway.upstreams["t"]
        servers = "s: {command: x, prefix: other}, t: {command: z}, u: {command: x}"
        changes = await reload(gateway, config(servers=servers))
        assert str(changes.servers) == "added u, replaced t, changed s"
        assert gateway.upstreams["s"] is s
        assert gateway.upstreams["t"] is not t
        assert (await call(gateway, "other__echo"))["content"] == []
        with pytest.raises(RpcError, match="Unknown tool: s__echo"):
            await call(gateway)
        await reload(gateway, config(servers="s: {command: x, prefix: other}"))
        assert list(gateway.upstreams) == ["s"]


async def test_endpoints_come_and_go_with_the_configuration(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    def virtual(text: str, server: str = "s: {command: x}") -> str:
        return f"{config(servers=server)[:-1]}, virtualServers: {{{text}}}}}"

    async with local_gateway(virtual("v: {servers: [s]}")) as gateway:
        s, old = gateway.upstreams["s"], gateway.dispatcher.generation
        changes = await reload(gateway, virtual("v: {tools: ['s__*']}, w: {servers: [s]}"))
        assert str(changes) == (
            "plugins: none; servers: 1 kept; virtual servers: added w, changed v"
        )
        assert changes.offers
        assert set(gateway.dispatcher.generation.endpoints) == {"s", "v", "w"}
        assert set(old.endpoints) == {"s", "v"}
        changes = await reload(gateway, virtual("", "s: {command: x, endpoint_prefix: false}"))
        assert "virtual servers: removed v, w" in str(changes)
        assert set(gateway.dispatcher.generation.endpoints) == {"s"}
        assert gateway.upstreams["s"] is s
        assert not await reload(gateway, virtual("", "s: {command: x, endpoint_prefix: false}"))


async def test_what_a_server_listed_is_remembered_as_long_as_it_is_offered_in_the_same_way(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config()) as gateway:
        await call(gateway)
        (before,) = gateway.catalog.members
        await reload(gateway, config(tag("a")))
        assert gateway.catalog.members == (before,)
        await reload(gateway, config(servers="s: {command: x, list_timeout: 9}"))
        assert gateway.catalog.members != (before,)


async def test_a_plugin_is_made_anew_when_a_server_that_it_asked_for_is_another(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    entries = (
        "{name: a, kind: tag, server: p}",
        "{name: b, kind: tag, config: {server: p}}",
        tag("c"),
    )
    servers = "s: {command: x}, p: {command: y}"
    async with local_gateway(config(*entries, servers=servers)) as gateway:
        changes = await reload(gateway, config(*entries, servers=servers))
        assert changes.plugins.kept == ["a", "b", "c"]
        servers = "s: {command: x}, p: {command: z}"
        changes = await reload(gateway, config(*entries, servers=servers))
        assert (changes.plugins.replaced, changes.plugins.kept) == (["a", "b"], ["c"])
        moved = (entries[0].replace("server: p", "server: s"), *entries[1:])
        changes = await reload(gateway, config(*moved, servers=servers))
        assert (changes.plugins.replaced, changes.plugins.kept) == (["a"], ["b", "c"])
        host = plugin(gateway, "c").host
        assert host.server("p") is gateway.upstreams["p"]
        await reload(gateway, config(tag("d")))
        assert list(gateway.upstreams) == ["s"]


async def test_a_kept_plugin_finds_the_servers_that_there_are_now(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(tag("a"))) as gateway:
        host = plugin(gateway, "a").host
        await reload(gateway, config(tag("a"), servers="s: {command: x}, t: {command: x}"))
        assert host.server("t") is gateway.upstreams["t"]
        with pytest.raises(KeyError):
            host.server("u")


async def test_a_required_server_that_is_down_changes_nothing(
    local_gateway: LocalGateway, events: list[str]
) -> None:
    async with local_gateway(config(tag("a"))) as gateway:
        before = gateway.upstreams
        servers = "s: {command: x}, t: {command: broken, required: true}"
        reasons = await refused(gateway, config(tag("b"), servers=servers))
        assert reasons == ("server 't' is down",)
        assert gateway.upstreams is before
        assert await path(gateway) == (["a"], ["a"])
        assert events == ["a started", "b started", "b stopped"]


# settings


async def test_settings_of_requests_hold_at_once_and_others_need_a_restart(
    local_gateway: LocalGateway, install_kinds: Kinds
) -> None:
    class Denies(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            return Deny("no")

    install_kinds(denies=Denies)
    entry = "{name: a, kind: denies}"
    async with local_gateway(config(entry)) as gateway:
        assert (await call(gateway))["isError"]
        changes = await reload(gateway, config(entry, gateway="deny_as: error, port: 9"))
        with pytest.raises(RpcError, match="Denied: no"):
            await call(gateway)
        assert (changes.settings, changes.restart) == (["deny_as"], ["gateway.port"])
        changes = await reload(gateway, config(entry, gateway="max_payload_bytes: 20, port: 9"))
        with pytest.raises(RpcError, match="at most 20 are allowed"):
            await call(gateway)
        assert changes.settings == ["max_payload_bytes", "deny_as"]
        assert changes.restart == ["gateway.port"]
        larger = config(entry, gateway="max_payload_bytes: 9MiB")
        assert (await reload(gateway, larger)).restart == [
            "gateway.max_payload_bytes (for what HTTP clients send)"
        ]


async def test_after_the_end_nothing_is_started(
    local_gateway: LocalGateway, events: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    gate = Gate()
    async with anyio.create_task_group() as tasks:
        async with local_gateway(config(tag("a")), gate) as gateway:

            async def slow() -> None:
                with pytest.raises(RpcError):
                    await call(gateway, wait=True)

            tasks.start_soon(slow)
            await gate.reached.wait()
            await reload(gateway, config(tag("b")))
        gate.open.set()
    assert sorted(events) == ["a started", "a stopped", "b started", "b stopped"]
    assert caplog.text.count("don't end") == 0
