"""`plugway tools`: what clients see, and what is missing there."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from plugway.cli.app import App
from plugway.cli.calling import MODERN
from plugway.cli.endpoints import check_endpoint
from plugway.cli.failures import WRONG
from plugway.cli.inspection import ServerReport, server_row, start_all
from plugway.cli.options import declare
from plugway.cli.output import Row, plural, print_rows
from plugway.config import Config
from plugway.dispatch.exchange import Request
from plugway.federation.catalog import Unavailable
from plugway.federation.lens import Lens
from plugway.federation.view import View
from plugway.gateway import VERSION, Gateway, open_gateway
from plugway.methods import LIST_METHOD, Kind
from plugway_hookspecs import Client

TITLES = {
    Kind.TOOL: "Tools",
    Kind.PROMPT: "Prompts",
    Kind.RESOURCE: "Resources",
    Kind.TEMPLATE: "Resource templates",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One tool, prompt, resource or template, as clients see it."""

    name: str
    server: str
    """Whose it is; empty where a plugin made it up."""
    definition: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The first line of its description."""
        text = self.definition.get("description") or self.definition.get("title") or ""
        return str(text).strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Listed:
    """One kind of thing, over all servers."""

    kind: Kind
    items: Sequence[Item]
    held_back: int
    """How many of the servers' own are not shown to clients, by the plugins' decision."""
    missing: Sequence[Unavailable]


@declare("tools")
@click.option("--prompts", is_flag=True, help="List the prompts, too.")
@click.option("--resources", is_flag=True, help="List the resources and their templates, too.")
@click.option("--all", "everything", is_flag=True, help="List everything.")
@click.option("--endpoint", metavar="NAME", help="List what this endpoint has, not all.")
def command(
    app: App, endpoint: str | None, *, prompts: bool, resources: bool, everything: bool
) -> int:
    """List the tools that clients see, after the plugins have had their say.

    The exit code is 1 if a server is missing.
    """
    app.log(logging.CRITICAL)
    kinds = [Kind.TOOL]
    kinds += [Kind.PROMPT] if prompts or everything else []
    kinds += [Kind.RESOURCE, Kind.TEMPLATE] if resources or everything else []
    config = app.load_config()
    if endpoint is not None:
        check_endpoint(config, endpoint)
    with app.err.status("starting …"):
        servers, listed = app.run(lambda _: _list_all(config, kinds, endpoint or ""))
    if app.as_json:
        app.document(_document(listed))
    else:
        for each in listed:
            _show(app, each, titled=len(listed) > 1)
        _show_missing(app, servers, listed)
    return WRONG if any(each.missing for each in listed) else 0


async def _list_all(
    config: Config, kinds: Sequence[Kind], endpoint: str
) -> tuple[list[ServerReport], list[Listed]]:
    async with open_gateway(config) as gateway:
        found = gateway.dispatcher.generation.endpoint(endpoint)
        assert found is not None  # noqa: S101 - for the type checker
        view = found.view
        names = [
            m.name
            for m in gateway.catalog.members
            if view.servers is None or m.name in view.servers
        ]
        upstreams = {name: gateway.upstreams[name] for name in names}
        servers = await start_all(upstreams, frozenset(names))
        return servers, [await _list(gateway, kind, view) for kind in kinds]


async def _list(gateway: Gateway, kind: Kind, view: View) -> Listed:
    lens = Lens(view, gateway.catalog)
    federated = await gateway.catalog.list(kind, servers=view.servers_of(kind))
    client = Client("plugway", VERSION, MODERN)
    request = Request(LIST_METHOD[kind], {}, client, modern=True, view=view)
    result = await gateway.dispatcher.handle(request)
    items: list[Item] = []
    for definition in result[kind.value]:
        name = str(definition.get(kind.identifier, ""))
        target = lens.known(kind, name)
        items.append(Item(name, target.member.name if target else "", definition))
    names = [lens.shown(kind, item[kind.identifier]) for item in federated.items]
    shown = {item.name for item in items}
    hidden = [each.name for each in names if each.name is not None and each.name not in shown]
    taken = [each.missing for each in names if each.missing is not None]
    return Listed(kind, items, len(hidden), [*federated.unavailable, *taken])


def _show(app: App, listed: Listed, *, titled: bool) -> None:
    out = app.out
    if titled:
        out.print(Text(TITLES[listed.kind], "bold underline"))
    servers = list(dict.fromkeys(item.server for item in listed.items))
    for server in servers:
        own = [item for item in listed.items if item.server == server]
        heading = Text(server or "made up by a plugin", "bold")
        out.print(heading + Text(f"  {len(own)}", "dim"))
        print_rows(out, [Row([Text(i.name, "cyan"), i.summary]) for i in own])
    if not listed.items:
        out.print(Text(f"There are no {TITLES[listed.kind].lower()}.", "dim"))
    if listed.held_back:
        out.print(Text(f"{plural(listed.held_back, 'more')} held back by plugins", "yellow"))


def _show_missing(app: App, servers: Sequence[ServerReport], listed: Sequence[Listed]) -> None:
    for report in servers:
        if not report.failure:
            reasons = [m.reason for one in listed for m in one.missing if m.server == report.name]
            report.problems = list(dict.fromkeys(reasons))
    if missing := [server_row(report) for report in servers if not report.ok]:
        app.out.print(Text("\nMissing", "bold red"))
        print_rows(app.out, missing)


def _document(listed: Sequence[Listed]) -> dict[str, Any]:
    missing = {(each.server, each.reason) for one in listed for each in one.missing}
    document: dict[str, Any] = {
        one.kind.value: [{**item.definition, "server": item.server} for item in one.items]
        for one in listed
    }
    document["held_back"] = {one.kind.value: one.held_back for one in listed}
    document["missing"] = [{"server": name, "reason": why} for name, why in sorted(missing)]
    return document
