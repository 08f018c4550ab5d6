"""Hooks that packages add: taken in, refused, called like any other."""

from typing import Any

import anyio
import pytest

from plugway.errors import StartupError
from plugway.executor.record import lines
from plugway_hookspecs import Context, Deny, Operation, PluginError, Scope, ToolCall

CALL = ToolCall("crm__find", {"text": "hello"})

SCORES = """
@dataclass(frozen=True, slots=True)
class Score(Payload):
    text: str
    points: int = 0

class ScoreHooks:
    @hookspec
    async def acme_scored(self, payload: Score, context: Context) -> Score | Deny | None:
        "See a score."

class Scorer(Plugin):
    "Scores calls, and denies those with too many points."

    @staticmethod
    @hookimpl
    def register_hooks(registrar):
        registrar.add(ScoreHooks)

    @hookimpl
    def plugin_startup(self, host):
        self.host = host

    @hookimpl
    async def tool_pre_invoke(self, payload, context):
        scored = await self.host.fire("acme_scored", Score(payload.arguments["text"]), context)
        if scored.verdict is not None:
            return scored.verdict
        return payload.replace(arguments={"text": "hello", "points": scored.payload.points})
"""

JUDGES = """
from acme_scores import Score

class Judge(Plugin):
    class Config(PluginConfig):
        points: int = 1
        does: str = "add"

    @hookimpl
    async def acme_scored(self, payload: Score, context: Context):
        context.annotate("seen", payload.points)
        match self.config.does:
            case "add":
                return payload.replace(points=payload.points * 10 + self.config.points)
            case "deny":
                return Deny(self.name)
            case "raise":
                raise RuntimeError("s3cret")
            case "wrong":
                return ToolCall("x")
            case "hang":
                import anyio
                await anyio.sleep_forever()
"""


def operation() -> Operation:
    return Operation("1", "tools/call", "crm__find", "crm", record=[])


async def call(registry: Any, about: Operation | None = None) -> Any:
    with anyio.fail_after(5):
        return await registry.chain("tool_pre_invoke")(CALL, about or operation())


@pytest.fixture
def scores(package: Any) -> None:
    package("acme-scores", SCORES, "Scorer", version="2.1")


@pytest.fixture
def judges(package: Any, scores: None) -> None:
    package("judge-package", JUDGES, "Judge")


def judge(name: str, **entry: Any) -> dict[str, Any]:
    config = {key: entry.pop(key) for key in ("points", "does") if key in entry}
    return {"name": name, "kind": "judge", "config": config, **entry}


# adding and implementing


@pytest.mark.parametrize("first", ["scorer", "judge"])
async def test_other_packages_implement_a_hook_wherever_they_stand_in_the_file(
    judges: None, opened: Any, first: str
) -> None:
    plugins = ["scorer", "judge"] if first == "scorer" else ["judge", "scorer"]
    async with opened(*plugins) as registry:
        outcome = await call(registry)
    assert outcome.payload.arguments == {"text": "hello", "points": 1}


async def test_plugins_are_asked_in_the_order_of_their_priority(judges: None, opened: Any) -> None:
    plugins = ("scorer", judge("b", points=2, priority=20), judge("a", points=1, priority=10))
    async with opened(*plugins) as registry:
        assert (await call(registry)).payload.arguments["points"] == 12
        assert [step.scope.plugin for step in registry.steps("acme_scored")] == ["a", "b"]


async def test_where_nobody_implements_it_the_payload_comes_back_as_it_was(
    scores: None, opened: Any
) -> None:
    about = operation()
    async with opened("scorer") as registry:
        assert (await call(registry, about)).payload.arguments["points"] == 0
        assert not registry.chain("acme_scored")
    assert [line.plugin for line in lines(about)] == ["scorer"]


async def test_a_fired_hook_is_on_the_record_of_the_same_operation(
    judges: None, opened: Any
) -> None:
    about = operation()
    async with opened("scorer", judge("j")) as registry:
        await call(registry, about)
    recorded = [(line.plugin, line.hook, line.applied) for line in lines(about)]
    assert recorded == [("j", "acme_scored", "modify"), ("scorer", "tool_pre_invoke", "modify")]
    assert [(f.plugin, f.hook) for f in about.findings] == [("j", "acme_scored")]


@pytest.mark.parametrize(
    ("entry", "points"),
    [
        ({"mode": "enforce"}, 1),
        ({"mode": "transform"}, 1),
        ({"mode": "validate"}, 0),
        ({"mode": "audit"}, 0),
        ({"mode": "background"}, 0),
        ({"mode": "enforce", "when": [{"tools": ["other__*"]}]}, 0),
        ({"mode": "enforce", "when": [{"tools": ["crm__*"]}]}, 1),
    ],
)
async def test_modes_and_conditions_hold_for_it_as_for_any_hook(
    judges: None, opened: Any, entry: dict[str, Any], points: int
) -> None:
    async with opened("scorer", judge("j", **entry)) as registry:
        assert (await call(registry)).payload.arguments["points"] == points


@pytest.mark.parametrize(
    ("entry", "denied"),
    [
        ({"does": "deny"}, True),
        ({"does": "deny", "mode": "validate"}, True),
        ({"does": "deny", "mode": "transform"}, False),
        ({"does": "deny", "mode": "audit"}, False),
        ({"does": "raise"}, True),
        ({"does": "wrong"}, True),
        ({"does": "hang", "timeout": "20ms"}, True),
        ({"does": "raise", "on_error": "ignore"}, False),
        ({"does": "raise", "on_error": "disable"}, True),
        ({"does": "raise", "mode": "audit"}, False),
    ],
)
async def test_the_one_who_fires_it_gets_the_deny(
    judges: None, opened: Any, entry: dict[str, Any], denied: bool
) -> None:
    async with opened("scorer", judge("j", **entry)) as registry:
        verdict = (await call(registry)).verdict
    assert isinstance(verdict, Deny) is denied
    assert "s3cret" not in repr(verdict)


async def test_neighbouring_validators_are_asked_at_once_and_the_first_deny_wins(
    judges: None, opened: Any
) -> None:
    plugins = [judge(name, does="deny", mode="validate") for name in ("a", "b")]
    async with opened("scorer", *plugins) as registry:
        assert (await call(registry)).verdict == Deny("a")


async def test_a_wrapper_runs_round_those_who_come_after_it(
    judges: None, package: Any, opened: Any
) -> None:
    source = """
    class Doubles(Plugin):
        @hookimpl(wrapper=True)
        async def acme_scored(self, payload, context, call_next):
            inner = await call_next(payload.replace(points=4))
            return inner.replace(points=inner.points * 2)
    """
    package("doubles", source, "Doubles")
    plugins = [{"name": "d", "kind": "doubles", "priority": 1}, judge("j", points=1)]
    async with opened("scorer", *plugins) as registry:
        assert (await call(registry)).payload.arguments["points"] == (4 * 10 + 1) * 2


async def test_one_plugin_can_be_asked_alone_as_a_plugin_host_does(
    judges: None, opened: Any, package: Any
) -> None:
    async with opened("scorer", "judge") as registry:
        info = {each.name: each.hooks for each in registry.plugins()}
        assert info == {"scorer": ("tool_pre_invoke",), "judge": ("acme_scored",)}
        payload = registry.hooks.custom["acme_scored"].payload("x")
        outcome = await registry.run("judge", "acme_scored", payload, operation())
    assert outcome.payload.points == 1


async def test_a_module_adds_hooks_as_well(package: Any, opened: Any) -> None:
    package(
        "modular",
        """
        import modular_specs

        @hookimpl
        def register_hooks(registrar):
            registrar.add(modular_specs)
        """,
    )
    package(
        "modular-specs",
        """
        @hookspec
        async def modular_seen(payload: ToolCall, context: Context) -> ToolCall | Deny | None: ...

        class Unused(Plugin):
            @hookimpl
            def modular_seen(self, payload): ...
        """,
        "Unused",
    )
    async with opened("modular", "unused") as registry:
        assert [step.scope.plugin for step in registry.steps("modular_seen")] == ["unused"]


async def test_several_kinds_may_add_the_same_hooks(
    package: Any, scores: None, opened: Any
) -> None:
    package("again", "from acme_scores import Scorer\nclass Again(Scorer): ...", "Again")
    async with opened("scorer", "again") as registry:
        assert registry.hooks.custom["acme_scored"].package == "acme-scores 2.1"


async def test_a_plugin_of_which_the_hook_is_optional_runs_without_it(
    package: Any, opened: Any
) -> None:
    package(
        "optional",
        """
        class Optional(Plugin):
            @hookimpl
            def tool_pre_invoke(self): ...

            @hookimpl(optionalhook=True)
            def acme_scored(self, payload): ...
        """,
        "Optional",
    )
    async with opened("optional") as registry:
        assert [each.name for each in registry.plugins()] == ["optional"]


# refusing


async def problems(opened: Any, *plugins: Any) -> dict[str, str]:
    async with opened(*plugins, strict=False) as registry:
        assert all(problem.fatal for problem in registry.problems)
        return {problem.plugin: problem.message for problem in registry.problems}


async def test_a_misspelt_hook_gets_a_suggestion(package: Any, scores: None, opened: Any) -> None:
    package("typo", "class Typo(Plugin):\n  @hookimpl\n  def acme_scord(self): ...", "Typo")
    found = await problems(opened, "scorer", "typo")
    assert found == {"typo": "there is no hook 'acme_scord'; did you mean 'acme_scored'?"}


async def test_a_hook_of_a_package_that_is_not_configured_does_not_exist(
    judges: None, opened: Any
) -> None:
    found = await problems(opened, "judge")
    expected = "there is no hook 'acme_scored'; if a package adds it, configure one of its plugins"
    assert found == {"judge": expected}


async def test_a_disabled_plugin_adds_no_hook(scores: None, opened: Any) -> None:
    entry = {"name": "scorer", "kind": "scorer", "mode": "disabled"}
    async with opened(entry) as registry:
        assert not registry.hooks.custom


async def test_a_wrong_argument_of_an_implementation_is_refused(
    package: Any, scores: None, opened: Any
) -> None:
    source = "class Odd(Plugin):\n  @hookimpl\n  def acme_scored(self, score): ..."
    package("odd", source, "Odd")
    found = await problems(opened, "scorer", "odd")
    message = "acme_scored: there is no argument 'score'; the hook has payload, context"
    assert found == {"odd": message}


async def test_two_packages_that_add_one_name_clash_and_the_first_one_keeps_it(
    package: Any, scores: None, opened: Any
) -> None:
    other = SCORES.replace("class Scorer", "class Other")
    package("other-scores", other, "Other", version="0.3")
    found = await problems(opened, "other", "scorer")
    assert found.keys() == {"scorer"}
    assert found["scorer"] == (
        "plugin kind 'scorer' (acme-scores 2.1, acme_scores:Scorer): hook 'acme_scored' is already "
        "added by 'other' (other-scores 0.3); remove one of the plugins; one of the packages has "
        "to choose another name"
    )


SPEC = "class Hooks:\n    @hookspec\n    {}\n"
P = "@dataclass(frozen=True, slots=True)\nclass P(Payload):\n    text: str\n"
GOOD = "async def acme(self, payload: P, context: Context) -> P | Deny | None: ..."


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        (GOOD.replace("acme", "tool_pre_invoke"), "'tool_pre_invoke' is one of plugway's own"),
        (GOOD.replace("acme", "plugin_startup"), "'plugin_startup' is one of plugway's own"),
        (GOOD.replace("acme", "_acme"), "'_acme' is no name for a hook; choose one such as"),
        (GOOD.replace("acme", "acme__wrapper"), "'acme__wrapper' is no name for a hook"),
        (GOOD.removeprefix("async "), "'acme' is no `async def`; declare it as `async def acme("),
        (GOOD.replace("payload:", "score:"), "takes score: "),
        (GOOD.replace(", context: Context", ""), "takes payload: "),
        (GOOD.replace("self, ", "self, *, "), "takes "),
        (GOOD.replace(": Context", ""), "has no annotation for 'context'"),
        (GOOD.replace(" -> P | Deny | None", ""), "has no annotation for 'return'"),
        (GOOD.replace("P |", "Respond | P |"), "takes and returns something else"),
        (GOOD.replace("P | Deny", "P"), "-> P | Deny | None`"),
        (GOOD.replace("context: Context", "context: dict"), "takes and returns something else"),
        (GOOD.replace("P", "str"), "takes str, which is no payload; declare it as `@dataclass("),
        (GOOD.replace("P", "Bare"), "takes Bare, which is no payload"),
        (GOOD.replace("P", "Slotless"), "takes Slotless, which is no payload"),
        (GOOD.replace("P", "Child"), "takes Child, which is no payload"),
        (GOOD.replace("P", "Payload"), "takes Payload, which is no payload"),
        (
            GOOD.replace("payload: P", "payload: 'Gone'"),
            "has annotations that can't be read (NameError: name 'Gone'",
        ),
    ],
)
async def test_a_specification_that_could_be_no_chain_is_refused_with_package_and_hook(
    package: Any, opened: Any, spec: str, wrong: str
) -> None:
    others = (
        "class Bare(Payload): ...\n@dataclass(frozen=True)\nclass Slotless(Payload):\n    a: str\n"
        "@dataclass(frozen=True, slots=True)\nclass Child(P):\n    more: str\n"
    )
    package("acme", P + others + SPEC.format(spec) + adding("Hooks"), "Acme")
    message = (await problems(opened, "acme"))["acme"]
    assert message.startswith("plugin kind 'acme' (acme 1.0, acme:Acme): hook '")
    assert wrong in message


def adding(what: str, body: str = "") -> str:
    return f"""
class Acme(Plugin):
    @classmethod
    @hookimpl
    def register_hooks(cls, registrar):
        {body or f"registrar.add({what})"}

    @hookimpl
    def tool_pre_invoke(self): ...
"""


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        (adding("object()"), "adds hooks from an object of type object; add the class itself"),
        (adding("int"), "int, which it adds, declares no hook; mark its functions"),
        (adding("", "raise RuntimeError('s3cret')"), "its register_hooks raised RuntimeError at "),
        (adding("", "import sys; sys.exit(3)"), "its register_hooks raised SystemExit at "),
        (adding("int").replace("@classmethod", ""), "make it a `@staticmethod`"),
        (adding("int").replace("def register", "async def register"), "make it a plain `def`"),
        (adding("int").replace(", registrar", ""), "register_hooks has to take `registrar`"),
        (adding("int").replace("registrar)", "adder)"), "there is no argument 'adder'"),
        (
            SPEC.format(GOOD.replace("P", "ToolCall")).replace(
                "hookspec", "hookspec(firstresult=True)"
            )
            + adding("Hooks"),
            "hook 'acme' is declared with firstresult; leave it out",
        ),
    ],
)
async def test_a_broken_package_says_what_to_do_and_hides_no_other(
    package: Any, scores: None, opened: Any, source: str, wrong: str
) -> None:
    package("acme", source, "Acme")
    found = await problems(opened, "acme", "scorer")
    assert found.keys() == {"acme"}
    assert wrong in found["acme"]
    assert "s3cret" not in found["acme"]


async def test_the_gateway_does_not_start_without_a_guard_whose_hooks_are_broken(
    package: Any, opened: Any
) -> None:
    package("acme", adding("int"), "Acme")
    with pytest.raises(StartupError, match=r"acme: plugin kind 'acme'.* declares no hook"):
        async with opened("acme"):
            pass
    for lenient in ({"mode": "audit"}, {"required": False}):
        async with opened({"name": "acme", "kind": "acme", **lenient}) as registry:
            assert [problem.plugin for problem in registry.problems] == ["acme"]


async def test_of_a_package_with_one_wrong_hook_none_is_added(package: Any, opened: Any) -> None:
    wrong = SPEC.format(GOOD) + "    @hookspec\n    def zebra(self): ...\n"
    package("acme", P + wrong + adding("Hooks"), "Acme")
    async with opened("acme", strict=False) as registry:
        assert not registry.hooks.custom


async def test_hooks_are_added_while_register_hooks_runs_and_not_later(
    package: Any, opened: Any
) -> None:
    late = """
    @hookimpl
    def plugin_startup(self):
        Acme.kept.add(Hooks)
"""
    keeping = adding("", "cls.kept = registrar")
    package("acme", P + SPEC.format(GOOD) + keeping + late, "Acme")
    found = await problems(opened, "acme")
    assert "plugin_startup raised RuntimeError" in found["acme"]


async def test_a_part_may_implement_a_custom_hook_and_its_plugin_may_not(
    package: Any, judges: None, opened: Any
) -> None:
    source = """
    from judge_package import Judge

    class Parted(Plugin):
        def parts(self):
            return [Part("one", Judge(Judge.Config(points=3), name="one"))]

        @hookimpl
        def plugin_startup(self): ...

    class Both(Parted):
        @hookimpl
        def acme_scored(self): ...
    """
    package("parted", source, "Parted", "Both")
    async with opened("scorer", "parted") as registry:
        assert (await call(registry)).payload.arguments["points"] == 3
    found = await problems(opened, "scorer", "both")
    assert "its own acme_scored would never be called" in found["both"]


# firing


FIRES = """
class Fires(Plugin):
    class Config(PluginConfig):
        hook: str

    @hookimpl
    def plugin_startup(self, host):
        self.host = host

    @hookimpl
    async def tool_pre_invoke(self, payload, context):
        await self.host.fire(self.config.hook, payload, context)
"""


@pytest.mark.parametrize(
    ("hook", "wrong"),
    [
        ("acme_scord", "there is no such hook to fire: no configured plugin adds it"),
        ("tool_post_invoke", "only the gateway fires this hook"),
        ("plugin_startup", "there is no such hook to fire"),
        ("acme_scored", "fired with ToolCall; it takes Score"),
    ],
)
async def test_firing_what_can_t_be_fired_is_the_failure_of_the_one_who_does(
    package: Any,
    scores: None,
    opened: Any,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    wrong: str,
) -> None:
    package("fires", FIRES, "Fires")
    entry = {"name": "f", "kind": "fires", "config": {"hook": hook}}
    async with opened("scorer", entry) as registry:
        outcome = await call(registry)
    assert outcome.plugin == "f"
    assert outcome.verdict.code == "plugin_error"
    assert wrong in caplog.text


async def test_hooks_that_fire_themselves_end_with_a_plugin_error(
    package: Any, scores: None, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
    class Echo(Plugin):
        turns = 0

        @hookimpl
        def plugin_startup(self, host):
            self.host = host

        @hookimpl
        async def acme_scored(self, payload, context):
            Echo.turns += 1
            again = await self.host.fire("acme_scored", payload, context)
            return again.verdict
    """
    package("echo", source, "Echo")
    async with opened("scorer", "echo") as registry:
        for turns in (8, 16):
            outcome = await call(registry)
            assert outcome.plugin == "scorer"
            assert outcome.verdict.code == "plugin_error"
            echo = next(i.plugin for i in registry.instances if i.name == "echo")
            assert echo.turns == turns
    assert "fired inside acme_scored > acme_scored > " in caplog.text
    assert "hooks may be 8 deep" in caplog.text


async def test_a_plugin_can_ask_whether_anybody_would_hear_it(judges: None, opened: Any) -> None:
    for others, heard in ([], False), (["judge"], True), ([judge("j", mode="background")], True):
        async with opened("scorer", *others) as registry:
            host = next(i.plugin for i in registry.instances if i.name == "scorer").host
            context = Context(operation(), Scope("scorer"))
            assert host.implemented("acme_scored", context) is heard
            with pytest.raises(PluginError, match="no such hook"):
                host.implemented("acme_scord", context)


async def test_the_context_of_the_one_who_fires_gives_the_operation(
    judges: None, opened: Any
) -> None:
    async with opened("scorer", judge("j", does="deny")) as registry:
        host = next(i.plugin for i in registry.instances if i.name == "scorer").host
        payload = registry.hooks.custom["acme_scored"].payload("x")
        about = operation()
        outcome = await host.fire("acme_scored", payload, Context(about, Scope("scorer")))
    assert outcome.plugin == "j"
    assert outcome.payload is payload
    assert [finding.plugin for finding in about.findings] == ["j"]
