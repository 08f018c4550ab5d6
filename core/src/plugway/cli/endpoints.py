"""Endpoints as the command line sees them: which there are, and what virtual servers offer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from plugway.cli.app import CommandLineError
from plugway.cli.inspection import NOUNS
from plugway.cli.output import Row, plural
from plugway.config import Config, VirtualServer
from plugway.config.problems import suggest
from plugway.executor.conditions import compile_patterns
from plugway.federation.catalog import Catalog
from plugway.federation.endpoints import Endpoint, make_endpoints
from plugway.federation.lens import Lens
from plugway.methods import Kind


@dataclass(slots=True, eq=False)
class EndpointReport:
    """What a virtual server comes to."""

    name: str
    servers: Sequence[str]
    counts: dict[Kind, int] = field(default_factory=dict[Kind, int])
    problems: list[str] = field(default_factory=list[str])
    doubts: list[str] = field(default_factory=list[str])
    """What is no mistake if the servers offer more at other times."""


def check_endpoint(config: Config, name: str) -> None:
    """Raise `CommandLineError` where there is no endpoint of that name."""
    exposed = [key for key, server in config.servers.items() if server.expose]
    names = [*exposed, *config.virtual_servers]
    if name in names:
        return
    if name in config.servers:
        message = f"the server {name!r} is not exposed: remove its `expose: false`"
    else:
        message = f"there is no server and no virtual server {name!r}{suggest(name, names)}"
    raise CommandLineError(message)


async def inspect_endpoints(config: Config, catalog: Catalog) -> list[EndpointReport]:
    """Count what each virtual server offers, and find what it can't."""
    endpoints = make_endpoints(config, catalog.members, lambda _: "")
    return [
        await _inspect(endpoints[name], virtual, catalog)
        for name, virtual in config.virtual_servers.items()
    ]


async def _inspect(endpoint: Endpoint, virtual: VirtualServer, catalog: Catalog) -> EndpointReport:
    view, lens = endpoint.view, Lens(endpoint.view, catalog)
    report = EndpointReport(view.name, list(view.servers or ()))
    names: dict[Kind, list[str]] = {}
    for kind in Kind:
        listed = await catalog.list(kind, servers=view.servers_of(kind))
        names[kind] = [item[kind.identifier] for item in listed.items]
        shown = [lens.shown(kind, name) for name in names[kind]]
        report.counts[kind] = sum(each.name is not None for each in shown)
        report.problems += [each.missing.reason for each in shown if each.missing is not None]
    uris = names[Kind.RESOURCE] + names[Kind.TEMPLATE]
    for key, found in (
        ("tools", names[Kind.TOOL]),
        ("prompts", names[Kind.PROMPT]),
        ("resources", uris),
    ):
        report.doubts += [
            f"{key}: {pattern!r} matches nothing that is listed now"
            for pattern in getattr(virtual, key) or ()
            if not any(map(compile_patterns([pattern.removeprefix("!")]), found))
        ]
    return report


def endpoint_row(report: EndpointReport) -> Row:
    """Return a virtual server's line, and under it what is wrong or doubtful."""
    mark = Text("✗", "bold red") if report.problems else Text("✓", "green")
    shown = [
        plural(number, NOUNS[kind])
        for kind, number in report.counts.items()
        if number or kind is Kind.TOOL
    ]
    row = Row([mark, report.name, Text(", ".join(report.servers), "dim"), ", ".join(shown)])
    row.details += [Text(problem, "red") for problem in report.problems]
    row.details += [Text(doubt, "yellow") for doubt in report.doubts]
    return row


def endpoint_document(report: EndpointReport) -> dict[str, Any]:
    """Return a virtual server's report for machines."""
    return {
        "name": report.name,
        "ok": not report.problems,
        "servers": list(report.servers),
        "counts": {kind.value: number for kind, number in report.counts.items()},
        "problems": report.problems,
        "doubts": report.doubts,
    }
