from collections.abc import Callable
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from plugway.executor.steps import Policy
from plugway_builtin_plugins.result_cache import ResultCache
from plugway_builtin_plugins.retry import Retry
from plugway_hookspecs import (
    Deny,
    ServerError,
    ServerUnavailableError,
    ToolCall,
    hookimpl,
)

Make = Callable[..., Any]
AWAY = ServerUnavailableError("away", server="s")
BUSY = ServerError("busy", server="s", code=-32050)
OK: dict[str, Any] = {"content": [], "messages": [], "contents": []}


class Waits:
    """Notes what a plugin would have waited; a random number is the largest possible one."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def uniform(self, least: float, most: float) -> float:
        assert least == 0.0
        return most


def retry(waits: Waits | None = None, **config: Any) -> Retry:
    waits = waits or Waits()
    settings = Retry.Config.model_validate(config)
    return Retry(settings, name="retry", sleep=waits.sleep, uniform=waits.uniform)


def one_after_the_other(*answers: Any) -> Callable[[], Any]:
    """Make a server's answers; the last one is repeated."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "s__find", "arguments": {"x": 1}}),
        ("tools/call", {"name": "s__put"}),
        ("prompts/get", {"name": "s__p"}),
        ("resources/read", {"uri": "s+file:///r"}),
    ],
)
async def test_what_does_no_harm_is_asked_again_when_the_server_is_away(
    gateway: Make, method: str, params: dict[str, Any]
) -> None:
    waits = Waits()
    gate = gateway(retry(waits))
    gate.server.answer = one_after_the_other(AWAY, AWAY, {**OK, "x-vendor": 1})
    assert (await gate.ask(method, params))["x-vendor"] == 1
    assert len(gate.server.asked) == 3
    assert waits.seconds == [0.25, 0.5]
    assert gate.findings == [("attempts", 3)]


@pytest.mark.parametrize(
    ("config", "repeated"),
    [
        ({}, {"s__find", "s__put"}),
        ({"annotated": False}, set[str]()),
        ({"tools": ["*__send"]}, {"s__find", "s__put", "s__send"}),
        ({"tools": ["s__wrong"], "annotated": False}, {"s__wrong"}),
    ],
)
async def test_what_may_have_side_effects_is_asked_for_once(
    gateway: Make, config: dict[str, Any], repeated: set[str]
) -> None:
    gate = gateway(retry(**config))
    gate.server.answer = AWAY
    for tool in ("find", "put", "send", "odd", "odder", "vague", "wrong"):
        gate.server.asked.clear()
        await gate.refusal(f"s__{tool}")
        assert (len(gate.server.asked) == 3) == (f"s__{tool}" in repeated), tool
        assert len(gate.server.asked) in {1, 3}


async def test_an_answer_at_the_first_attempt_needs_no_word(gateway: Make) -> None:
    gate = gateway(retry())
    gate.server.answer = OK
    assert await gate.call() == await gateway().call()
    assert gate.findings == []


async def test_after_the_last_attempt_the_client_gets_the_last_failure(gateway: Make) -> None:
    waits = Waits()
    gate = gateway(retry(waits, attempts=2, codes=[-32050]))
    gate.server.answer = one_after_the_other(BUSY, AWAY)
    assert (await gate.refusal()).message.startswith("Server 's' is unavailable")
    gate.server.answer = one_after_the_other(AWAY, BUSY)
    assert (await gate.refusal()).message == "busy"
    assert gate.findings == [("attempts", 2), ("attempts", 2)]


@pytest.mark.parametrize(("codes", "asked"), [([-32050, 1], 3), ([1], 1), ([], 1)])
async def test_the_operator_chooses_errors_after_which_a_server_is_asked_again(
    gateway: Make, codes: list[int], asked: int
) -> None:
    gate = gateway(retry(codes=codes))
    gate.server.answer = BUSY
    assert (await gate.refusal()).code == -32050
    assert len(gate.server.asked) == asked


async def test_a_tools_own_failure_is_an_answer(gateway: Make) -> None:
    gate = gateway(retry())
    gate.server.answer = {"content": [], "isError": True}
    await gate.call()
    assert len(gate.server.asked) == 1


async def test_a_deny_is_not_asked_for_again(gateway: Make) -> None:
    class Denies:
        asked = 0

        @hookimpl
        def tool_pre_invoke(self) -> Deny:
            Denies.asked += 1
            return Deny("no")

    gate = gateway(retry(), Denies())
    assert (await gate.call())["content"][0]["text"] == "Denied: no"
    assert (Denies.asked, gate.findings) == (1, [])


async def test_delays_double_up_to_the_longest(gateway: Make) -> None:
    waits = Waits()
    config = {"attempts": 7, "first_delay": 1, "max_delay": 10}
    gate = gateway(retry(waits, **config), request_timeout=1000)
    gate.server.answer = AWAY
    await gate.refusal()
    assert waits.seconds == [1, 2, 4, 8, 10, 10]


async def test_it_stops_when_the_next_attempt_would_come_too_late(gateway: Make) -> None:
    waits = Waits()
    config = {"attempts": 9, "first_delay": 10, "max_delay": 1000}
    gate = gateway(retry(waits, **config), request_timeout=60)
    gate.server.answer = AWAY
    assert (await gate.refusal()).message.startswith("Server 's' is unavailable")
    assert waits.seconds == [10, 20, 40]
    assert gate.findings == [("attempts", 4)]


async def test_a_request_that_is_cancelled_is_not_asked_again(gateway: Make) -> None:
    waiting = anyio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await anyio.sleep_forever()

    gate = gateway(Retry(Retry.Config(), name="retry", sleep=sleep))
    gate.server.answer = one_after_the_other(AWAY, OK)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.call)
            await waiting.wait()
            tasks.cancel_scope.cancel()
    assert len(gate.server.asked) == 1


@pytest.mark.parametrize("field", ["inputResponses", "task", "x-vendor"])
async def test_a_request_that_is_more_than_a_question_is_asked_once(
    gateway: Make, field: str
) -> None:
    gate = gateway(retry(tools=["*"]))
    gate.server.answer = AWAY
    await gate.refusal(**{field: {}})
    assert len(gate.server.asked) == 1


class Renames:
    """Sends calls of one tool to another one."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> ToolCall | None:
        return payload.replace(name=self.new) if payload.name == self.old else None


@pytest.mark.parametrize("priority", [50, 150])
@pytest.mark.parametrize(("new", "asked"), [("s__send", 1), ("s__put", 3)])
async def test_a_renamed_request_is_judged_by_its_new_name(
    gateway: Make, priority: int, new: str, asked: int
) -> None:
    gate = gateway(retry(codes=[-32050]), (Renames("s__find", new), Policy(priority=priority)))
    for answer in (AWAY, BUSY):
        gate.server.answer = answer
        gate.server.asked.clear()
        await gate.refusal()
        assert len(gate.server.asked) == asked


async def test_what_came_at_a_later_attempt_is_remembered_by_a_cache_before_it(
    gateway: Make,
) -> None:
    cache = ResultCache(ResultCache.Config(), name="cache")
    gate = gateway((cache, Policy(priority=1)), retry())
    gate.server.answer = one_after_the_other(AWAY, OK)
    await gate.call()
    await gate.call()
    assert gate.findings == [("cache", "miss"), ("attempts", 2), ("cache", "hit")]


@pytest.mark.parametrize(
    "config",
    [{"attempts": 1}, {"attempts": 1000}, {"first_delay": 0}, {"max_delay": float("inf")}],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Retry.Config.model_validate(config)
