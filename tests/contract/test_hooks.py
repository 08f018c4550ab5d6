"""Every hook is called, used by a shipped plugin, documented with an example that runs, tested."""

import inspect
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import click
import pytest
from click.testing import CliRunner
from importlib_metadata import EntryPoint

from plugway.cli.commands.hooks import list_hooks, signature_of
from plugway.config import parse
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.steps import Policy
from plugway.methods import HOOKS
from plugway.plugins.discovery import discover
from plugway.plugins.hookcheck import implementations, validate_hooks
from plugway.plugins.hooktable import collect_hooks
from plugway.plugins.host import PluginHost
from plugway.plugins.instances import ModuleInstance
from plugway.plugins.lifecycle import call_lifecycle
from plugway.plugins.opening import open_registry
from plugway.plugins.routes import check_routes
from plugway_builtin_plugins.pii_filter import PiiFilter
from plugway_external_bridge.wire.hooks import HOOKS as BRIDGED
from plugway_hookspecs import (
    ENTRY_POINT_GROUP,
    CompletionRequest,
    CompletionResult,
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    HttpRequest,
    HttpResponse,
    Operation,
    Payload,
    Plugin,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceSubscribe,
    ResourceTemplateList,
    Respond,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    Specs,
    ToolCall,
    ToolList,
    ToolResult,
)

ROOT = Path(__file__).parents[2]
SIGNATURES = {hook.name: hook.name + hook.signature for hook in list_hooks()}
LIFECYCLE = {"plugin_startup", "plugin_shutdown", "plugin_health", "register_routes"}
AT_LOAD = {
    "register_commands": "manager.hook.register_commands(cli=collector)",
    "register_hooks": '_HOOK = "register_hooks"',
}
"""What is called before there is an instance, and how."""
CUSTOM = collect_hooks(discover().kinds.values())
"""The hooks that shipped plugins add."""

UNUSED = {"plugin_shutdown"}
"""What no shipped plugin needs so far: none holds anything that has to be let go of."""

TEXT = {"type": "text", "text": "hello"}
SAMPLES: dict[str, list[Payload]] = {
    "tool_pre_invoke": [ToolCall("crm__delete", {"path": "/etc"}), ToolCall("crm__find")],
    "tool_post_invoke": [
        ToolResult([TEXT], structured_content={"a": 1}),
        ToolResult(error={"code": -32000, "message": "no", "data": None}),
        ToolResult.from_wire({"resultType": "input_required", "inputRequests": {}}),
    ],
    "tool_post_list": [ToolList([{"name": "crm__find", "inputSchema": {"type": "object"}}])],
    "prompt_pre_fetch": [PromptFetch("crm__hello", {"name": "Ann"})],
    "prompt_post_fetch": [PromptResult([{"role": "user", "content": TEXT}])],
    "prompt_post_list": [PromptList([{"name": "crm__hello"}])],
    "resource_pre_fetch": [ResourceFetch("crm+file:///robots.txt"), ResourceFetch("crm+file:///x")],
    "resource_post_fetch": [ResourceResult([{"uri": "crm+file:///x", "text": "hello"}])],
    "resource_post_list": [ResourceList([{"uri": "crm+file:///x", "mimeType": "image/png"}])],
    "resource_template_post_list": [ResourceTemplateList([{"uriTemplate": "crm+file:///{path}"}])],
    "resource_pre_subscribe": [ResourceSubscribe("crm+x:a.log"), ResourceSubscribe("crm+x:y")],
    "completion_pre": [
        CompletionRequest({"type": "ref/prompt", "name": "crm__hello"}, {"name": "n", "value": v})
        for v in ("", "Ann")
    ],
    "completion_post": [
        CompletionResult({"values": ["draft-a", "b"]}),
        CompletionResult(error={"code": -32000, "message": "no", "data": None}),
    ],
    "sampling_pre_request": [
        SamplingRequest([{"role": "user", "content": TEXT}] * n, max_tokens=t)
        for n, t in ((1, None), (1, 10), (50, 10))
    ],
    "sampling_post_response": [
        SamplingResult("assistant", TEXT, "m"),
        SamplingResult("assistant", [TEXT, {"type": "image"}], "m"),
    ],
    "elicitation_pre_request": [
        ElicitationRequest("who?", requested_schema={"type": "object"}),
        ElicitationRequest("who?", "url", url="https://x.test"),
    ],
    "elicitation_post_response": [
        ElicitationResult("decline"),
        ElicitationResult("accept", {"Password": "x"}),
    ],
    "roots_pre_list": [RootsRequest()],
    "roots_post_list": [RootsResult([{"uri": "file:///home/ann"}, {"uri": "file:///srv"}])],
}

SECTION = re.compile(r"^## `(\w+)(\([^\n]*)`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, tuple[str, str]]:
    """Read the documentation: hook to signature and text."""
    page = (ROOT / "docs" / "hooks.md").read_text()
    return {name: (name + rest, text) for name, rest, text in SECTION.findall(page)}


def shipped() -> dict[str, set[str]]:
    """Load every kind that we ship: name to the hooks that it implements."""
    found = discover()
    assert not found.problems
    return {name: set(implementations(kind.load()).values()) for name, kind in found.kinds.items()}


# called


def test_every_hook_is_called_by_something() -> None:
    assert SIGNATURES.keys() == HOOKS.keys() | LIFECYCLE | AT_LOAD.keys()
    sources = "\n".join(file.read_text() for file in (ROOT / "core" / "src").rglob("*.py"))
    for hook in LIFECYCLE:
        assert re.search(rf'call_lifecycle\([^)]*"{hook}"', sources), hook
    for hook, called in AT_LOAD.items():
        assert called in sources, hook


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_declares_what_the_chain_gives_and_takes(hook: str) -> None:
    payload, answer = HOOKS[hook]
    signature = inspect.signature(getattr(Specs, hook))
    annotations = {name: p.annotation for name, p in signature.parameters.items() if name != "self"}
    assert annotations == {"payload": payload, "context": Context}
    assert inspect.iscoroutinefunction(getattr(Specs, hook))
    expected = payload | Deny | None if answer is None else payload | Deny | Respond | None
    assert signature.return_annotation == expected


def test_the_bridge_knows_every_hook_that_sees_a_payload() -> None:
    bridged = {name: (hook.payload, hook.answer) for name, hook in BRIDGED.items()}
    assert bridged == HOOKS


# used


def test_a_shipped_plugin_uses_every_hook() -> None:
    kinds = shipped()
    used = {hook for hooks in kinds.values() for hook in hooks}
    assert SIGNATURES.keys() - used == UNUSED
    for hook in HOOKS:
        users = [name for name, hooks in kinds.items() if hook in hooks]
        assert users, hook


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_plugin_implements_no_hook_that_does_not_exist(name: str) -> None:
    assert validate_hooks(discover().kind(name).load()) == []


# documented


def test_the_documentation_has_one_section_for_each_hook_in_the_order_of_the_specification() -> (
    None
):
    assert list(sections()) == list(SIGNATURES)


@pytest.mark.parametrize("hook", SIGNATURES)
def test_a_section_begins_with_the_signature_and_what_the_specification_says(hook: str) -> None:
    title, text = sections()[hook]
    assert title == SIGNATURES[hook]
    words = " ".join(text.split())
    said = " ".join((inspect.getdoc(getattr(Specs, hook)) or "").split()).rstrip(".")
    assert words.startswith(said)
    assert re.search(r"\b[Rr]ais(e|es|ing)\b|\berror\b", text), "what raising means"


def module_of(hook: str) -> ModuleType:
    """Run the one example of a hook's section."""
    (code,) = EXAMPLE.findall(sections()[hook][1])
    module = ModuleType("example")
    exec(compile(code, f"docs/hooks.md#{hook}", "exec"), vars(module))
    return module


async def run(plugin: object, hook: str) -> None:
    """Call one hook of a plugin with everything that it may meet."""
    chain = compile_chains([("example", plugin, Policy())])[hook]
    for payload in SAMPLES[hook]:
        operation = Operation("1", "tools/call", "crm__find", "crm", record=[])
        outcome = await chain(payload, operation)
        if isinstance(outcome.verdict, Deny):
            assert outcome.verdict.code != PLUGIN_ERROR


@pytest.mark.parametrize("hook", sorted(SIGNATURES.keys() - AT_LOAD.keys()))
async def test_a_hooks_example_is_a_plugin_that_works(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    module = module_of(hook)
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, Plugin)]
    (kind,) = (each for each in kinds if each is not Plugin)
    assert kind.__doc__
    assert validate_hooks(kind) == []
    assert hook in implementations(kind).values()
    plugin = kind(kind.Config(), name="example")
    host = PluginHost("example", {}, lambda: None, chains=dict[str, Chain[Any]]().__getitem__)
    await call_lifecycle(plugin, "plugin_startup", host)
    for each in sorted(HOOKS.keys() & set(implementations(kind).values())):
        await run(plugin, each)
    assert await call_lifecycle(plugin, "plugin_health") is None
    await call_lifecycle(plugin, "plugin_shutdown")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_the_example_of_a_command_adds_one_that_works() -> None:
    module = module_of("register_commands")
    plugin = ModuleInstance(module)
    assert implementations(plugin) == {"register_commands": "register_commands"}
    group = click.Group()
    vars(module)["register_commands"](group)
    assert CliRunner().invoke(group, ["greet", "Ann"]).output == "Hello, Ann!\n"


async def through_registry(
    monkeypatch: pytest.MonkeyPatch, payload: Payload, hook: str, **kinds: object
) -> Any:
    """Run a hook with one plugin of each kind, in the order of their names."""
    module = ModuleType("kinds_of_an_example")
    vars(module).update(kinds)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    points = [EntryPoint(kind, f"{module.__name__}:{kind}", ENTRY_POINT_GROUP) for kind in kinds]
    text = "plugins: [" + ",".join(f"{{name: {kind}, kind: {kind}}}" for kind in kinds) + "]"
    config = await anyio.to_thread.run_sync(parse, text)
    async with open_registry(config, discover(entry_points=points), {}) as registry:
        return await registry.chain(hook)(payload, Operation("7", "tools/call", "crm__find"))


async def test_the_example_of_a_hook_adds_one_that_another_plugin_implements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = does("register_hooks")
    kinds = {name: example[name] for name in ("Budget", "Searches")}
    for tool, verdict in (("find", None), ("search", Deny("costs 150 cents", code="budget"))):
        call = ToolCall(tool)
        outcome = await through_registry(monkeypatch, call, "tool_pre_invoke", **kinds)
        assert outcome.verdict == verdict


async def test_the_example_of_a_route_answers() -> None:
    kind = does("register_routes")["Last"]
    plugin = kind(kind.Config(), name="example")
    plugin.tool_pre_invoke(ToolCall("crm__find"))
    (route,) = check_routes("example", plugin.register_routes())
    answer = await route.handler(HttpRequest("GET", route.path))
    assert answer == HttpResponse('{"tool": "crm__find"}', content_type="application/json")


async def test_the_example_of_a_shipped_plugins_hook_does_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = ModuleType("example")
    exec(custom_sections()["pii_found"][1], vars(example))
    kinds = {"HouseRules": example.HouseRules, "PiiFilter": PiiFilter}
    call = ToolCall("x", {"a": "Blue Heron: ann@acme.example, bob@other.example"})
    outcome = await through_registry(monkeypatch, call, "tool_pre_invoke", **kinds)
    assert outcome.payload.arguments == {"a": "[PROJECT]: ann@acme.example, [EMAIL]"}


def does(hook: str) -> Mapping[str, Any]:
    return vars(module_of(hook))


async def test_the_examples_do_what_they_say() -> None:
    async def through(hook: str, name: str, payload: Payload) -> Any:
        kind = does(hook)[name]
        chain = compile_chains([("p", kind(kind.Config(), name="p"), Policy())])[hook]
        return await chain(payload, Operation("7", "tools/call", "crm__find"))

    outside = await through("tool_pre_invoke", "OneFolder", ToolCall("x", {"path": "/etc/passwd"}))
    assert outside.verdict == Deny("only /data/ is open", code="outside")
    inside = await through("tool_pre_invoke", "OneFolder", ToolCall("x"))
    assert inside.payload.arguments == {"path": "/data/"}
    failed = ToolResult(error={"code": 1, "message": "s3cret"})
    quiet = await through("tool_post_invoke", "QuietErrors", failed)
    assert quiet.payload.error == {"code": -32603, "message": "crm__find failed; request 7"}
    tools = ToolList([{"name": "delete_all"}, {"name": "find"}])
    listed = await through("tool_post_list", "NoDeletes", tools)
    assert [tool["name"] for tool in listed.payload.tools] == ["find"]
    robots = await through("resource_pre_fetch", "Robots", ResourceFetch("x:/robots.txt"))
    assert isinstance(robots.verdict, Respond)
    wide = ResourceTemplateList([{"uriTemplate": "s+file:///{path}"}])
    offered = await through("resource_template_post_list", "NoFileTemplates", wide)
    assert isinstance(offered.verdict, Deny)
    system = PromptResult([{"role": "system", "content": TEXT}])
    assert isinstance((await through("prompt_post_fetch", "NoSystemRole", system)).verdict, Deny)


async def test_the_examples_about_questions_do_what_they_say() -> None:
    async def through(hook: str, name: str, payload: Payload) -> Any:
        kind = does(hook)[name]
        chain = compile_chains([("p", kind(kind.Config(), name="p"), Policy())])[hook]
        operation = Operation("7", "x", "crm__find", "hr", within="tools/call")
        outcome = await chain(payload, operation)
        verdict = outcome.verdict
        return verdict.result if isinstance(verdict, Respond) else verdict or outcome.payload

    noisy = await through("resource_pre_subscribe", "QuietLogs", ResourceSubscribe("x:a.log"))
    assert noisy.code == "noisy"
    early = CompletionRequest({}, {"name": "n", "value": "a"})
    answered = await through("completion_pre", "NotTooEarly", early)
    assert answered == CompletionResult({"values": []})
    found = await through("completion_post", "NoDrafts", SAMPLES["completion_post"][0])
    assert found.completion == {"values": ["b"]}
    asked = await through("sampling_pre_request", "Frugal", SAMPLES["sampling_pre_request"][0])
    assert asked.max_tokens == 500
    said = await through("sampling_post_response", "TextOnly", SAMPLES["sampling_post_response"][1])
    assert said.code == "text_only"
    form, url = SAMPLES["elicitation_pre_request"]
    assert (await through("elicitation_pre_request", "SayWhoAsks", form)).message == "[hr] who?"
    assert (await through("elicitation_pre_request", "SayWhoAsks", url)).action == "decline"
    form = SAMPLES["elicitation_post_response"][1]
    assert (await through("elicitation_post_response", "NoPasswords", form)).code == "password"
    root = await through("roots_pre_list", "OneRoot", RootsRequest())
    assert root == RootsResult([{"uri": "file:///srv/shared", "name": "shared"}])
    (kept,) = (await through("roots_post_list", "NoHomes", SAMPLES["roots_post_list"][0])).roots
    assert kept == {"uri": "file:///srv"}


# tested


@pytest.mark.parametrize("hook", SIGNATURES)
def test_every_hook_is_implemented_by_a_plugin_in_a_test(hook: str) -> None:
    files = [*(ROOT / "tests" / "core").rglob("*.py"), *(ROOT / "tests" / "property").rglob("*.py")]
    implemented = re.compile(rf'def {hook}\(|specname="{hook}"')
    assert any(implemented.search(file.read_text()) for file in files)


# the hooks that shipped plugins add

CUSTOM_SECTION = re.compile(
    r"^### `(\w+)(\([^\n]*)`\n(.*?)^```python\n(.*?)^```", re.MULTILINE | re.DOTALL
)


def custom_sections() -> dict[str, tuple[str, str, str]]:
    """Read the documentation: hook to signature, example and text."""
    page = (ROOT / "docs" / "hooks.md").read_text()
    found = CUSTOM_SECTION.findall(page)
    return {name: (name + rest, example, text) for name, rest, text, example in found}


def test_every_custom_hook_is_documented_with_its_signature_and_its_package() -> None:
    assert not CUSTOM.failures
    assert custom_sections().keys() == CUSTOM.custom.keys()
    for name, (title, _, text) in custom_sections().items():
        hook = CUSTOM.custom[name]
        assert title == name + signature_of(hook.specs, name)
        said = " ".join((inspect.getdoc(getattr(hook.specs, name)) or "").split()).rstrip(".")
        words = " ".join(text.split())
        assert words.startswith(said)
        assert f"`{hook.source.distribution}`" in words
        assert re.search(r"\braising\b", words), "what raising means"


@pytest.mark.parametrize("hook", CUSTOM.custom)
def test_every_custom_hook_is_fired_implemented_by_an_example_and_tested(hook: str) -> None:
    fired = re.compile(rf'\.fire\(\s*"{hook}"')
    implemented = re.compile(rf"def {hook}\(")
    for pattern, where in (
        (fired, ROOT / "builtin_plugins"),
        (implemented, ROOT / "examples"),
        (implemented, ROOT / "tests" / "builtin_plugins"),
    ):
        assert any(pattern.search(file.read_text()) for file in where.rglob("*.py")), where
