import random
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.executor.steps import Policy
from plugway_builtin_plugins.result_cache import ResultCache
from plugway_builtin_plugins.result_cache.memory import Memory, key_of
from plugway_hookspecs import (
    CallNext,
    Context,
    Deny,
    Mode,
    Operation,
    Principal,
    Respond,
    Scope,
    ServerError,
    ServerUnavailableError,
    ToolCall,
    ToolResult,
    hookimpl,
)

Make = Callable[..., Any]
LAST = Policy(priority=200)
MISS, HIT = ("cache", "miss"), ("cache", "hit")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def cache(clock: Callable[[], float] | None = None, **config: Any) -> ResultCache:
    settings = ResultCache.Config.model_validate(config)
    return ResultCache(settings, name="cache", clock=clock or Clock())


def text(*words: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(word)} for word in words]}


def counting() -> Callable[[], dict[str, Any]]:
    """Make a server's answers, each of which says which one it is."""
    answers = iter(range(1000))
    return lambda: text(next(answers))


class Renames:
    """Sends calls of one tool to another one."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> ToolCall | None:
        return payload.replace(name=self.new) if payload.name == self.old else None


# what is answered from memory


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "s__find", "arguments": {"x": 1}}),
        ("prompts/get", {"name": "s__p"}),
        ("resources/read", {"uri": "s+file:///r"}),
    ],
)
async def test_a_repeated_request_is_answered_from_memory(
    gateway: Make, method: str, params: dict[str, Any]
) -> None:
    gate = gateway(cache())
    gate.server.answer = {"content": [], "messages": [], "contents": [], "x-vendor": [1, None]}
    first = await gate.ask(method, params)
    assert await gate.ask(method, params) == first
    assert first["x-vendor"] == [1, None]
    assert len(gate.server.asked) == 1
    assert gate.findings == [MISS, HIT]


@pytest.mark.parametrize(
    ("config", "answered"),
    [
        ({}, {"s__find"}),
        ({"annotated": False}, set[str]()),
        ({"tools": ["*__send", "t__*"]}, {"s__find", "s__send"}),
        ({"tools": ["s__wrong"], "annotated": False}, {"s__wrong"}),
    ],
)
async def test_only_tools_that_only_read_or_are_named_are_answered_from_memory(
    gateway: Make, config: dict[str, Any], answered: set[str]
) -> None:
    gate = gateway(cache(**config))
    for tool in ("find", "put", "send", "odd", "odder", "vague", "wrong"):
        gate.server.asked.clear()
        await gate.call(f"s__{tool}")
        await gate.call(f"s__{tool}")
        assert (len(gate.server.asked) == 1) == (f"s__{tool}" in answered), tool


async def test_a_hit_is_for_the_very_same_question_only(gateway: Make) -> None:
    gate = gateway(cache(tools=["*"]))
    ann, bob = Principal("ann"), Principal("bob")
    different: list[tuple[str, Any, Any]] = [
        *[("s__find", {"x": x}, ann) for x in (1, 1.0, True, "1", None, [1], {"x": 1}, 0.0, -0.0)],
        ("s__find", {}, ann),
        ("s__find", {"x": 1, "y": 1}, ann),
        ("s__send", {"x": 1}, ann),
        ("t__find", {"x": 1}, ann),
        ("s__find", {"x": 1}, bob),
        ("s__find", {"x": 1}, None),
        ("s__find", {"x": 1}, Principal("ann", tenant="a")),
        ("s__find", {"x": 1}, Principal(tenant="ann")),
        ("s__find", {"x": 1}, Principal("ann", groups=("admins",))),
    ]
    for _ in range(2):
        for tool, arguments, user in different:
            await gate.call(tool, arguments, user=user)
    await gate.call("s__find", {"x": 1}, user=ann, _meta={"example/key": 1})
    assert gate.findings == [MISS] * len(different) + [HIT] * len(different) + [MISS]


async def test_the_order_of_arguments_makes_no_difference(gateway: Make) -> None:
    gate = gateway(cache())
    await gate.call(arguments={"a": 1, "b": {"c": 1, "d": 2}})
    await gate.call(arguments={"b": {"d": 2, "c": 1}, "a": 1})
    assert gate.findings == [MISS, HIT]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_questions_have_one_key_if_they_are_the_same_json(one: Any, other: Any) -> None:
    def typed(value: Any) -> Any:
        """Return what is equal to another's if, and only if, they are the same JSON."""
        kind = type(value).__name__
        if kind == "dict":
            return {key: typed(value[key]) for key in value}
        if kind == "list":
            return [typed(inner) for inner in value]
        return repr(value)

    context = Context(Operation("1", "tools/call", server="s"), Scope("cache"))
    keys = [key_of(ToolCall("a", {"x": value}), context) for value in (one, other)]
    assert (keys[0] == keys[1]) == (typed(one) == typed(other))


@pytest.mark.parametrize("field", ["inputResponses", "task", "x-vendor"])
async def test_a_request_that_is_more_than_a_question_goes_to_the_server(
    gateway: Make, field: str
) -> None:
    gate = gateway(cache(tools=["s__send"]))
    await gate.call("s__send")
    for _ in range(2):
        await gate.call("s__send", **{field: {}})
    await gate.call("s__send")
    assert len(gate.server.asked) == 3
    assert gate.findings == [MISS, HIT]


# what is not remembered


@pytest.mark.parametrize(
    "answer",
    [
        {**text("no"), "isError": True},
        ServerError("busy", server="s", code=1),
        ServerUnavailableError("away", server="s"),
        {"resultType": "input_required", "inputRequests": {}},
        {"resultType": "task", **text("later")},
        {"task": {"taskId": "1"}, **text("later")},
        {**text("x"), "ttlMs": 0},
        {**text("x"), "ttlMs": -1},
        {**text("x"), "ttlMs": None},
        {**text("x"), "ttlMs": "60000"},
        {**text("x"), "ttlMs": True},
        {**text("x"), "cacheScope": "none", "ttlMs": 1000},
        {**text("x"), "cacheScope": ["public"]},
        {**text("x"), "cacheScope": None},
    ],
)
async def test_what_may_not_be_repeated_is_not_remembered(gateway: Make, answer: Any) -> None:
    gate = gateway(cache())
    gate.server.answer = answer
    for _ in range(2):
        if isinstance(answer, Exception):
            await gate.refusal()
        else:
            assert "plugway/denied" not in (await gate.call())["_meta"]
    assert gate.findings == [MISS, MISS]
    assert len(gate.server.asked) == 2


@pytest.mark.parametrize("asks", [False, True])
async def test_a_deny_inside_is_not_remembered(gateway: Make, asks: bool) -> None:
    verdicts = [Deny("not yet")]

    class Once:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            answer = await call_next(payload) if asks or not verdicts else verdicts[0]
            return verdicts.pop() if verdicts else answer

    gate = gateway(cache(), Once())
    assert (await gate.call())["content"] == text("Denied: not yet")["content"]
    assert "isError" not in await gate.call()
    assert gate.findings == [MISS, MISS]


async def test_the_answer_to_a_question_that_a_later_plugin_changed_is_not_remembered(
    gateway: Make,
) -> None:
    class Changes:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"x": 2})

    class Answers:
        @hookimpl
        def tool_pre_invoke(self) -> Respond:
            return Respond(ToolResult())

    for later in (Changes(), Answers()):
        gate = gateway(cache(), later)
        await gate.call()
        await gate.call()
        assert gate.findings == [MISS, MISS]


async def test_what_a_later_plugin_renames_passes_the_guards_of_the_new_name_every_time(
    gateway: Make,
) -> None:
    seen: list[str] = []

    class Guard:
        @hookimpl
        def tool_post_invoke(self, context: Context) -> None:
            seen.append(context.name)

    only_send = Policy(when=lambda operation: operation.name == "s__send")
    gate = gateway(cache(), Renames("s__find", "s__send"), (Guard(), only_send))
    await gate.call()
    await gate.call()
    assert seen == ["s__send", "s__send"]


async def test_what_an_earlier_plugin_renames_is_judged_by_its_new_name(gateway: Make) -> None:
    gate = gateway((cache(), LAST), Renames("s__find", "s__send"))
    await gate.call()
    await gate.call()
    assert gate.server.asked == ["send", "send"]
    assert gate.findings == []


# how long


async def test_an_answer_is_repeated_until_it_is_too_old(gateway: Make) -> None:
    clock = Clock()
    gate = gateway(cache(clock, ttl=10))
    await gate.call()
    clock.now = 9.9
    await gate.call()
    clock.now = 10.0
    await gate.call()
    assert gate.findings == [MISS, HIT, MISS]


@pytest.mark.parametrize(("granted", "seconds"), [(2000, 2.0), (60_000, 10.0), (10**400, 10.0)])
async def test_the_servers_time_is_an_upper_bound(
    gateway: Make, granted: int, seconds: float
) -> None:
    clock = Clock()
    gate = gateway(cache(clock, ttl=10))
    gate.server.answer = {"contents": [], "ttlMs": granted, "cacheScope": "private"}
    for now in (0.0, seconds - 0.5, seconds):
        clock.now = now
        await gate.ask("resources/read", {"uri": "s+file:///r"})
    assert gate.findings == [MISS, HIT, MISS]


async def test_clients_are_granted_what_is_left_of_the_servers_time(gateway: Make) -> None:
    clock = Clock()
    gate = gateway(cache(clock))
    gate.server.answer = {"contents": [], "ttlMs": 5000, "cacheScope": "private", "x": 1}
    first = await gate.ask("resources/read", {"uri": "s+file:///r"})
    clock.now = 3.5
    assert await gate.ask("resources/read", {"uri": "s+file:///r"}) == {**first, "ttlMs": 1500}


async def test_a_changed_definition_makes_a_new_question(gateway: Make) -> None:
    gate = gateway(cache())
    await gate.call()
    gate.server.lists["tools"] = [{"name": "find", "annotations": {"readOnlyHint": True}, "x": 1}]
    for listener in gate.server.listeners:
        listener("notifications/tools/list_changed")
    await gate.ask("tools/list", {})
    await gate.call()
    assert gate.findings == [MISS, MISS]


# writes


async def test_a_call_that_may_change_something_makes_its_servers_answers_forgotten(
    gateway: Make,
) -> None:
    gate = gateway(cache())
    for tool in ("s__find", "t__find", "s__send", "s__find", "t__find"):
        await gate.call(tool)
    assert gate.findings == [MISS, MISS, MISS, HIT]


async def test_so_does_one_that_failed_but_none_that_was_found_to_be_harmless(
    gateway: Make,
) -> None:
    gate = gateway(cache(annotated=False, tools=["s__odd"]))
    await gate.call("s__odd")
    await gate.call("s__find")
    await gate.call("s__odd", task="x")
    await gate.call("s__odd")
    gate.server.answer = ServerUnavailableError("away", server="s")
    await gate.refusal("s__send")
    await gate.refusal("s__odd")
    assert gate.findings == [MISS, HIT, MISS]


async def test_answers_can_be_kept_in_spite_of_writes(gateway: Make) -> None:
    gate = gateway(cache(forget_on_writes=False))
    for tool in ("s__find", "s__send", "s__find"):
        await gate.call(tool)
    assert gate.findings == [MISS, HIT]


async def test_what_was_read_while_something_changed_is_not_remembered(gateway: Make) -> None:
    gate, written = gateway(cache()), anyio.Event()

    async def slowly() -> dict[str, Any]:
        await written.wait()
        return text("old")

    gate.server.answer = slowly
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.call)
        await until(lambda: gate.server.asked == ["find"])
        gate.server.answer = lambda: text("new")
        await gate.call("s__send")
        written.set()
    assert (await gate.call())["content"] == text("new")["content"]
    assert gate.findings == [MISS, MISS]


# asking once


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something has come about."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


class Held:
    """A server's answers, which come when they are let go."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.go = anyio.Event()

    async def __call__(self) -> Any:
        answer = self.make()
        await self.go.wait()
        return answer


async def settle() -> None:
    """Let every task come to where it has to wait."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def test_concurrent_requests_ask_once(gateway: Make) -> None:
    gate = gateway(cache())
    gate.server.answer = held = Held(counting())
    results: list[Any] = []

    async def ask() -> None:
        results.append(await gate.call())

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
        await settle()
        held.go.set()
    assert len(gate.server.asked) == 1
    assert results == [results[0]] * 10
    assert sorted(gate.findings) == [HIT] * 9 + [MISS]


async def test_others_are_not_kept_waiting_by_another_question(gateway: Make) -> None:
    gate = gateway(cache())
    gate.server.answer = held = Held(counting())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.call)
        tasks.start_soon(gate.call, "s__find", {"x": 1})
        await until(lambda: len(gate.server.asked) == 2)
        held.go.set()


async def test_when_the_request_that_asks_is_cancelled_one_of_those_that_wait_asks(
    gateway: Make,
) -> None:
    gate = gateway(cache())
    gate.server.answer = held = Held(counting())
    results: list[Any] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            results.append(await gate.call())

    scopes = [anyio.CancelScope() for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for scope in scopes:
            tasks.start_soon(ask, scope)
        await settle()
        scopes[0].cancel()
        scopes[3].cancel()
        await until(lambda: len(gate.server.asked) == 2)
        await settle()
        held.go.set()
    assert len(gate.server.asked) == 2
    assert [result["content"] for result in results] == [text(1)["content"]] * 3


async def test_when_the_answer_cannot_be_shared_all_ask_at_the_same_time(gateway: Make) -> None:
    gate = gateway(cache())
    gate.server.answer = held = Held(lambda: ServerUnavailableError("away", server="s"))
    results: list[Any] = []

    async def ask() -> None:
        results.append((await gate.call())["content"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gate.refusal)
        for _ in range(4):
            tasks.start_soon(ask)
        await settle()
        assert len(gate.server.asked) == 1
        gate.server.answer = again = Held(lambda: {**text("no"), "isError": True})
        held.go.set()
        await until(lambda: len(gate.server.asked) == 5)
        again.go.set()
    assert results == [text("no")["content"]] * 4
    assert gate.findings == [MISS] * 5


async def test_a_request_does_not_wait_for_itself_wherever_plugins_send_it(gateway: Make) -> None:
    class Wanders:
        """Tries another name, and then one that leads back to the first question."""

        begun = False

        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            if payload.arguments:
                return await call_next(ToolCall("s__find"))
            if self.begun:
                return await call_next(payload)
            self.begun = True
            await call_next(ToolCall("t__find"))
            return await call_next(ToolCall("t__send", {"back": True}))

    gate = gateway(cache(), Wanders())
    await gate.ask("tools/call", {"name": "s__find"})
    assert (gate.server.asked, gate.servers["t"].asked) == (["find"], ["find"])


def test_servers_that_are_asked_the_same_have_answers_of_their_own() -> None:
    contexts = [Context(Operation("1", "tools/call", server=s), Scope("cache")) for s in "st"]
    keys = {key_of(ToolCall("a"), context) for context in contexts}
    assert len(keys) == 2


# among other plugins


async def test_the_post_chain_sees_every_answer_as_the_server_gave_it(gateway: Make) -> None:
    seen: list[Any] = []

    class Signs:
        @hookimpl
        def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            seen.append(payload)
            return payload.replace(meta={"by": len(seen)})

    gate = gateway(cache(), Signs())
    results = [await gate.call() for _ in range(2)]
    assert [result["_meta"]["by"] for result in results] == [1, 2]
    assert seen[0] == seen[1]
    assert gate.findings == [MISS, HIT]


async def test_the_question_is_what_earlier_plugins_left_of_it(gateway: Make) -> None:
    class Masks:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"mail": "***"})

    gate = gateway((cache(), LAST), Masks())
    await gate.call(arguments={"mail": "ann@example.com"})
    await gate.call(arguments={"mail": "bob@example.com"})
    assert gate.findings == [MISS, HIT]


async def test_an_earlier_guard_is_asked_about_every_request(gateway: Make) -> None:
    class Closes:
        @hookimpl
        def tool_pre_invoke(self) -> Deny | None:
            return Deny("closed") if gate.server.asked else None

    gate = gateway((cache(), LAST), Closes())
    await gate.call()
    assert (await gate.call())["isError"]


async def test_in_audit_mode_it_answers_nothing(gateway: Make) -> None:
    gate = gateway((cache(), Policy(Mode.AUDIT)))
    await gate.call()
    await gate.call()
    assert len(gate.server.asked) == 2
    assert gate.findings == [MISS, HIT]


# room


async def test_the_answers_asked_for_least_recently_make_room(gateway: Make) -> None:
    gate = gateway(cache(max_entries=2))
    for x in (1, 2, 1, 3, 1, 2):
        await gate.call(arguments={"x": x})
    assert gate.findings == [MISS, MISS, HIT, MISS, HIT, MISS]


async def test_answers_take_no_more_bytes_than_they_may(gateway: Make) -> None:
    gate = gateway(cache(max_bytes=1000))
    for size in (300, 300, 2000, 300, 900):
        gate.server.answer = text("x" * size)
        await gate.call(arguments={"size": size})
    await gate.call(arguments={"size": 300})
    assert gate.findings == [MISS, HIT, MISS, HIT, MISS, MISS]


def test_a_memory_knows_its_size_whatever_happens() -> None:
    clock, numbers = Clock(), random.Random(1)
    memory = Memory(5, 400, clock)
    for _ in range(2000):
        clock.now += 1
        key = bytes([numbers.randrange(20)])
        server = numbers.choice("st")
        context = Context(Operation("1", "tools/call", server=server), Scope("cache"))
        match numbers.randrange(10):
            case 0:
                memory.forget(server)
            case 1 | 2 | 3 | 4:
                memory.find(key, None)
            case _:
                result = ToolResult([{"text": "x" * numbers.randrange(300)}])
                memory.keep(key, result, numbers.randrange(1, 20), context)
        assert len(memory) <= 5
        assert memory.size <= 400
    memory.forget("s")
    memory.forget("t")
    assert (len(memory), memory.size) == (0, 0)
