"""Start a server and see what it offers: for `check`, and for the greeting of `serve`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from rich.text import Text

from plugway.cli.output import Row, milliseconds, plural
from plugway.federation.catalog import Member
from plugway.methods import Kind
from plugway.upstream import Upstream, UpstreamStatus
from plugway_hookspecs import PlugwayError

NOUNS = {
    Kind.TOOL: "tool",
    Kind.PROMPT: "prompt",
    Kind.RESOURCE: "resource",
    Kind.TEMPLATE: "template",
}


@dataclass(slots=True, eq=False)
class ServerReport:
    """What came of starting one server."""

    upstream: Upstream
    exposed: bool
    connected_in: int | None = None
    """Nanoseconds until it was ready; None where it never was."""
    failure: str = ""
    """Why it can't be reached; one sentence."""
    counts: dict[Kind, int] = field(default_factory=dict[Kind, int])
    problems: list[str] = field(default_factory=list[str])
    """What is wrong although it answers."""
    status: UpstreamStatus = field(init=False)

    def __post_init__(self) -> None:
        self.status = self.upstream.status

    @property
    def name(self) -> str:
        """The server's name in the configuration."""
        return self.upstream.name

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.failure or self.problems)


async def start(upstream: Upstream, *, exposed: bool) -> ServerReport:
    """Connect a server, and see how long it takes."""
    report = ServerReport(upstream, exposed)
    began = time.perf_counter_ns()
    try:
        await upstream.connect()
        report.connected_in = time.perf_counter_ns() - began
    except PlugwayError as error:
        report.failure = upstream.status.error or str(error)
    report.status = upstream.status
    return report


async def count(member: Member, report: ServerReport) -> None:
    """Count what a connected server offers."""
    for kind in Kind:
        try:
            report.counts[kind] = len(await member.entries(kind))
        except PlugwayError as error:
            report.problems.append(str(error))
    report.status = report.upstream.status


async def start_all(
    upstreams: Mapping[str, Upstream], exposed: frozenset[str]
) -> list[ServerReport]:
    """Start all servers at once; returns their reports in the order of the configuration."""
    reports: dict[str, ServerReport] = {}

    async def one(upstream: Upstream) -> None:
        reports[upstream.name] = await start(upstream, exposed=upstream.name in exposed)

    async with anyio.create_task_group() as tasks:
        for upstream in upstreams.values():
            tasks.start_soon(one, upstream)
    return [reports[name] for name in upstreams]


def offers(report: ServerReport) -> str:
    """Return `4 tools, 1 prompt`."""
    if not report.exposed:
        return "for plugins only"
    shown = [
        plural(number, NOUNS[kind])
        for kind, number in report.counts.items()
        if number or kind is Kind.TOOL
    ]
    return ", ".join(shown)


def server_row(report: ServerReport, *, stderr: bool = False) -> Row:
    """Return a server's line, and under it what is wrong and what probably helps."""
    mark = Text("✓", "green") if report.ok else Text("✗", "bold red")
    status = report.status
    time_taken = "" if report.connected_in is None else milliseconds(report.connected_in)
    protocol = f"{status.protocol_version} {status.era}" if status.era else "-"
    told = offers(report) if report.connected_in is not None else status.state
    row = Row([mark, report.name, Text(protocol, "dim"), Text(time_taken, "dim"), told])
    for problem in [*filter(None, [report.failure]), *report.problems]:
        row.details.append(Text(problem, "red"))
    if report.failure and status.hint:
        row.details.append(Text.assemble(("try: ", "bold yellow"), status.hint))
    if status.stderr_tail and (stderr or not report.ok):
        row.details.append(Text("its last words:", "dim"))
        row.details += [Text(f"| {line}", "dim") for line in status.stderr_tail.splitlines()]
    return row


def server_document(report: ServerReport) -> dict[str, Any]:
    """Return a server's report for machines."""
    status = report.status
    return {
        "name": report.name,
        "ok": report.ok,
        "state": status.state,
        "transport": report.upstream.config.transport,
        "era": status.era,
        "protocol_version": status.protocol_version,
        "server_info": dict(status.server_info),
        "exposed": report.exposed,
        "connect_ms": None if report.connected_in is None else report.connected_in / 1e6,
        "counts": {kind.value: number for kind, number in report.counts.items()},
        "problems": [*filter(None, [report.failure]), *report.problems],
        "hint": status.hint,
        "stderr": status.stderr_tail.splitlines(),
    }
