from time import perf_counter_ns
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plugway.executor.compiler import compile_chains
from plugway.executor.record import lines, same
from plugway.executor.steps import Policy
from plugway_hookspecs import (
    Context,
    Deny,
    Finding,
    Mode,
    OnError,
    Operation,
    PluginError,
    ToolCall,
    ToolResult,
    hookimpl,
)
from plugway_hookspecs.frozen import FrozenDict

CALL = ToolCall("echo", {"a": 1})


def operation() -> Operation:
    return Operation("1", "tools/call", "echo", record=[])


class Notes:
    def __init__(self, value: int) -> None:
        self.value = value

    @hookimpl
    async def tool_pre_invoke(self, context: Context) -> None:
        context.annotate("before", self.value)
        await anyio.lowlevel.checkpoint()
        context.annotate("after", self.value)


async def test_a_line_says_who_did_what_in_which_hook_and_mode() -> None:
    class Changes:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"a": 2})

    op = operation()
    chain = compile_chains([("p", Changes(), Policy(Mode.TRANSFORM))])["tool_pre_invoke"]
    began = perf_counter_ns()
    await chain(CALL, op)
    (line,) = lines(op)
    assert line[:5] == ("p", "tool_pre_invoke", "transform", "modify", "modify")
    assert (line.detail, line.findings, line.code) == ("", (), "")
    assert line.duration_ns > 0
    assert began < line.started_ns < line.started_ns + line.duration_ns < perf_counter_ns()
    assert line.modified


async def test_a_finding_is_in_the_line_of_the_plugin_that_made_it() -> None:
    op = operation()
    plugins: list[tuple[str, object, Policy]] = [
        (f"p{n}", Notes(n), Policy(Mode.VALIDATE if n < 2 else Mode.ENFORCE)) for n in range(4)
    ]
    await compile_chains(plugins)["tool_pre_invoke"](CALL, op)
    for number, line in enumerate(lines(op)):
        assert line.findings == (
            Finding(f"p{number}", "tool_pre_invoke", "before", number),
            Finding(f"p{number}", "tool_pre_invoke", "after", number),
        )


async def test_a_plugin_that_rests_has_no_findings_of_the_one_before() -> None:
    class Fails:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            raise ValueError

    resting = Policy(on_error=OnError.DISABLE)
    chain = compile_chains([("a", Notes(1), Policy()), ("b", Fails(), resting)])["tool_pre_invoke"]
    await chain(CALL, operation())
    op = operation()
    await chain(CALL, op)
    assert [len(line.findings) for line in lines(op)] == [2, 0]


async def test_findings_of_a_plugin_that_fails_are_kept() -> None:
    class NotesAndFails:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("seen", 1)
            raise ValueError

    op = operation()
    await compile_chains([("p", NotesAndFails(), Policy())])["tool_pre_invoke"](CALL, op)
    assert [finding.key for finding in lines(op)[0].findings] == ["seen"]


async def test_the_record_goes_on_from_the_pre_to_the_post_chain() -> None:
    class Both:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            context.state["calls"] = context.state.get("calls", 0) + 1

        @hookimpl
        async def tool_post_invoke(self, context: Context) -> None:
            context.annotate("calls", context.state["calls"])

    op = operation()
    chains = compile_chains([("a", Both(), Policy()), ("b", Both(), Policy())])
    await chains["tool_pre_invoke"](CALL, op)
    await chains["tool_post_invoke"](ToolResult(), op)
    assert [(line.plugin, line.hook) for line in lines(op)] == [
        ("a", "tool_pre_invoke"),
        ("b", "tool_pre_invoke"),
        ("a", "tool_post_invoke"),
        ("b", "tool_post_invoke"),
    ]
    assert [finding.value for finding in op.findings] == [1, 1]


async def test_without_a_listener_nothing_is_recorded() -> None:
    op = Operation("1", "tools/call", "echo")
    await compile_chains([("p", Notes(1), Policy())])["tool_pre_invoke"](CALL, op)
    assert op.record is None
    assert lines(op) == []


async def test_a_change_that_python_takes_for_equal_is_a_change() -> None:
    class MakesItTrue:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            return payload.replace(arguments={"a": True})

    op = operation()
    await compile_chains([("p", MakesItTrue(), Policy())])["tool_pre_invoke"](CALL, op)
    assert lines(op)[0].modified


def nested(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = FrozenDict({"in": found})
    return found


DEEP = nested(2000)
NOTHING: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({"a": [1, "x", None, NOTHING]}, {"a": [1, "x", None, NOTHING]}, True),
        ({"a": [1]}, {"a": [2]}, False),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": [0]}, {"a": [0.0]}, False),
        ({"a": 0.0}, {"a": -0.0}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ({"a": NOTHING}, {"a": ["x"]}, False),
        ({"a": 10**5000}, {"a": 10**5000}, True),
        ({"a": 10**5000}, {"a": 10**5000 + 1}, False),
        ({"a": DEEP, "b": 1}, {"a": DEEP, "b": 1}, True),
        ({"a": nested(2000)}, {"a": nested(2001)}, False),
    ],
)
def test_payloads_are_the_same_if_their_json_is(one: Any, other: Any, alike: bool) -> None:
    assert same(ToolCall("a", one), ToolCall("a", other)) is alike
    assert same(Deny("no", details=one), Deny("no", details=other)) is alike


def test_a_payload_is_not_the_same_as_another_kind_of_answer() -> None:
    assert not same(ToolCall("a"), ToolCall("b"))
    assert not same(ToolResult(), Deny("no"))
    assert not same(ToolResult(), None)
    assert same(None, None)


async def test_the_reason_of_a_deny_is_on_record_and_its_details_are_not() -> None:
    class Denies:
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            return Deny("not today", details={"matched": "s3cret"})

    op = operation()
    await compile_chains([("p", Denies(), Policy())])["tool_pre_invoke"](CALL, op)
    assert lines(op)[0].detail == "not today"


async def test_a_plugins_own_words_about_its_failure_are_on_record() -> None:
    class Fails:
        @hookimpl
        async def tool_pre_invoke(self) -> Any:
            raise PluginError("the model is not loaded", plugin="x", hook="y")

    op = operation()
    await compile_chains([("p", Fails(), Policy())])["tool_pre_invoke"](CALL, op)
    assert lines(op)[0].detail == "the model is not loaded"


async def test_a_failure_in_other_words_than_text_is_told_in_the_records_own() -> None:
    class Fails:
        @hookimpl
        async def tool_pre_invoke(self) -> Any:
            raise PluginError({"not": "a text"}, plugin="x", hook="y")  # type: ignore[arg-type]

    op = operation()
    await compile_chains([("p", Fails(), Policy())])["tool_pre_invoke"](CALL, op)
    assert lines(op)[0].detail.startswith("raised PluginError at ")
