from functools import partial, wraps
from typing import Any

import pytest

from plugway.errors import ChainError, PluginSetupError
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.methods import HOOKS, UNWRAPPED
from plugway_hookspecs import Context, Mode, Operation, ToolCall, hookimpl

CALL = ToolCall("echo")


async def call(plugin: object) -> object:
    """Return what the plugin made of the payload: the arguments that it was given."""
    chain = compile_chains([("p", plugin, Policy())])["tool_pre_invoke"]
    outcome = await chain(CALL, Operation("1", "tools/call", "echo"))
    return outcome.payload.arguments.get("given")


def given(payload: ToolCall | None = None, context: Context | None = None) -> ToolCall:
    names = [name for name, value in (("payload", payload), ("context", context)) if value]
    return CALL.replace(arguments={"given": names})


class Both:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        return given(payload, context)


class Turned:
    @hookimpl
    async def tool_pre_invoke(self, context: Context, payload: ToolCall) -> ToolCall:
        assert isinstance(context, Context)
        assert isinstance(payload, ToolCall)
        return given(payload, context)


class OnlyPayload:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
        return given(payload)


class OnlyContext:
    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> ToolCall:
        return given(context=context)


class Nothing:
    @hookimpl
    async def tool_pre_invoke(self) -> ToolCall:
        return given()


class Plain:
    @hookimpl
    def tool_pre_invoke(self, context: Context, payload: ToolCall) -> ToolCall:
        return given(payload, context)


class PlainNothing:
    @hookimpl
    def tool_pre_invoke(self) -> ToolCall:
        return given()


class Static:
    @staticmethod
    @hookimpl
    async def tool_pre_invoke(payload: ToolCall) -> ToolCall:
        return given(payload)


class OtherName:
    @hookimpl(specname="tool_pre_invoke")
    async def look(self, payload: ToolCall) -> ToolCall:
        return given(payload)


class Default:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context | None = None) -> ToolCall:
        return given(payload, context)


@pytest.mark.parametrize(
    ("plugin", "names"),
    [
        (Both(), ["payload", "context"]),
        (Turned(), ["payload", "context"]),
        (OnlyPayload(), ["payload"]),
        (OnlyContext(), ["context"]),
        (Nothing(), []),
        (Plain(), ["payload", "context"]),
        (PlainNothing(), []),
        (Static(), ["payload"]),
        (OtherName(), ["payload"]),
        (Default(), ["payload", "context"]),
    ],
)
async def test_a_hook_takes_what_it_asks_for(plugin: object, names: list[str]) -> None:
    assert await call(plugin) == names


class Wrapper:
    @hookimpl(wrapper=True)
    def tool_pre_invoke(self) -> Any:
        yield


class NotAnArgument:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, request: object) -> None:
        return None


class WithDefault:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, limit: int = 3) -> None:
        return None


class ByKeyword:
    @hookimpl
    async def tool_pre_invoke(self, *, payload: ToolCall) -> None:
        return None


class Async:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> None:
        return None


@pytest.mark.parametrize(
    ("plugin", "policy", "message"),
    [
        (Wrapper(), Policy(), "a wrapper is `async def`"),
        (Async, Policy(), "register an instance, not a class"),
        (WithDefault(), Policy(), "takes payload, limit; the hook gives payload and context"),
        (ByKeyword(), Policy(), "the argument 'payload: .*ToolCall' must be positional"),
        (Plain(), Policy(timeout=1), "a timeout can't stop a plain def: make it async, or say"),
        (Async(), Policy(threaded=True), "'threaded: true' is for a plain def that blocks"),
    ],
)
def test_what_could_only_fail_at_the_first_call_is_refused(
    plugin: object, policy: Policy, message: str
) -> None:
    with pytest.raises(ChainError, match=f"^tool_pre_invoke: {message}") as caught:
        compile_chains([("mine", plugin, policy)])
    assert caught.value.plugin == "mine"
    assert caught.value.hook == "tool_pre_invoke"


@pytest.mark.parametrize("hook", sorted(UNWRAPPED))
def test_a_wrapper_with_no_call_to_be_round_is_refused(hook: str) -> None:
    async def wrap(payload: Any, call_next: Any) -> Any:
        return await call_next(payload)

    plugin = type("Wraps", (), {hook: staticmethod(hookimpl(wrapper=True)(wrap))})()
    with pytest.raises(ChainError, match=f"^{hook}: {UNWRAPPED[hook]}: leave out"):
        compile_chains([("mine", plugin, Policy())])


def test_an_argument_that_the_hook_does_not_have_is_named() -> None:
    with pytest.raises(PluginSetupError, match="request") as caught:
        compile_chains([("mine", NotAnArgument(), Policy())])
    assert caught.value.plugin == "mine"


def test_one_name_for_two_plugins_is_refused_without_showing_the_plugins() -> None:
    class Secretive(Async):
        def __repr__(self) -> str:
            return "s3cret"

    with pytest.raises(PluginSetupError, match="two plugins 'p'") as caught:
        compile_chains([("p", Secretive(), Policy()), ("p", Secretive(), Policy())])
    assert "s3cret" not in str(caught.value)
    one = Secretive()
    with pytest.raises(PluginSetupError, match="one object stands for two"):
        compile_chains([("a", one, Policy()), ("b", one, Policy())])


def test_every_hook_has_a_chain_and_an_empty_one_is_false() -> None:
    chains = compile_chains([])
    assert chains.keys() == HOOKS.keys()
    assert not any(chains.values())
    chains = compile_chains([("p", Async(), Policy()), ("b", Both(), Policy(Mode.BACKGROUND))])
    assert [hook for hook, chain in chains.items() if chain] == ["tool_pre_invoke"]
    assert bool(compile_chains([("b", Both(), Policy(Mode.BACKGROUND))])["tool_pre_invoke"])


def test_lower_priority_comes_first_and_ties_keep_the_order_of_the_configuration() -> None:
    plugins = [("a", 5), ("b", 1), ("c", 5), ("d", -1), ("e", 1)]
    chain = compile_chains([(name, Async(), Policy(priority=at)) for name, at in plugins])[
        "tool_pre_invoke"
    ]
    assert [step.scope.plugin for step in chain.steps] == ["d", "b", "e", "a", "c"]


def test_pluggys_own_order_decides_between_equals() -> None:
    class Last:
        @hookimpl(trylast=True)
        async def tool_pre_invoke(self) -> None:
            return None

    class First:
        @hookimpl(tryfirst=True)
        async def tool_pre_invoke(self) -> None:
            return None

    plugins: list[tuple[str, object, Policy]] = [
        ("last", Last(), Policy()),
        ("middle", Async(), Policy()),
        ("first", First(), Policy()),
        ("late", First(), Policy(priority=101)),
    ]
    chain = compile_chains(plugins)["tool_pre_invoke"]
    assert [step.scope.plugin for step in chain.steps] == ["first", "middle", "last", "late"]


def test_neighbouring_validators_become_one_step() -> None:
    modes = [Mode.VALIDATE, Mode.VALIDATE, Mode.AUDIT, Mode.VALIDATE]
    chain = compile_chains([(f"p{n}", Async(), Policy(mode)) for n, mode in enumerate(modes)])[
        "tool_pre_invoke"
    ]
    assert [[m.scope.plugin for m in step.members] for step in chain.steps] == [
        ["p0", "p1"],
        [],
        [],
    ]


async def test_a_decorated_async_hook_is_still_async() -> None:
    def decorated(function: Any) -> Any:
        @wraps(function)
        async def wrapper(*args: Any) -> Any:
            return await function(*args)

        return wrapper

    class Decorated:
        @hookimpl
        @decorated
        async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return given(payload)

    assert await call(Decorated()) == ["payload"]


def test_a_chain_knows_whether_it_guards_an_operation() -> None:
    def chain(policy: Policy) -> Any:
        return compile_chains([("p", Async(), policy)])["tool_pre_invoke"]

    echo, other = Operation("1", "tools/call", "echo"), Operation("2", "tools/call", "other")
    only = partial(Policy, when=lambda op: op.name == "echo")
    for mode in (Mode.ENFORCE, Mode.TRANSFORM, Mode.VALIDATE):
        assert chain(Policy(mode)).guards(other)
        assert chain(only(mode)).guards(echo)
        assert not chain(only(mode)).guards(other)
    for mode in (Mode.AUDIT, Mode.BACKGROUND, Mode.DISABLED):
        assert not chain(Policy(mode)).guards(echo)
    two = compile_chains([(n, Async(), only(Mode.VALIDATE)) for n in "ab"])["tool_pre_invoke"]
    assert two.guards(echo)
    assert not two.guards(other)
