"""Every row of the mode table, with everything that a plugin can do."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.failing import PLUGIN_ERROR
from plugway.executor.record import lines
from plugway.executor.steps import Policy, Step
from plugway_hookspecs import (
    Deny,
    Mode,
    OnError,
    Operation,
    PromptResult,
    Respond,
    ToolCall,
    ToolResult,
    hookimpl,
)

CALL = ToolCall("echo", {"a": 1})
CHANGED = ToolCall("echo", {"a": 2})
ANSWER = ToolResult([{"type": "text", "text": "mine"}])

Deed = Callable[[ToolCall], Any]
DEEDS: dict[str, Deed] = {
    "None": lambda payload: None,
    "modify": lambda payload: payload.replace(arguments={"a": 2}),
    "Deny": lambda payload: Deny("no", code="mine"),
    "Respond": lambda payload: Respond(ANSWER),
    "raise": lambda payload: 1 / 0,
    "wrong type": lambda payload: {"name": "echo"},
    "wrong payload": lambda payload: ToolResult(),
    "wrong answer": lambda payload: Respond(PromptResult()),
}
PASS, MODIFY, DENY, RESPOND, ERROR = "pass", "modify", "deny", "respond", "error"

# what becomes of it, per mode: enforce, transform, validate, audit
TABLE = {
    "None": (PASS, PASS, PASS, PASS),
    "modify": (MODIFY, MODIFY, PASS, PASS),
    "Deny": (DENY, PASS, DENY, PASS),
    "Respond": (RESPOND, RESPOND, PASS, PASS),
    "raise": (ERROR, ERROR, ERROR, PASS),
    "wrong type": (ERROR, ERROR, ERROR, PASS),
    "wrong payload": (ERROR, ERROR, ERROR, PASS),
    "wrong answer": (ERROR, ERROR, ERROR, PASS),
    "timeout": (ERROR, ERROR, ERROR, PASS),
}
MODES = (Mode.ENFORCE, Mode.TRANSFORM, Mode.VALIDATE, Mode.AUDIT)
ROWS = [
    (mode, deed, becomes)
    for deed, row in TABLE.items()
    for mode, becomes in zip(MODES, row, strict=True)
]
REQUESTED = {"None": PASS, "modify": MODIFY, "Deny": DENY, "Respond": RESPOND}


class Async:
    def __init__(self, deed: str) -> None:
        self.deed = deed

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Any:
        if self.deed == "timeout":
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return DEEDS[self.deed](payload)


class Sync:
    def __init__(self, deed: str) -> None:
        self.deed = deed

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> Any:
        return DEEDS[self.deed](payload)


class Seen:
    """Stands last and tells what reached it."""

    def __init__(self) -> None:
        self.payloads: list[ToolCall] = []

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> None:
        self.payloads.append(payload)


def chain_of(*plugins: tuple[object, Policy]) -> Chain[ToolCall]:
    named = [(f"p{number}", plugin, policy) for number, (plugin, policy) in enumerate(plugins)]
    return compile_chains(named)["tool_pre_invoke"]


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


# a timeout of a plain def is refused when it is compiled
CASES = [(Async, *row) for row in ROWS] + [(Sync, *row) for row in ROWS if row[1] != "timeout"]


@pytest.mark.parametrize(("kind", "mode", "deed", "becomes"), CASES)
async def test_the_mode_decides_what_becomes_of_an_answer(
    kind: type[Async | Sync], mode: Mode, deed: str, becomes: str
) -> None:
    seen, op = Seen(), operation()
    timeout = 0.01 if deed == "timeout" else None
    policy = Policy(mode, timeout=timeout)
    chain = chain_of((kind(deed), policy), (seen, Policy(Mode.AUDIT)))
    with anyio.fail_after(5):
        outcome = await chain(CALL, op)

    requested = REQUESTED.get(deed, ERROR)
    record = [(line.requested, line.applied) for line in lines(op)]
    stopped = becomes in {DENY, RESPOND, ERROR}
    assert seen.payloads == ([] if stopped else [CHANGED if becomes == MODIFY else CALL])
    assert record[0] == (requested, DENY if becomes == ERROR else becomes)
    assert len(record) == (1 if stopped else 2)
    assert outcome.plugin == ("p0" if stopped else "")
    assert outcome.payload == (CHANGED if becomes == MODIFY else CALL)
    match becomes:
        case "deny":
            assert outcome.verdict == Deny("no", code="mine")
        case "respond":
            assert outcome.verdict == Respond(ANSWER)
        case "error":
            assert outcome.verdict == Deny(
                "plugin 'p0' failed, and it guards this", code=PLUGIN_ERROR
            )
        case _:
            assert outcome.verdict is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deed", ["raise", "wrong type", "timeout"])
async def test_an_ignored_failure_leaves_no_trace_but_in_log_and_record(
    mode: Mode, deed: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen, op = Seen(), operation()
    policy = Policy(mode, OnError.IGNORE, timeout=0.01)
    chain = chain_of((Async(deed), policy), (seen, Policy()))
    with anyio.fail_after(5):
        outcome = await chain(CALL, op)
    assert outcome.verdict is None
    assert outcome.payload is CALL
    assert seen.payloads == [CALL]
    assert (lines(op)[0].requested, lines(op)[0].applied) == (ERROR, PASS)
    assert "plugin 'p0' failed in tool_pre_invoke: " in caplog.text


async def test_a_disabled_plugin_is_not_compiled_in() -> None:
    chain = chain_of((Sync("raise"), Policy(Mode.DISABLED)))
    assert not chain
    assert chain.steps == ()
    outcome = await chain(CALL, operation())
    assert outcome.payload is CALL


async def test_background_plugins_are_no_steps_but_are_offered_the_final_payload() -> None:
    offered: list[tuple[str, object]] = []

    def offer(step: Step, payload: object, _: Operation) -> bool:
        offered.append((step.scope.plugin, payload))
        return True

    chain = compile_chains(
        [
            ("first", Sync("raise"), Policy(Mode.BACKGROUND, priority=1)),
            ("second", Sync("modify"), Policy(priority=2)),
            ("skipped", Sync("None"), Policy(Mode.BACKGROUND, when=lambda op: False)),
        ],
        offer=offer,
    )["tool_pre_invoke"]
    op = operation()
    outcome = await chain(CALL, op)
    assert outcome.payload == CHANGED
    assert offered == [("first", CHANGED)]
    told = [(line.plugin, line.requested) for line in lines(op)]
    assert told == [("second", "modify"), ("first", "queued"), ("skipped", "skip")]


async def test_background_plugins_hear_of_what_was_denied_too() -> None:
    offered: list[object] = []

    def offer(step: Step, payload: object, _: Operation) -> bool:
        offered.append(payload)
        return True

    chain = compile_chains(
        [("b", Sync("None"), Policy(Mode.BACKGROUND)), ("d", Sync("Deny"), Policy())],
        offer=offer,
    )["tool_pre_invoke"]
    await chain(CALL, operation())
    assert offered == [CALL]


async def test_audit_sees_the_payload_as_it_stands_at_its_place() -> None:
    before, after = Seen(), Seen()
    chain = chain_of(
        (after, Policy(Mode.AUDIT, priority=3)),
        (Sync("modify"), Policy(priority=2)),
        (before, Policy(Mode.AUDIT, priority=1)),
    )
    await chain(CALL, operation())
    assert before.payloads == [CALL]
    assert after.payloads == [CHANGED]


async def test_a_deny_of_a_transform_is_recorded_as_suppressed() -> None:
    op = operation()
    outcome = await chain_of((Sync("Deny"), Policy(Mode.TRANSFORM)))(CALL, op)
    assert outcome.verdict is None
    (line,) = lines(op)
    assert (line.requested, line.applied, line.detail) == (DENY, PASS, "no")


async def test_a_post_hook_cannot_answer() -> None:
    class Answers:
        @hookimpl
        async def tool_post_invoke(self, payload: ToolResult) -> Any:
            return Respond(ToolResult())

    chain = compile_chains([("p", Answers(), Policy())])["tool_post_invoke"]
    op = operation()
    outcome = await chain(ToolResult(), op)
    assert isinstance(outcome.verdict, Deny)
    assert lines(op)[0].detail == (
        "returned Respond(ToolResult); Respond takes nothing in a post hook"
    )


@pytest.mark.parametrize(
    ("deed", "detail"),
    [
        ("wrong type", "returned dict; allowed: ToolCall, Deny, Respond, None"),
        ("wrong payload", "returned ToolResult; allowed: ToolCall, Deny, Respond, None"),
        ("wrong answer", "returned Respond(PromptResult); Respond takes ToolResult"),
    ],
)
async def test_a_wrong_answer_is_named(
    deed: str, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    op = operation()
    await chain_of((Sync(deed), Policy()))(CALL, op)
    assert lines(op)[0].detail == detail
    assert f"plugin 'p0' failed in tool_pre_invoke: {detail}" in caplog.text


async def test_a_coroutine_from_a_plain_def_is_named_and_not_left_unawaited() -> None:
    async def later() -> None:
        return None

    class Forgets:
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> Any:
            return later()

    op = operation()
    outcome = await chain_of((Forgets(), Policy()))(CALL, op)
    assert isinstance(outcome.verdict, Deny)
    assert lines(op)[0].detail == "returned a coroutine: await it, or declare the hook async def"


class Subclass(ToolCall):
    pass


@pytest.mark.parametrize("answer", [Subclass("echo"), Deny, ToolCall, 0, False, ""])
async def test_only_what_the_hook_declares_counts_as_an_answer(answer: object) -> None:
    class Returns:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> Any:
            return answer

    outcome = await chain_of((Returns(), Policy()))(CALL, operation())
    assert isinstance(outcome.verdict, Deny)
    assert outcome.verdict.code == PLUGIN_ERROR


async def test_failures_are_logged_without_the_text_of_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Quotes:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            raise ValueError(f"bad value {payload.arguments['token']}")

    caplog.set_level(logging.DEBUG)
    op = operation()
    await chain_of((Quotes(), Policy()))(ToolCall("echo", {"token": "s3cret"}), op)
    assert "s3cret" not in caplog.text
    assert "raised ValueError at " in caplog.text
    (line,) = lines(op)
    assert line.detail.startswith("raised ValueError at ")
    assert "test_modes.py:" in line.detail
    assert "s3cret" not in line.detail
