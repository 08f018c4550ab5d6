import asyncio
import logging
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from importlib_metadata import EntryPoint
from pydantic import Field

from plugway.config import parse
from plugway.errors import StartupError
from plugway.executor.failing import PLUGIN_ERROR
from plugway.plugins import lifecycle, registry
from plugway.plugins.discovery import Discovery, discover
from plugway.plugins.hooktable import HookTable
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry
from plugway_hookspecs import (
    ENTRY_POINT_GROUP,
    Context,
    Deny,
    Host,
    Mode,
    OnError,
    Operation,
    Part,
    Plugin,
    PluginConfig,
    PluginError,
    PlugwayError,
    Server,
    ToolCall,
    ToolResult,
    hookimpl,
)

CALL = ToolCall("echo", {"a": 1})
Kinds = Callable[..., Discovery]


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> Kinds:
    """Install classes (or modules) as plugin kinds, as a package would."""

    def install(**found: object) -> Discovery:
        package = ModuleType("kinds_of_a_test")
        monkeypatch.setitem(sys.modules, package.__name__, package)
        points: list[EntryPoint] = []
        for name, kind in found.items():
            value = f"{package.__name__}:{name}"
            if isinstance(kind, ModuleType):
                value = kind.__name__
                monkeypatch.setitem(sys.modules, value, kind)
            setattr(package, name, kind)
            points.append(EntryPoint(name, value, ENTRY_POINT_GROUP))
        return discover(entry_points=points)

    return install


@asynccontextmanager
async def opened(
    text: str, discovery: Discovery, *, strict: bool = True, **servers: Server
) -> AsyncGenerator[Registry]:
    config = await anyio.to_thread.run_sync(parse, text)  # reading YAML scans for its plug-ins
    async with open_registry(config, discovery, servers, strict=strict) as found:
        yield found


def operation() -> Operation:
    made = Operation("1", "tools/call", "echo", record=[])
    made.shared["findings"] = made.findings
    return made


class Guard(Plugin):
    """Lets everything through."""

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        return None


class Denies(Plugin):
    """Denies everything."""

    @hookimpl
    async def tool_pre_invoke(self) -> Deny:
        return Deny(self.name)


def reporting(events: list[str], error: BaseException | None = None) -> type[Plugin]:
    """Make a kind that tells what happens to it; `error` is what its startup raises."""

    class Reports(Plugin):
        def __init__(self, config: PluginConfig, *, name: str) -> None:
            super().__init__(config, name=name)
            events.append(f"{name} made")

        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            events.append(f"{self.name} started")
            if error is not None:
                raise error

        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            events.append(f"{self.name} called")

        @hookimpl
        async def plugin_shutdown(self) -> None:
            events.append(f"{self.name} stopped")

    return Reports


# life


async def test_plugins_start_in_the_order_of_the_file_and_stop_in_reverse(kinds: Kinds) -> None:
    events: list[str] = []
    text = "plugins: [{name: b, kind: r, priority: 9}, {name: a, kind: r, priority: 1}]"
    async with opened(text, kinds(r=reporting(events))) as found:
        assert events == ["b made", "b started", "a made", "a started"]
        events.clear()
        await found.chain("tool_pre_invoke")(CALL, operation())
        assert events == ["a called", "b called"]
    assert events[2:] == ["a stopped", "b stopped"]


async def test_a_plugin_is_stopped_after_its_last_call(kinds: Kinds) -> None:
    events: list[str] = []
    text = "plugins: [{name: a, kind: r, mode: background}]"
    with anyio.fail_after(5):
        async with opened(text, kinds(r=reporting(events))) as found:
            for _ in range(3):
                await found.chain("tool_pre_invoke")(CALL, operation())
    assert events[2:] == ["a called", "a called", "a called", "a stopped"]


async def test_plugins_stop_though_the_gateway_fails_or_is_cancelled(kinds: Kinds) -> None:
    events: list[str] = []
    discovery = kinds(r=reporting(events))
    with pytest.raises(ValueError, match="ours"):
        async with opened("plugins: [{name: a, kind: r}]", discovery):
            raise ValueError("ours")
    with anyio.CancelScope() as scope:
        async with opened("plugins: [{name: b, kind: r}]", discovery):
            scope.cancel()
            await anyio.sleep_forever()
    assert [event for event in events if "stopped" in event] == ["a stopped", "b stopped"]


async def test_a_disabled_plugin_is_not_even_made(kinds: Kinds) -> None:
    events: list[str] = []
    text = (
        "plugins: [{name: a, kind: r, mode: disabled}, {name: b, kind: nonesuch, mode: disabled}]"
    )
    async with opened(text, kinds(r=reporting(events))) as found:
        assert found.plugins() == []
    assert events == []


async def test_without_a_guard_the_gateway_does_not_start(kinds: Kinds) -> None:
    good: list[str] = []
    bad: list[str] = []
    discovery = kinds(good=reporting(good), bad=reporting(bad, PlugwayError("no licence")))
    text = """
plugins:
  - {name: first, kind: good}
  - {name: broken, kind: bad}
  - {name: unknown, kind: goood}
  - {name: last, kind: good}
"""
    with pytest.raises(StartupError) as caught:
        async with opened(text, discovery):
            pytest.fail("it started")
    assert caught.value.reasons == (
        "broken: no licence",
        "unknown: plugin kind 'goood': is not installed; did you mean 'good'?",
    )
    assert [event for event in good if "stopped" in event] == ["last stopped", "first stopped"]
    assert bad == ["broken made", "broken started", "broken stopped"]


@pytest.mark.parametrize(
    "entry", ["mode: audit", "mode: background", "required: false", "mode: fire_and_forget"]
)
async def test_a_plugin_that_guards_nothing_is_only_missed(
    entry: str, kinds: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    discovery = kinds(guard=Guard, bad=reporting([], ValueError()))
    text = f"plugins: [{{name: b, kind: bad, {entry}}}, {{name: g, kind: guard}}]"
    async with opened(text, discovery) as found:
        assert [info.name for info in found.plugins()] == ["g"]
        (problem,) = found.problems
        assert (problem.plugin, problem.fatal) == ("b", False)
    (record,) = (r for r in caplog.records if "not running" in r.message)
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize("mode", ["enforce", "transform", "validate"])
async def test_whoever_only_looks_gets_the_problem_instead_of_the_error(
    mode: str, kinds: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"plugins: [{{name: b, kind: bad, mode: {mode}}}]"
    async with opened(text, kinds(bad=reporting([], ValueError())), strict=False) as found:
        assert [problem.fatal for problem in found.problems] == [True]
    assert [r.levelno for r in caplog.records if "not running" in r.message] == [logging.ERROR]


# what can be wrong with a plugin


class Settings(Guard):
    """Has settings."""

    class Config(PluginConfig):
        limit: int = Field(1, gt=0)
        token: str = ""


async def reasons(text: str, discovery: Discovery) -> str:
    async with opened(text, discovery, strict=False) as found:
        return "\n".join(f"{problem.plugin}: {problem.message}" for problem in found.problems)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{limit: s3cret}", "plugins[0].config.limit: expected a whole number"),
        ("{limit: 0}", "plugins[0].config.limit: must be greater than 0"),
        ("{token: [s3cret]}", "plugins[0].config.token: expected a string"),
        ("{limits: s3cret}", "plugins[0].config.limits: unknown key; did you mean 'limit'?"),
    ],
)
async def test_a_wrong_setting_is_named_and_its_value_is_not(
    config: str, said: str, kinds: Kinds
) -> None:
    text = f"plugins: [{{name: mine, kind: settings, config: {config}}}]"
    found = await reasons(text, kinds(settings=Settings))
    assert found.startswith("mine: ")
    assert said in found
    assert "s3cret" not in found


async def test_settings_reach_the_plugin(kinds: Kinds) -> None:
    text = "plugins: [{name: mine, kind: settings, config: {limit: 3}}]"
    async with opened(text, kinds(settings=Settings)) as found:
        plugin = found.instances[0].plugin
        assert isinstance(plugin, Plugin)
        assert plugin.config == Settings.Config(limit=3)
        assert plugin.name == "mine"


async def test_the_server_of_an_entry_is_a_setting(kinds: Kinds) -> None:
    class OnServer(Guard):
        class Config(PluginConfig):
            server: str

    text = """
mcpServers: {safety: {url: "http://127.0.0.1:1/mcp"}}
plugins: [{name: mine, kind: on, server: safety}]
"""
    async with opened(text, kinds(on=OnServer)) as found:
        plugin = found.instances[0].plugin
        assert isinstance(plugin, OnServer)
        assert plugin.config == OnServer.Config(server="safety")


class FailsToBeMade(Guard):
    """Raises when it is made."""

    error: BaseException = ValueError("s3cret")

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        super().__init__(config, name=name)
        raise self.error


async def test_what_a_constructor_raises_is_named_and_its_text_is_not(kinds: Kinds) -> None:
    text = "plugins: [{name: mine, kind: bad}]"
    found = await reasons(text, kinds(bad=FailsToBeMade))
    assert found.startswith("mine: kind 'bad' raised ValueError at ")
    assert "test_registry.py:" in found
    assert "s3cret" not in found


@pytest.mark.parametrize("error", [RuntimeError("s3cret"), TypeError("s3cret")])
async def test_what_a_config_raises_is_named_and_its_text_is_not(
    kinds: Kinds, error: Exception
) -> None:
    class Picky(Guard):
        class Config(PluginConfig):
            def model_post_init(self, _: object) -> None:
                raise error

    found = await reasons("plugins: [{name: mine, kind: bad}]", kinds(bad=Picky))
    assert found.startswith(f"mine: the config of kind 'bad' raised {type(error).__name__} at ")
    assert "test_registry.py:" in found
    assert "s3cret" not in found


async def test_what_was_written_for_operators_they_read(kinds: Kinds) -> None:
    class Says(FailsToBeMade):
        error = PlugwayError("the model 'x' is not on disk: download it")

    found = await reasons("plugins: [{name: mine, kind: bad}]", kinds(bad=Says))
    assert found == "mine: the model 'x' is not on disk: download it"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("s3cret"), "plugin_startup raised ValueError at "),
        (SystemExit(1), "plugin_startup raised SystemExit at "),
        (asyncio.CancelledError(), "plugin_startup raised CancelledError at "),
        (TimeoutError("s3cret"), "plugin_startup timed out"),
        (PlugwayError("no licence"), "no licence"),
    ],
)
async def test_whatever_a_startup_raises_is_a_problem_of_that_plugin(
    error: BaseException, said: str, kinds: Kinds
) -> None:
    found = await reasons("plugins: [{name: a, kind: r}]", kinds(r=reporting([], error)))
    assert found.startswith(f"a: {said}")
    assert "s3cret" not in found


async def test_where_a_startup_failed_is_in_the_log_without_the_words_of_the_error(
    kinds: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "plugway")
    secret = "s3cret"

    class Fails(Guard):
        @hookimpl
        async def plugin_startup(self) -> None:
            self.dig()

        def dig(self) -> None:
            raise ValueError(secret)

    found = await reasons("plugins: [{name: a, kind: f}]", kinds(f=Fails))
    assert found.endswith("; the log has the stack at level debug (-v)")
    assert "plugin 'a': plugin_startup failed" in caplog.text
    assert "in plugin_startup" in caplog.text
    assert "in dig" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_startup_that_hangs_is_given_up(
    kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(Guard):
        @hookimpl
        async def plugin_startup(self) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(lifecycle, "STARTUP_SECONDS", 0.01)
    with anyio.fail_after(5):
        found = await reasons("plugins: [{name: a, kind: h}]", kinds(h=Hangs))
    assert found == "a: plugin_startup took longer than 0.01 s"


async def test_when_starting_is_cancelled_what_has_started_is_stopped(kinds: Kinds) -> None:
    events: list[str] = []

    class Hangs(reporting(events)):  # type: ignore[misc]
        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            events.append("hangs")
            scope.cancel()
            await anyio.sleep_forever()

    text = "plugins: [{name: a, kind: r}, {name: b, kind: h}]"
    with anyio.CancelScope() as scope:
        async with opened(text, kinds(r=reporting(events), h=Hangs)):
            pytest.fail("it started")
    assert events[-3:] == ["hangs", "b stopped", "a stopped"]


async def test_hooks_that_would_never_be_called_are_refused(kinds: Kinds) -> None:
    class Misspelt(Plugin):
        @hookimpl
        async def tool_pre_invok(self) -> None:
            return None

    class Wrong(Plugin):
        @hookimpl
        async def tool_pre_invoke(self, request: ToolCall) -> None:
            return None

    text = "plugins: [{name: a, kind: misspelt}, {name: b, kind: wrong}]"
    found = await reasons(text, kinds(misspelt=Misspelt, wrong=Wrong))
    assert "a: there is no hook 'tool_pre_invok'; did you mean 'tool_pre_invoke'?" in found
    assert "b: tool_pre_invoke: there is no argument 'request'" in found


async def test_a_policy_that_a_hook_cannot_meet_is_a_problem_of_that_plugin(kinds: Kinds) -> None:
    events: list[str] = []
    text = "plugins: [{name: a, kind: r, threaded: true}, {name: b, kind: guard}]"
    async with opened(text, kinds(r=reporting(events), guard=Guard), strict=False) as found:
        assert "'threaded: true' is for a plain def" in found.problems[0].message
        assert [info.name for info in found.plugins()] == ["b"]
    assert events[-1] == "a stopped"


@pytest.mark.parametrize("error", [ValueError("s3cret"), SystemExit(1), asyncio.CancelledError()])
async def test_a_shutdown_that_fails_stops_nobody_elses(
    error: BaseException, kinds: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    class Fails(Guard):
        @hookimpl
        async def plugin_shutdown(self) -> None:
            raise error

    text = "plugins: [{name: a, kind: r}, {name: b, kind: f}]"
    async with opened(text, kinds(r=reporting(events), f=Fails)):
        pass
    assert events[-1] == "a stopped"
    assert f"plugin 'b' failed to shut down: raised {type(error).__name__}" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_shutdown_that_hangs_is_given_up(
    kinds: Kinds, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hangs(Guard):
        @hookimpl
        async def plugin_shutdown(self) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(lifecycle, "SHUTDOWN_SECONDS", 0.01)
    with anyio.fail_after(5):
        async with opened("plugins: [{name: a, kind: h}]", kinds(h=Hangs)):
            pass
    assert "plugin 'a' failed to shut down: timed out" in caplog.text


async def test_lifecycle_hooks_may_be_plain_and_have_other_names(kinds: Kinds) -> None:
    events: list[object] = []

    class Plain(Guard):
        @hookimpl(specname="plugin_startup")
        def begin(self, host: Host) -> None:
            events.append(host.logger.name)

        @hookimpl
        def plugin_shutdown(self) -> None:
            events.append("end")

    async with opened("plugins: [{name: a, kind: p}]", kinds(p=Plain)):
        pass
    assert events == ["plugway.plugins.a", "end"]


# module kinds


def module() -> ModuleType:
    found = ModuleType("hooks_of_a_test", "Counts calls.")
    found.calls = []  # type: ignore[attr-defined]

    @hookimpl
    async def tool_pre_invoke(payload: ToolCall, context: Context) -> None:
        found.calls.append(payload.name)

    @hookimpl
    def plugin_startup(host: Host) -> None:
        found.calls.append(host.logger.name)

    found.tool_pre_invoke = tool_pre_invoke  # type: ignore[attr-defined]
    found.plugin_startup = plugin_startup  # type: ignore[attr-defined]
    return found


async def test_a_module_of_hooks_is_a_kind_and_may_have_several_instances(kinds: Kinds) -> None:
    found = module()
    text = "plugins: [{name: a, kind: m}, {name: b, kind: m}]"
    async with opened(text, kinds(m=found)) as opened_registry:
        assert found.calls == ["plugway.plugins.a", "plugway.plugins.b"]
        found.calls.clear()
        await opened_registry.chain("tool_pre_invoke")(CALL, operation())
        assert found.calls == ["echo", "echo"]
        info = opened_registry.plugins()[0]
    assert info.description == "Counts calls."
    assert info.hooks == ("tool_pre_invoke",)
    assert info.config_schema == {}


async def test_a_module_takes_no_settings(kinds: Kinds) -> None:
    text = "plugins: [{name: a, kind: m, config: {x: 1}}]"
    assert "is a module and takes no config" in await reasons(text, kinds(m=module()))


# parts


class Says:
    """Tells under which name it is called."""

    def __init__(self, called: list[str], answer: Any = None) -> None:
        self.called, self.answer = called, answer

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> Any:
        context.annotate("called", True)
        self.called.append(context.shared["findings"][-1].plugin)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class InParts(Plugin):
    """Consists of parts."""

    now: Sequence[Part] = ()
    host: Host

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        self.host = host

    def parts(self) -> Sequence[Part]:
        return self.now


def in_parts(*parts: Part) -> type[InParts]:
    class Kind(InParts):
        now = parts

    return Kind


def the_plugin_of(found: Registry) -> InParts:
    (instance,) = found.instances
    assert isinstance(instance.plugin, InParts)
    return instance.plugin


async def test_parts_stand_at_their_plugins_place_in_their_own_order(kinds: Kinds) -> None:
    called: list[str] = []
    parts = in_parts(Part("z", Says(called)), Part("a", Says(called)))

    class Single(Says, Plugin):
        def __init__(self, config: PluginConfig, *, name: str) -> None:
            Plugin.__init__(self, config, name=name)
            self.called, self.answer = called, None

    text = """
plugins:
  - {name: last, kind: single, priority: 3}
  - {name: parts, kind: parts, priority: 2}
  - {name: first, kind: single, priority: 1}
"""
    async with opened(text, kinds(parts=parts, single=Single)) as found:
        await found.chain("tool_pre_invoke")(CALL, operation())
        assert called == ["first", "parts/z", "parts/a", "last"]
        assert [info.name for info in found.plugins()] == ["first", "parts", "last"]
        assert [info.hooks for info in found.plugins()] == [("tool_pre_invoke",)] * 3


@pytest.mark.parametrize(
    ("entry", "mode", "on_error"),
    [
        ("", Mode.AUDIT, OnError.IGNORE),
        (", mode: enforce", Mode.ENFORCE, OnError.IGNORE),
        (", on_error: disable", Mode.AUDIT, OnError.DISABLE),
    ],
)
async def test_what_the_operator_says_wins_over_what_a_part_asks_for(
    entry: str, mode: Mode, on_error: OnError, kinds: Kinds
) -> None:
    parts = in_parts(Part("p", Says([]), mode=Mode.AUDIT, fail_open=True))
    text = f"plugins: [{{name: a, kind: parts, priority: 7, timeout: 2s{entry}}}]"
    async with opened(text, kinds(parts=parts)) as found:
        (step,) = found.steps("tool_pre_invoke")
        policy = step.policy
    assert (policy.mode, policy.on_error) == (mode, on_error)
    assert (policy.priority, policy.timeout) == (7, 2.0)


async def test_a_part_that_asks_for_nothing_guards(kinds: Kinds) -> None:
    parts = in_parts(Part("p", Says([], ValueError())))
    async with opened("plugins: [{name: a, kind: parts}]", kinds(parts=parts)) as found:
        outcome = await found.chain("tool_pre_invoke")(CALL, operation())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.plugin == "a/p"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([Part("x", Says([])), Part("x", Says([]))], "two of its parts are called 'x'"),
        ([Part("x", object()), Part("y", Denies)], "tool_pre_invoke: register an instance"),
    ],
)
async def test_parts_that_make_no_sense_are_refused(
    parts: list[Part], said: str, kinds: Kinds
) -> None:
    text = "plugins: [{name: a, kind: parts}]"
    assert said in await reasons(text, kinds(parts=in_parts(*parts)))


async def test_a_misspelt_hook_in_a_part_is_refused(kinds: Kinds) -> None:
    class Misspelt:
        @hookimpl
        async def tool_pre_invok(self) -> None:
            return None

    found = await reasons(
        "plugins: [{name: a, kind: parts}]", kinds(parts=in_parts(Part("x", Misspelt())))
    )
    assert "part 'x': there is no hook 'tool_pre_invok'; did you mean 'tool_pre_invoke'?" in found


async def test_a_plugin_with_parts_has_no_step_of_its_own_to_lose(kinds: Kinds) -> None:
    class Both(Guard):
        def parts(self) -> Sequence[Part]:
            return [Part("x", Says([]))]

    found = await reasons("plugins: [{name: a, kind: both}]", kinds(both=Both))
    assert "it has parts, so its own tool_pre_invoke would never be called" in found


async def test_a_plugin_may_change_its_parts(kinds: Kinds) -> None:
    called: list[str] = []
    kind = in_parts(Part("old", Says(called)), Part("seen", Says([]), mode=Mode.AUDIT))
    async with opened("plugins: [{name: a, kind: parts}]", kinds(parts=kind)) as found:
        plugin = the_plugin_of(found)
        await found.run("a", "tool_pre_invoke", CALL, operation())
        plugin.now = [Part("new", Says(called)), Part("old", Says(called))]
        plugin.host.parts_changed()
        await found.chain("tool_pre_invoke")(CALL, operation())
        await found.run("a", "tool_pre_invoke", CALL, operation())
    assert called == ["a/old", "a/new", "a/old", "a/new", "a/old"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "'a/old' would not deny or fail closed or modify in tool_pre_invoke any more"),
        ([Part("new", Says([]))], "'a/old' would not deny"),
        ([Part("old", Says([]), mode=Mode.AUDIT)], "'a/old' would not deny or fail closed"),
        ([Part("old", Says([]), mode=Mode.BACKGROUND)], "'a/old' would not deny or fail closed"),
        ([Part("old", Says([]), mode=Mode.DISABLED)], "'a/old' would not deny or fail closed"),
        ([Part("old", Says([]), mode=Mode.TRANSFORM)], "'a/old' would not deny in"),
        ([Part("old", Says([]), mode=Mode.VALIDATE)], "'a/old' would not modify in"),
        ([Part("old", Says([]), fail_open=True)], "'a/old' would not fail closed in"),
        ([Part("x", Says([])), Part("x", Says([]))], "two of its parts are called 'x'"),
        ([Part("x", Denies)], "register an instance"),
    ],
)
async def test_new_parts_that_make_no_sense_leave_the_old_ones_in_place(
    parts: list[Part], said: str, kinds: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []
    kind = in_parts(Part("old", Says(called)))
    async with opened("plugins: [{name: a, kind: parts}]", kinds(parts=kind)) as found:
        plugin = the_plugin_of(found)
        plugin.now = parts
        plugin.host.parts_changed()
        await found.chain("tool_pre_invoke")(CALL, operation())
        assert [info.hooks for info in found.plugins()] == [("tool_pre_invoke",)]
    assert called == ["a/old"]
    assert "plugin 'a': new parts refused: " in caplog.text
    assert said in caplog.text


@pytest.mark.parametrize("mode", ["audit", "background"])
async def test_parts_that_an_operator_lets_observe_may_go(mode: str, kinds: Kinds) -> None:
    kind = in_parts(Part("old", Says([])))
    text = f"plugins: [{{name: a, kind: parts, mode: {mode}}}]"
    async with opened(text, kinds(parts=kind)) as found:
        plugin = the_plugin_of(found)
        plugin.now = [Part("new", Says([]))]
        plugin.host.parts_changed()
        assert [step.scope.plugin for step in found.steps("tool_pre_invoke")] == ["a/new"]


async def test_a_part_that_was_one_of_two_neighbours_does_not_go(kinds: Kinds) -> None:
    called: list[str] = []
    parts = [Part(name, Says(called), mode=Mode.VALIDATE) for name in ("x", "y")]
    async with opened("plugins: [{name: a, kind: parts}]", kinds(parts=in_parts(*parts))) as found:
        plugin = the_plugin_of(found)
        plugin.now = parts[:1]
        plugin.host.parts_changed()
        await found.chain("tool_pre_invoke")(CALL, operation())
    assert sorted(called) == ["a/x", "a/y"]


async def test_a_name_that_another_plugins_part_has_is_refused(kinds: Kinds) -> None:
    text = "plugins: [{name: a, kind: parts}, {name: a/x, kind: guard}]"
    parts = in_parts(Part("x", Says([])))
    assert "two plugins 'a/x'" in await reasons(text, kinds(parts=parts, guard=Guard))


# host


async def test_the_host_gives_servers_by_name(kinds: Kinds) -> None:
    seen: list[object] = []

    class UsesServer(Guard):
        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            seen.append(host.server("safety"))
            with pytest.raises(KeyError):
                host.server("other")

    class Safety:
        name = "safety"
        capabilities: Mapping[str, Any] = {}

        async def connect(self) -> None:
            return None

        async def request(
            self,
            method: str,
            params: Mapping[str, Any] | None = None,
            *,
            timeout: float | None = None,
        ) -> dict[str, Any]:
            return {}

    safety = Safety()
    async with opened("plugins: [{name: a, kind: u}]", kinds(u=UsesServer), safety=safety):
        pass
    assert seen == [safety]


# the runner


async def test_one_plugin_can_be_called_by_itself(kinds: Kinds) -> None:
    text = "plugins: [{name: g, kind: guard}, {name: d, kind: denies}]"
    async with opened(text, kinds(guard=Guard, denies=Denies)) as found:
        passed = await found.run("g", "tool_pre_invoke", CALL, operation())
        assert (passed.verdict, passed.payload) == (None, CALL)
        denied = await found.run("d", "tool_pre_invoke", CALL, operation())
        assert denied.verdict == Deny("d")
        assert denied.plugin == "d"


@pytest.mark.parametrize(
    ("plugin", "hook"),
    [
        ("x", "tool_pre_invoke"),
        ("g", "nonesuch"),
        ("g", "tool_post_invoke"),
        ("g", "plugin_health"),
    ],
)
async def test_what_cannot_be_called_is_a_key_error(plugin: str, hook: str, kinds: Kinds) -> None:
    async with opened("plugins: [{name: g, kind: guard}]", kinds(guard=Guard)) as found:
        with pytest.raises(KeyError):
            await found.run(plugin, hook, CALL, operation())


async def test_a_plugin_that_fails_by_itself_raises_what_on_error_says(kinds: Kinds) -> None:
    class Fails(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            raise ValueError("s3cret")

    text = "plugins: [{name: a, kind: f}, {name: b, kind: f, on_error: ignore}]"
    async with opened(text, kinds(f=Fails)) as found:
        with pytest.raises(PluginError) as caught:
            await found.run("a", "tool_pre_invoke", CALL, operation())
        assert (caught.value.plugin, caught.value.hook) == ("a", "tool_pre_invoke")
        assert "s3cret" not in str(caught.value)
        outcome = await found.run("b", "tool_pre_invoke", CALL, operation())
        assert (outcome.verdict, outcome.payload) == (None, CALL)


async def test_a_deny_is_the_plugins_own_whatever_its_code(kinds: Kinds) -> None:
    deny = Deny("a card number", code=PLUGIN_ERROR)

    class Finds(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            return deny

    async with opened("plugins: [{name: a, kind: finds}]", kinds(finds=Finds)) as found:
        outcome = await found.run("a", "tool_pre_invoke", CALL, operation())
    assert (outcome.verdict, outcome.plugin) == (deny, "a")


async def test_conditions_and_mode_hold_for_a_plugin_by_itself(kinds: Kinds) -> None:
    text = """
plugins:
  - {name: other, kind: denies, when: [{tools: [other]}]}
  - {name: audit, kind: denies, mode: audit}
"""
    async with opened(text, kinds(denies=Denies)) as found:
        for name in ("other", "audit"):
            outcome = await found.run(name, "tool_pre_invoke", CALL, operation())
            assert outcome.verdict is None


async def test_a_background_plugin_by_itself_works_in_the_background(kinds: Kinds) -> None:
    events: list[str] = []
    text = "plugins: [{name: a, kind: r, mode: background}]"
    with anyio.fail_after(5):
        async with opened(text, kinds(r=reporting(events))) as found:
            outcome = await found.run("a", "tool_pre_invoke", CALL, operation())
            assert outcome.verdict is None
    assert "a called" in events


async def test_the_plugins_are_told_in_the_order_of_their_priority(kinds: Kinds) -> None:
    text = """
plugins:
  - {name: b, kind: settings, priority: 9, mode: audit, on_error: ignore}
  - {name: a, kind: guard, priority: 1}
"""
    async with opened(text, kinds(settings=Settings, guard=Guard)) as found:
        first, second = found.plugins()
    assert (first.name, first.kind, first.hooks) == ("a", "guard", ("tool_pre_invoke",))
    assert first.description == "Lets everything through."
    assert (second.mode, second.on_error, second.priority) == (Mode.AUDIT, OnError.IGNORE, 9)
    assert second.config_schema["properties"]["limit"]["default"] == 1


async def test_a_kind_may_say_where_it_stands_and_the_operator_has_the_last_word(
    kinds: Kinds,
) -> None:
    class Last(Guard):
        priority = 900

    text = """
plugins:
  - {name: last, kind: last}
  - {name: moved, kind: last, priority: 5}
  - {name: usual, kind: guard}
"""
    async with opened(text, kinds(last=Last, guard=Guard)) as found:
        told = [(plugin.name, plugin.priority) for plugin in found.plugins()]
    assert told == [("moved", 5), ("usual", 100), ("last", 900)]


async def test_the_steps_of_a_hook_are_told_one_by_one(kinds: Kinds) -> None:
    text = """
plugins:
  - {name: late, kind: guard, priority: 9}
  - {name: bg, kind: guard, mode: background, priority: 1}
  - {name: v1, kind: guard, mode: validate, priority: 2}
  - {name: v2, kind: guard, mode: validate, priority: 3}
"""
    async with opened(text, kinds(guard=Guard)) as found:
        names = [step.scope.plugin for step in found.steps("tool_pre_invoke")]
    assert names == ["v1", "v2", "late", "bg"]


# health


async def test_health_is_what_each_plugin_says(
    kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ill(Guard):
        @hookimpl
        async def plugin_health(self) -> str:
            return "the model is cold"

    class Fails(Guard):
        @hookimpl
        def plugin_health(self) -> str:
            raise ValueError("s3cret")

    class Hangs(Guard):
        @hookimpl
        async def plugin_health(self) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(registry, "HEALTH_SECONDS", 0.01)
    discovery = kinds(guard=Guard, ill=Ill, fails=Fails, hangs=Hangs)
    names = ("guard", "ill", "fails", "hangs")
    text = f"plugins: [{', '.join(f'{{name: {n}, kind: {n}}}' for n in names)}]"
    with anyio.fail_after(5):
        async with opened(text, discovery) as found:
            report = await found.health()
    assert report["guard"] is None
    assert report["ill"] == "the model is cold"
    assert str(report["fails"]).startswith("the health check raised ValueError at ")
    assert "s3cret" not in str(report["fails"])
    assert report["hangs"] == "the health check timed out"


# what a plugin may read


class Reads(Plugin):
    """Reads headers."""

    capabilities = frozenset({"read_headers"})

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return payload.replace(arguments=context.headers)


class Peeks(Reads):
    """Reads headers and does not say so."""

    capabilities = frozenset()


@pytest.mark.parametrize(
    ("kind", "entry", "seen"),
    [
        ("reads", "", {"user-agent": "x"}),
        ("peeks", "", {}),
        ("reads", ", capabilities: []", {}),
        ("peeks", ", capabilities: [read_headers]", {"user-agent": "x"}),
    ],
)
async def test_headers_reach_the_plugins_that_may_read_them(
    kind: str, entry: str, seen: dict[str, str], kinds: Kinds
) -> None:
    op = Operation("1", "tools/call", headers={"user-agent": "x"})
    text = f"plugins: [{{name: a, kind: {kind}{entry}}}]"
    async with opened(text, kinds(reads=Reads, peeks=Peeks)) as found:
        outcome = await found.chain("tool_pre_invoke")(CALL, op)
    assert outcome.payload.arguments == seen


def test_an_empty_registry_has_an_empty_chain_for_every_hook() -> None:
    found = Registry(HookTable(), queue=1, threads=1)
    assert not found.chain("tool_pre_invoke")
    assert not found.chain("tool_post_invoke")
    found.close()


async def test_threaded_plugins_share_the_configured_number_of_threads(kinds: Kinds) -> None:
    class Blocks(Plugin):
        @hookimpl
        def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            return payload.replace(meta={"thread": threading.current_thread().name})

    text = "{gateway: {threads: 1}, plugins: [{name: a, kind: b, threaded: true}]}"
    async with opened(text, kinds(b=Blocks)) as found:
        for _ in range(3):
            outcome = await found.chain("tool_post_invoke")(ToolResult(), operation())
            assert outcome.payload.meta == {"thread": "plugway-plugin_0"}


async def test_a_plugin_without_a_hook_does_not_pass_for_a_guard(kinds: Kinds) -> None:
    class Idle(Plugin):
        """Only lives."""

        @hookimpl
        def plugin_shutdown(self) -> None:
            return None

    found = await reasons("plugins: [{name: a, kind: idle}]", kinds(idle=Idle))
    assert "it has no hook: nothing would be guarded" in found
    async with opened("plugins: [{name: a, kind: idle, mode: audit}]", kinds(idle=Idle)) as quiet:
        assert [info.hooks for info in quiet.plugins()] == [()]
