"""`plugway plugins`: the chains as they run, what is missing in them, and what could be added."""

import logging
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from plugway.cli.app import App
from plugway.cli.chains import Chains, Link, open_chains
from plugway.cli.failures import WRONG
from plugway.cli.kinds import Kind, load_kinds
from plugway.cli.options import declare
from plugway.cli.output import Row, print_rows
from plugway.plugins.discovery import Discovery, discover
from plugway.plugins.registry import Problem


@declare("plugins")
@click.option("--kinds", is_flag=True, help="Only list the installed kinds; nothing is started.")
def command(app: App, *, kinds: bool) -> int:
    """Show the chains as they run, what is missing in them, and which kinds are installed.

    Plugins are started to see what they consist of. The exit code is 1 if one is not running.
    """
    app.log(logging.CRITICAL)
    discovery = discover()
    chains = Chains({}, [], [], frozenset(), {}, [])
    if not kinds:
        config = app.load_config()
        with app.err.status("starting …"):
            chains = app.run(lambda _: open_chains(config, discovery))
    with app.spare_stdout():
        installed = [kind for kind in load_kinds(discovery) if not kind.only_adds_commands]
    if app.as_json:
        app.document(_document(chains, installed, discovery))
    else:
        if not kinds:
            _show_chains(app, chains)
        if kinds:
            _show_kinds(app, "Installed kinds", installed)
        else:
            unused = [kind for kind in installed if kind.source.name not in chains.used]
            _show_kinds(app, "Installed kinds, not in use", unused)
        _show_broken(app, [str(problem) for problem in discovery.problems])
    return WRONG if chains.problems else 0


def _show_chains(app: App, chains: Chains) -> None:
    out = app.out
    busy: dict[tuple[Link, ...], list[str]] = {}
    for hook, links in chains.links.items():
        busy.setdefault(tuple(links), []).append(hook)
    busy.pop((), None)
    for same, hooks in busy.items():
        packages = [f"  from {chains.added[hook]}" for hook in hooks if hook in chains.added]
        out.print(Text.assemble((", ".join(hooks), "bold cyan"), ("".join(packages), "dim")))
        header = ["", "NAME", "KIND", "MODE", "PRIORITY", "ON ERROR", "WHEN"]
        print_rows(out, [_row(link) for link in same], header=header)
        out.print()
    if not busy:
        out.print("No plugin is running; every request passes as it is.\n")
    if any("∥" in link.order for links in busy for link in links):
        out.print(Text("∥  these run at the same time; the first deny in order wins\n", "dim"))
    if chains.routes:
        out.print(Text(f"HTTP routes: {', '.join(chains.routes)}\n"))
    if chains.problems:
        out.print(Text("Not running", "bold red"))
        rows = [Row([Text(p.plugin, "bold"), _problem(p)]) for p in chains.problems]
        print_rows(out, rows)
        out.print()
    if chains.disabled:
        out.print(Text(f"Disabled: {', '.join(chains.disabled)}\n", "dim"))


def _row(link: Link) -> Row:
    kind = Text(link.kind, "magenta" if link.external else "")
    rest = [Text(link.mode), Text(str(link.priority)), Text(link.on_error), Text(link.when, "dim")]
    return Row([Text(link.order or "after", "dim"), Text(link.name, "bold"), kind, *rest])


def _problem(problem: Problem) -> Text:
    text = Text(problem.message, "red")
    return (
        text + Text("  (the gateway does not start without it)", "dim") if problem.fatal else text
    )


def _show_kinds(app: App, heading: str, kinds: Sequence[Kind]) -> None:
    if kinds:
        app.out.print(Text(heading, "bold"))
        print_rows(app.out, [_kind_row(kind) for kind in kinds])


def _kind_row(kind: Kind) -> Row:
    if kind.error is not None:
        cells = [Text("✗", "bold red"), Text(kind.source.name), Text(str(kind.error), "red")]
        return Row(cells)
    told = Text(kind.description)
    told.append(f"{' ' if kind.description else ''}({_package(kind)})", "dim")
    return Row(["", Text(kind.source.name, "cyan"), told])


def _package(kind: Kind) -> str:
    return kind.source.package


def _show_broken(app: App, problems: Sequence[str]) -> None:
    if problems:
        app.out.print(Text("\nBroken packages", "bold red"))
        print_rows(app.out, [Row([problem]) for problem in problems])


def _document(chains: Chains, kinds: Sequence[Kind], discovery: Discovery) -> dict[str, Any]:
    return {
        "chains": {
            hook: [
                {
                    "name": link.name,
                    "kind": link.kind,
                    "package": link.source,
                    "external": link.external,
                    "mode": link.mode,
                    "priority": link.priority,
                    "on_error": link.on_error,
                    "when": link.when,
                    "concurrent": "∥" in link.order,
                }
                for link in links
            ]
            for hook, links in chains.links.items()
        },
        "problems": [
            {"plugin": p.plugin, "message": p.message, "fatal": p.fatal} for p in chains.problems
        ],
        "disabled": list(chains.disabled),
        "hooks_added": dict(chains.added),
        "routes": list(chains.routes),
        "kinds": [
            {
                "name": kind.source.name,
                "package": _package(kind),
                "description": kind.description,
                "hooks": kind.hooks,
                "configured": kind.source.name in chains.used,
                "error": str(kind.error) if kind.error else None,
            }
            for kind in kinds
        ],
        "packages": [str(problem) for problem in discovery.problems],
    }
