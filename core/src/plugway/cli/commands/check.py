"""`plugway check`: start everything once and say what is wrong."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread
from rich.text import Text

from plugway.audit.ledger import audit_fault
from plugway.cli.app import App
from plugway.cli.endpoints import (
    EndpointReport,
    endpoint_document,
    endpoint_row,
    inspect_endpoints,
)
from plugway.cli.failures import WRONG
from plugway.cli.inspection import (
    NOUNS,
    ServerReport,
    count,
    server_document,
    server_row,
    start_all,
)
from plugway.cli.options import declare
from plugway.cli.output import Row, plural, print_rows
from plugway.config import Config
from plugway.federation.catalog import Catalog, Member
from plugway.methods import Kind
from plugway.plugins.discovery import Discovery, discover
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Problem, Registry
from plugway.upstream import open_upstreams
from plugway_hookspecs import Mode, PluginInfo


@dataclass(frozen=True, slots=True, eq=False)
class PluginReport:
    """One configured plugin: running, or why not."""

    name: str
    kind: str
    mode: Mode
    info: PluginInfo | None = None
    problem: Problem | None = None
    complaint: str | None = None
    """What its own health check says."""

    @property
    def ok(self) -> bool:
        """Whether it runs, or is not meant to, and feels well."""
        return self.problem is None and self.complaint is None


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that was looked at."""

    notes: Sequence[str]
    servers: Sequence[ServerReport]
    plugins: Sequence[PluginReport]
    endpoints: Sequence[EndpointReport]
    packages: Sequence[str]
    """What is wrong with installed packages."""
    audit: Sequence[str] = ()
    """What is wrong with the audit file."""

    @property
    def offers_something(self) -> bool:
        """Whether clients will see any server."""
        return any(server.exposed for server in self.servers)

    @property
    def wrong(self) -> list[str]:
        """The names of all that needs attention."""
        servers = [server.name for server in self.servers if not server.ok]
        plugins = [plugin.name for plugin in self.plugins if not plugin.ok]
        endpoints = [endpoint.name for endpoint in self.endpoints if endpoint.problems]
        return [*servers, *plugins, *endpoints, *self.packages, *self.audit]


@declare("check")
def command(app: App) -> int:
    """Start every server and plugin once and say what is wrong.

    Servers are started for real, all at once. The exit code is 1 if anything is wrong.
    """
    app.log(logging.CRITICAL)
    config, discovery = app.load_config(), discover()
    what = f"{plural(len(config.servers), 'server')}, {plural(len(config.plugins), 'plugin')}"
    with app.err.status(f"starting {what} …"):
        report = app.run(lambda _: inspect(config, discovery))
    if app.as_json:
        app.document(_document(app, report))
    else:
        _show(app, report)
    return WRONG if report.wrong else 0


async def inspect(config: Config, discovery: Discovery) -> Report:
    """Start everything, look, stop everything."""
    async with open_upstreams(config.servers) as upstreams:
        exposed = frozenset(name for name, server in config.servers.items() if server.expose)
        servers = await start_all(upstreams, exposed)
        async with open_registry(config, discovery, upstreams, strict=False) as registry:
            catalog = await _count(config, [report for report in servers if report.exposed])
            endpoints = await inspect_endpoints(config, catalog)
            plugins = await _plugins(config, registry)
    packages = [str(problem) for problem in discovery.problems]
    fault = await anyio.to_thread.run_sync(audit_fault, config)
    audit = [] if fault is None else [str(fault)]
    notes = [*config.notes, *_nothing_offered(exposed)]
    return Report(notes, servers, plugins, endpoints, packages, audit)


def _nothing_offered(exposed: frozenset[str]) -> list[str]:
    advice = "there is no server for clients, they will see no tools: add one under `mcpServers`"
    return [] if exposed else [advice]


async def _count(config: Config, reports: Sequence[ServerReport]) -> Catalog:
    """Count what the servers offer, and find the names that two of them claim."""
    members: dict[str, Member] = {}
    for report in reports:
        server = config.servers[report.name]
        prefix = server.effective_prefix(report.name)
        members[report.name] = Member(report.upstream, prefix, server.list_timeout)
    async with anyio.create_task_group() as tasks:
        for report in reports:
            if not report.failure:
                tasks.start_soon(count, members[report.name], report)
    federated = [report for report in reports if report.ok]
    catalog = Catalog([members[report.name] for report in federated])
    by_name = {report.name: report for report in federated}
    for kind in Kind:
        clashes: dict[str, list[str]] = defaultdict(list)
        for clash in (await catalog.list(kind)).unavailable:
            clashes[clash.server].append(clash.reason)
        for name, reasons in clashes.items():
            more = f" ({len(reasons) - 1} more)" if len(reasons) > 1 else ""
            by_name[name].problems.append(f"{NOUNS[kind]} {reasons[0]}{more}")
    return catalog


async def _plugins(config: Config, registry: Registry) -> list[PluginReport]:
    running = {info.name: info for info in registry.plugins()}
    problems = {problem.plugin: problem for problem in registry.problems}
    health = await registry.health()
    return [
        PluginReport(
            entry.name,
            entry.kind,
            entry.effective_mode,
            running.get(entry.name),
            problems.get(entry.name),
            health.get(entry.name),
        )
        for entry in config.plugins
    ]


def _show(app: App, report: Report) -> None:
    out = app.out
    for note in report.notes:
        out.print(Text.assemble(("note: ", "yellow"), note))
    if report.servers:
        out.print(Text("Servers", "bold"))
        print_rows(out, [server_row(each, stderr=app.verbose) for each in report.servers])
    if report.endpoints:
        out.print(Text("\nVirtual servers", "bold"))
        print_rows(out, [endpoint_row(each) for each in report.endpoints])
    if report.plugins:
        out.print(Text("\nPlugins", "bold"))
        print_rows(out, [_plugin_row(each) for each in report.plugins])
    for heading, faults in (("Packages", report.packages), ("Audit", report.audit)):
        if faults:
            out.print(Text(f"\n{heading}", "bold"))
            print_rows(out, [Row([Text("✗", "bold red"), each]) for each in faults])
    if not report.wrong:
        said = "All is well." if report.offers_something else "Nothing is wrong with what is there."
        out.print(Text(f"\n{said}", "bold green"))
        return
    verb = "needs" if len(report.wrong) == 1 else "need"
    count_text = plural(len(report.wrong), "thing")
    out.print(Text(f"\n{count_text} {verb} attention.", "bold red"))


def _plugin_row(report: PluginReport) -> Row:
    mark = Text("✓", "green") if report.ok else Text("✗", "bold red")
    hooks = plural(len(report.info.hooks), "hook") if report.info else ""
    told = Text(hooks or "not running", "dim")
    if report.mode is Mode.DISABLED:
        mark, told = Text("-", "dim"), Text("disabled", "dim")
    row = Row([mark, report.name, Text(report.kind, "dim"), Text(report.mode, "dim"), told])
    if report.problem is not None:
        row.details.append(Text(report.problem.message, "red"))
        if report.problem.fatal:
            row.details.append(Text("the gateway does not start without it", "dim"))
    if report.complaint is not None:
        row.details.append(Text(report.complaint, "red"))
    return row


def _document(app: App, report: Report) -> dict[str, object]:
    return {
        "ok": not report.wrong,
        "config": str(app.find_config()),
        "notes": list(report.notes),
        "servers": [server_document(each) for each in report.servers],
        "plugins": [
            {
                "name": each.name,
                "kind": each.kind,
                "mode": each.mode.value,
                "ok": each.ok,
                "running": each.info is not None,
                "hooks": list(each.info.hooks) if each.info else [],
                "problem": each.problem.message if each.problem else each.complaint,
                "fatal": bool(each.problem and each.problem.fatal),
            }
            for each in report.plugins
        ],
        "virtual_servers": [endpoint_document(each) for each in report.endpoints],
        "packages": list(report.packages),
        "audit": list(report.audit),
    }
