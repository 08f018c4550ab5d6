"""OpenTelemetry spans of the chains, made of the record when a request is over."""

import time
from collections.abc import Sequence
from typing import Any

import orjson
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from plugway.dispatch.dispatcher import Listener
from plugway.executor.record import StepRecord, lines
from plugway.jsonrpc import RpcError
from plugway.plain import plain_text, plain_value
from plugway.spans import recorded
from plugway_hookspecs import Finding, Operation

LONGEST = 512
"""How many characters an attribute may have."""

_TARGETS = {
    "tools/call": "gen_ai.tool.name",
    "prompts/get": "gen_ai.prompt.name",
    "resources/read": "mcp.resource.uri",
}
"""What OpenTelemetry's conventions for MCP call the name that a request is about."""

Attributes = dict[str, str | bool | int | float]


def chain_spans(version: str, provider: trace.TracerProvider | None = None) -> Listener | None:
    """Return what makes spans of finished requests; None where nobody would get them.

    Without `provider` it is the one that the process has set up, if it has one.
    """
    provider = provider or trace.get_tracer_provider()
    return ChainSpans(provider.get_tracer("plugway", version)) if recorded(provider) else None


class ChainSpans:
    """Listens to a dispatcher; makes a span of every chain that ran and one of every turn in it."""

    def __init__(self, tracer: trace.Tracer) -> None:
        """Make spans with `tracer`."""
        self._tracer = tracer

    def __call__(self, operation: Operation, _: RpcError | None) -> None:
        """Make the spans of one request; they get the times at which things happened."""
        steps = lines(operation)
        if not steps:
            return
        now = time.perf_counter_ns()
        epoch = time.time_ns() - now
        parent = _parent(operation)
        about = _about(operation)
        for run in _runs(_timed(steps, now)):
            self._chain(run, about, parent, epoch)

    def _chain(
        self, run: Sequence[StepRecord], about: Attributes, parent: Context | None, epoch: int
    ) -> None:
        hook = self._tracer.start_span(
            "plugway.hook",
            parent,
            attributes={"plugway.hook": run[0].hook, **about},
            start_time=epoch + min(step.started_ns for step in run),
        )
        if hook.is_recording():
            inside = trace.set_span_in_context(hook, parent)
            for step in run:
                self._turn(step, inside, epoch)
        hook.end(epoch + max(step.started_ns + step.duration_ns for step in run))

    def _turn(self, step: StepRecord, inside: Context, epoch: int) -> None:
        end = epoch + step.started_ns + step.duration_ns
        span = self._tracer.start_span(
            "plugway.plugin",
            inside,
            attributes=_verdict(step),
            start_time=epoch + step.started_ns,
        )
        for finding in step.findings:
            span.add_event("plugway.finding", _found(finding), end)
        if step.requested == "error":
            span.set_status(trace.StatusCode.ERROR, plain_text(step.detail, LONGEST))
        span.end(end)


def _parent(operation: Operation) -> Context | None:
    """Return the context of the current span, or else what the request's own headers say."""
    if trace.get_current_span().get_span_context().is_valid:
        return None
    return TraceContextTextMapPropagator().extract(operation.trace)


def _timed(steps: Sequence[StepRecord], now: int) -> list[StepRecord]:
    """Give those that had no turn the moment when it would have been theirs."""
    moment = next((step.started_ns for step in steps if step.started_ns), now)
    timed: list[StepRecord] = []
    for step in steps:
        there = step if step.started_ns else step._replace(started_ns=moment, duration_ns=0)
        moment = max(moment, there.started_ns + there.duration_ns)
        timed.append(there)
    return timed


def _runs(steps: Sequence[StepRecord]) -> list[list[StepRecord]]:
    """Divide a record into runs of a chain; nobody has two turns in one of them.

    What a wrapper wraps may be another chain, so those of one run need not be neighbours.
    """
    runs: list[list[StepRecord]] = []
    latest: dict[str, tuple[list[StepRecord], set[str]]] = {}
    for step in steps:
        run, plugins = latest.get(step.hook, ([], {step.plugin}))
        if step.plugin in plugins:
            run, plugins = latest[step.hook] = [], set[str]()
            runs.append(run)
        run.append(step)
        plugins.add(step.plugin)
    return runs


def _about(operation: Operation) -> Attributes:
    about: Attributes = {
        "plugway.request.id": operation.id,
        "mcp.method.name": plain_text(operation.method, LONGEST),
    }
    if version := operation.client.protocol_version:
        about["mcp.protocol.version"] = version
    if operation.server:
        about["plugway.server.name"] = operation.server
    if operation.name and (key := _TARGETS.get(operation.method)):
        about[key] = plain_text(operation.name, LONGEST)
    return about


def _verdict(step: StepRecord) -> Attributes:
    verdict: Attributes = {
        "plugway.plugin.name": step.plugin,
        "plugway.hook": step.hook,
        "plugway.mode": step.mode,
        "plugway.verdict.requested": step.requested,
        "plugway.verdict.applied": step.applied,
        "plugway.modified": step.modified,
    }
    if step.code:
        verdict["plugway.deny.code"] = plain_text(step.code, LONGEST)
    if step.requested == "error":
        verdict["error.type"] = "plugin_error"
    elif step.detail:
        verdict["plugway.detail"] = plain_text(step.detail, LONGEST)
    return verdict


def _found(finding: Finding) -> Attributes:
    key = plain_text(finding.key, LONGEST)
    return {"plugway.finding.key": key, "plugway.finding.value": _flat(finding.value)}


def _flat(value: Any) -> str | bool | int | float:
    """Return a value as an attribute can have it; what has parts becomes JSON."""
    plain = plain_value(value, LONGEST)
    if isinstance(plain, str | bool | int | float):
        return plain
    return plain_text(orjson.dumps(plain).decode(), LONGEST)
