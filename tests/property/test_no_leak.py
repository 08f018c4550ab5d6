"""Whatever a plugin tries, nobody else sees a payload that it changed in place."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

from bounds import at_most
from hypothesis import given
from hypothesis import strategies as st

from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway_hookspecs import (
    Client,
    Context,
    FrozenDict,
    Mode,
    OnError,
    Operation,
    Outcome,
    Payload,
    Principal,
    Respond,
    ToolCall,
    ToolResult,
    freeze,
    hookimpl,
)
from plugway_hookspecs.context import READ_HEADERS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4)
MODES = st.sampled_from([mode for mode in Mode if mode is not Mode.DISABLED])


def containers(value: Any) -> list[Any]:
    """Every object and array in a value, itself included."""
    if isinstance(value, Payload):
        return [c for f in fields(value) for c in containers(getattr(value, f.name))]
    if not isinstance(value, dict | list):
        return []
    inner: list[Any] = [*(value.values() if isinstance(value, dict) else value)]
    return [value, *(found for item in inner for found in containers(item))]


CHANGES: list[Callable[[Any], Any]] = [
    lambda c: c.clear(),
    lambda c: c.pop(),
    lambda c: c.popitem(),
    lambda c: c.__init__([("evil", 1)]),
    lambda c: c.__setitem__(next(iter(c)), "evil"),
    lambda c: c.__setitem__(0, "evil"),
    lambda c: c.__delitem__(next(iter(c))),
    lambda c: c.__ior__({"evil": 1}),
    lambda c: c.__iadd__(["evil"]),
    lambda c: c.__imul__(2),
    lambda c: c.update(evil=1),
    lambda c: c.setdefault("evil", 1),
    lambda c: c.append("evil"),
    lambda c: c.extend(["evil"]),
    lambda c: c.insert(0, "evil"),
    lambda c: c.remove(c[0]),
    lambda c: c.reverse(),
    lambda c: c.sort(key=repr, reverse=True),
]


def attack(values: list[Any], changes: list[Callable[[Any], Any]]) -> None:
    """Try every change on every container that can be reached."""
    for container in [c for value in values for c in containers(value)]:
        for change in changes:
            try:
                change(container)
            except (TypeError, AttributeError, LookupError, StopIteration, ValueError):
                continue


class VandalismError(Exception):
    """What a vandal raises."""


def rebuilt(payload: Any, how: str, mine: Any) -> Any:
    """Return a payload that the vandal made, out of containers that it keeps."""
    name = "arguments" if isinstance(payload, ToolCall) else "meta"
    made: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "replace": lambda: payload.replace(**{name: mine}),
        "wrapped": lambda: payload.replace(**{name: FrozenDict({"mine": mine})}),
        "deep copy": lambda: copy.deepcopy(payload),
        "copy": lambda: copy.copy(payload),
        "new": lambda: type(payload)(**{**_fields(payload), name: mine}),
        "respond": lambda: Respond(ToolResult(meta=mine)),
    }
    if how == "raise":
        raise VandalismError
    return made[how]()


def _fields(payload: Payload) -> dict[str, Any]:
    return {field.name: getattr(payload, field.name) for field in fields(payload)}


HOW = st.sampled_from(
    ["nothing", "replace", "wrapped", "deep copy", "copy", "new", "respond", "raise"]
)


class Vandal:
    """Changes what it can reach, now and (through what it keeps) later."""

    def __init__(self, how: str, mine: Any, changes: list[Callable[[Any], Any]]) -> None:
        self.how, self.mine, self.changes = how, mine, changes
        self.kept: list[Any] = []

    def act(self, payload: Any, context: Context) -> Any:
        shown: list[Any] = [
            payload,
            context.definition,
            context.request,
            context.headers,
            context.trace,
            context.principal.claims,
            context.client.capabilities,
        ]
        attack(shown, self.changes)
        answer = rebuilt(payload, self.how, self.mine)
        self.kept += [*shown, answer.result if isinstance(answer, Respond) else answer, self.mine]
        attack([answer], self.changes)
        return answer

    def act_later(self) -> None:
        attack(self.kept, self.changes)


class VandalWithin(Vandal):
    """An ordinary plugin."""

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        return self.act(payload, context)

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> Any:
        return self.act(payload, context)


class VandalAround(Vandal):
    """Wraps the rest: it also reaches what goes in there, and what comes out."""

    async def around(self, payload: Any, context: Context, call_next: Any) -> Any:
        own = self.act(payload, context)
        came = await call_next(own if isinstance(own, type(payload)) else payload)
        attack([came, context.shared.get("theirs")], self.changes)
        context.shared["mine"] = self.mine
        self.kept += [came, context.shared, context.shared["mine"]]
        attack([context.shared["mine"]], self.changes)
        return own.result if isinstance(own, Respond) else came

    @hookimpl(wrapper=True)
    async def tool_pre_invoke(self, payload: ToolCall, context: Context, call_next: Any) -> Any:
        return await self.around(payload, context, call_next)

    @hookimpl(wrapper=True)
    async def tool_post_invoke(self, payload: ToolResult, context: Context, call_next: Any) -> Any:
        return await self.around(payload, context, call_next)


class Witness:
    """Notes what it sees, and what that looked like then."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, str]] = []

    def note(self, payload: Any, context: Context) -> None:
        for value in (payload, context.definition, context.headers, context.principal.claims):
            self.seen.append((value, repr(value)))

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        self.note(payload, context)

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        self.note(payload, context)

    def unchanged(self) -> bool:
        return all(repr(value) == before for value, before in self.seen)


READS = frozenset({READ_HEADERS})
HOOKS = st.sampled_from(["tool_pre_invoke", "tool_post_invoke"])
ANY_CHANGES = st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6)


def original_of(hook: str, arguments: dict[str, Any]) -> Any:
    if hook == "tool_pre_invoke":
        return ToolCall("echo", arguments)
    return ToolResult([{"type": "x", "x": arguments}], structured_content=arguments)


def operation_of(arguments: dict[str, Any]) -> Operation:
    return Operation(
        "1",
        "tools/call",
        definition=freeze({"name": "echo", "inputSchema": arguments}),
        request=ToolCall("echo", arguments),
        principal=Principal(claims={"roles": ["a"]}),
        client=Client(capabilities={"roots": {}}),
        headers={"user-agent": "x"},
        trace={"traceparent": "00-1"},
    )


@at_most(5_000)
@given(
    arguments=OBJECTS,
    mine=OBJECTS,
    how=HOW,
    mode=MODES,
    on_error=st.sampled_from(OnError),
    hook=HOOKS,
    changes=ANY_CHANGES,
)
async def test_no_mode_leaks_a_mutation(
    arguments: dict[str, Any],
    mine: dict[str, Any],
    how: str,
    mode: Mode,
    on_error: OnError,
    hook: str,
    changes: list[Callable[[Any], Any]],
) -> None:
    vandal, before, after = VandalWithin(how, mine, changes), Witness(), Witness()
    background: list[tuple[Any, Any, Any]] = []
    chain = compile_chains(
        [
            ("before", before, Policy(Mode.AUDIT, priority=1, capabilities=READS)),
            ("vandal", vandal, Policy(mode, on_error, priority=2, capabilities=READS)),
            ("after", after, Policy(Mode.AUDIT, priority=3, capabilities=READS)),
        ],
        offer=lambda *work: background.append(work) or True,  # type: ignore[func-returns-value]
    )[hook]
    original, operation = original_of(hook, arguments), operation_of(arguments)
    looked_like = repr(original)
    given_by_vandal = repr(mine)

    outcome = await chain(original, operation)
    for step, payload, done_for in background:
        with suppress(VandalismError):
            await step.call(payload, Context(done_for, step.scope))
    sent = repr(outcome.payload.to_wire())
    vandal.act_later()

    assert repr(original) == looked_like
    assert repr(outcome.payload.to_wire()) == sent
    assert before.unchanged()
    assert after.unchanged()
    assert before.seen[0][0] is original
    if how in {"nothing", "raise", "copy", "deep copy"} or mode not in {
        Mode.ENFORCE,
        Mode.TRANSFORM,
    }:
        assert repr(outcome.payload) == looked_like
    elif isinstance(outcome.verdict, Respond):
        assert repr(outcome.verdict.result.to_wire()["_meta"]) == given_by_vandal


@at_most(5_000)
@given(
    arguments=OBJECTS,
    mine=OBJECTS,
    how=HOW,
    mode=MODES.filter(lambda mode: mode is not Mode.BACKGROUND),
    hook=HOOKS,
    changes=ANY_CHANGES,
)
async def test_no_wrapper_leaks_a_mutation(
    arguments: dict[str, Any],
    mine: dict[str, Any],
    how: str,
    mode: Mode,
    hook: str,
    changes: list[Callable[[Any], Any]],
) -> None:
    vandal, before, after = VandalAround(how, mine, changes), Witness(), Witness()
    chain = compile_chains(
        [
            ("before", before, Policy(Mode.AUDIT, priority=1, capabilities=READS)),
            ("vandal", vandal, Policy(mode, OnError.IGNORE, priority=2, capabilities=READS)),
            ("after", after, Policy(Mode.AUDIT, priority=3, capabilities=READS)),
        ],
    )[hook]
    original, operation = original_of(hook, arguments), operation_of(arguments)
    operation.shared["theirs"] = freeze({"a": [arguments]})
    result = original_of("tool_post_invoke", arguments)
    looked_like = repr((original, result, operation.shared["theirs"]))
    asked: list[tuple[Any, str]] = []

    async def server(payload: ToolCall) -> Outcome[Any]:
        asked.append((payload, repr(payload)))
        return Outcome(payload, Respond(result))

    post = hook == "tool_post_invoke"
    outcome = await chain(original, operation, None if post else server)
    shared = repr(operation.shared)
    came = outcome.verdict.result if isinstance(outcome.verdict, Respond) else outcome.payload
    sent = repr(came.to_wire())
    vandal.act_later()

    assert repr((original, result, operation.shared["theirs"])) == looked_like
    assert all(repr(payload) == then for payload, then in asked)
    assert len(asked) == (0 if post else 1)
    assert (repr(came.to_wire()), repr(operation.shared)) == (sent, shared)
    assert before.unchanged()
    assert after.unchanged()
    if mode not in {Mode.ENFORCE, Mode.TRANSFORM}:
        assert came is (original if post else result)
        assert all(payload is original for payload, _ in asked)
