"""Spans of the chains, through the real SDK."""

import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from plugway.executor.compiler import compile_chains
from plugway.executor.conditions import Condition, compile_conditions
from plugway.executor.record import lines
from plugway.executor.steps import Policy
from plugway.tracing import chain_spans
from plugway_hookspecs import (
    Client,
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    PluginError,
    ToolCall,
    ToolResult,
    hookimpl,
)

CALL = ToolCall("s__a")
TRACE, SPAN = "ab" * 16, "cd" * 8


class Spans:
    """A tracer provider, and the spans that came out of it."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


def operation(**more: Any) -> Operation:
    client = Client("test", protocol_version="2026-07-28")
    return Operation("1", "tools/call", "s__a", "s", client=client, record=[], **more)


async def traced(*plugins: Any, op: Operation | None = None, times: int = 1) -> Spans:
    """Run both chains of a tool call; make spans of it."""
    entries: list[tuple[Any, Policy]] = [
        each if isinstance(each, tuple) else (each, Policy()) for each in plugins
    ]
    chains = compile_chains(
        [(f"p{n}", plugin, policy) for n, (plugin, policy) in enumerate(entries)]
    )
    op = op or operation()
    for _ in range(times):
        await chains["tool_pre_invoke"](CALL, op)
    await chains["tool_post_invoke"](ToolResult(), op)
    spans = Spans()
    listener = chain_spans("1", spans.provider)
    assert listener is not None
    listener(op, None)
    return spans


def about(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


class Silent:
    @hookimpl
    async def tool_pre_invoke(self) -> None:
        return None


class Both(Silent):
    @hookimpl
    async def tool_post_invoke(self) -> None:
        return None


async def test_every_chain_is_a_span_and_every_turn_one_inside_it() -> None:
    spans = await traced(Both(), Both())
    pre, post = spans.named("plugway.hook")
    turns = spans.named("plugway.plugin")
    assert [about(span)["plugway.hook"] for span in (pre, post)] == [
        "tool_pre_invoke",
        "tool_post_invoke",
    ]
    for hook, plugin, turn in zip([pre, pre, post, post], ["p0", "p1"] * 2, turns, strict=True):
        assert turn.parent is not None
        assert hook.context is not None
        assert turn.parent.span_id == hook.context.span_id
        assert about(turn)["plugway.plugin.name"] == plugin


async def test_spans_have_the_times_at_which_things_happened() -> None:
    op = operation()
    began = time.time_ns()
    spans = await traced(Silent(), Silent(), Silent(), op=op)
    ended = time.time_ns()
    (hook,) = spans.named("plugway.hook")
    times = [(span.start_time or 0, span.end_time or 0) for span in spans.named("plugway.plugin")]
    assert [end - start for start, end in times] == [line.duration_ns for line in lines(op)]
    assert all(one[1] <= other[0] for one, other in pairwise(times))
    assert (hook.start_time, hook.end_time) == (times[0][0], times[-1][1])
    clocks_apart = 5_000_000
    assert began - clocks_apart <= times[0][0] <= times[-1][1] <= ended + clocks_apart


async def test_attributes_have_the_names_of_the_conventions_for_mcp() -> None:
    class Closed:
        @hookimpl
        async def tool_pre_invoke(self) -> Deny:
            return Deny("not today", code="closed", details={"found": "s3cret"})

    spans = await traced((Closed(), Policy(Mode.TRANSFORM)))
    (hook,), (turn,) = spans.named("plugway.hook"), spans.named("plugway.plugin")
    assert about(hook) == {
        "plugway.hook": "tool_pre_invoke",
        "plugway.request.id": "1",
        "plugway.server.name": "s",
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "gen_ai.tool.name": "s__a",
    }
    assert about(turn) == {
        "plugway.hook": "tool_pre_invoke",
        "plugway.plugin.name": "p0",
        "plugway.mode": "transform",
        "plugway.verdict.requested": "deny",
        "plugway.verdict.applied": "pass",
        "plugway.modified": False,
        "plugway.deny.code": "closed",
        "plugway.detail": "not today",
    }
    assert turn.status.is_unset


async def test_only_a_plugin_that_fails_is_an_error() -> None:
    class Fails:
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            raise PluginError("the model is not loaded", plugin="p", hook="h")

    spans = await traced((Fails(), Policy(on_error=OnError.IGNORE)), Silent())
    failed, fine = spans.named("plugway.plugin")
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.status.description == "the model is not loaded"
    assert about(failed)["error.type"] == "plugin_error"
    assert fine.status.is_unset


async def test_findings_are_events_with_short_plain_values() -> None:
    class Notes:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("count", 3)
            context.annotate("types", {"email": [1, None]})
            context.annotate("long", "x" * 600 + "\ud800")
            context.annotate("huge", 2**70)
            context.annotate("none", None)

    (span,) = (await traced(Notes())).named("plugway.plugin")
    assert {event.name for event in span.events} == {"plugway.finding"}
    found = [dict(event.attributes or {}) for event in span.events]
    assert [(each["plugway.finding.key"], each["plugway.finding.value"]) for each in found] == [
        ("count", 3),
        ("types", '{"email":[1,null]}'),
        ("long", "x" * 511 + "…"),
        ("huge", hex(2**70)),
        ("none", "null"),
    ]
    assert {event.timestamp for event in span.events} == {span.end_time}


async def test_a_plugin_that_was_not_asked_has_a_span_without_length_at_its_place() -> None:
    never = Policy(when=compile_conditions([Condition(tools=("other",))]))
    spans = await traced((Silent(), never), Silent(), (Silent(), never))
    first, second, third = spans.named("plugway.plugin")
    assert first.start_time == first.end_time == second.start_time
    assert third.start_time == third.end_time == second.end_time
    assert about(third)["plugway.verdict.requested"] == "skip"


async def test_a_chain_in_which_nobody_was_asked_is_now() -> None:
    never = Policy(when=compile_conditions([Condition(tools=("other",))]))
    began = time.time_ns()
    (hook,) = (await traced((Silent(), never))).named("plugway.hook")
    assert hook.start_time == hook.end_time
    assert began - 5_000_000 <= (hook.start_time or 0)


async def test_a_chain_that_runs_again_is_another_span() -> None:
    spans = await traced(Silent(), Silent(), times=2)
    assert len(spans.named("plugway.hook")) == 2
    parents = [span.parent.span_id for span in spans.named("plugway.plugin") if span.parent]
    assert len(parents) == 4
    assert len(set(parents)) == 2


async def test_spans_belong_to_the_trace_that_the_request_names() -> None:
    op = operation(trace={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    (hook,) = (await traced(Silent(), op=op)).named("plugway.hook")
    assert hook.parent is not None
    assert trace.format_trace_id(hook.parent.trace_id) == TRACE
    assert trace.format_span_id(hook.parent.span_id) == SPAN


@pytest.mark.parametrize("header", ["", "00-1", f"00-{TRACE}-{SPAN}-01\n", "\ud800"])
async def test_a_trace_context_that_is_none_begins_a_trace(header: str) -> None:
    op = operation(trace={"traceparent": header})
    (hook,) = (await traced(Silent(), op=op)).named("plugway.hook")
    assert hook.parent is None or header.endswith("\n")


async def test_spans_are_inside_the_current_one_where_there_is_one() -> None:
    outer = TracerProvider(shutdown_on_exit=False).get_tracer("server")
    with outer.start_as_current_span("tools/call") as current:
        op = operation(trace={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        (hook,) = (await traced(Silent(), op=op)).named("plugway.hook")
    assert hook.parent == current.get_span_context()


async def test_of_what_is_not_sampled_there_are_no_spans() -> None:
    spans = Spans()
    spans.provider.sampler = ALWAYS_OFF
    listener = chain_spans("1", spans.provider)
    assert listener is not None
    op = operation()
    await compile_chains([("p", Silent(), Policy())])["tool_pre_invoke"](CALL, op)
    listener(op, None)
    assert spans.exporter.get_finished_spans() == ()


def test_without_a_tracer_provider_nobody_listens() -> None:
    assert chain_spans("1") is None
    assert chain_spans("1", trace.NoOpTracerProvider()) is None
