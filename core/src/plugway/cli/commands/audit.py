"""`plugway audit`: read the audit file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from plugway.audit.place import audit_path
from plugway.audit.reading import follow_audit, put_aside, read_audit
from plugway.cli.app import App, CommandLineError
from plugway.cli.audited import Wanted, show_entry
from plugway.cli.failures import INTERRUPTED
from plugway.cli.options import declare, file_path
from plugway.cli.output import plural

Entries = Iterable[dict[str, Any]]


@declare("audit")
@click.argument("file", required=False, type=file_path, metavar="[FILE]")
@click.option("--plugin", help="Only requests in which this plugin had a turn.")
@click.option("--denied", is_flag=True, help="Only requests that a plugin denied.")
@click.option("--tool", help="Only calls of tools with this name, such as 'crm__*'.")
@click.option("--id", "request_id", help="Only the request with this id, or one that begins so.")
@click.option("--follow", is_flag=True, help="Go on with new lines; --json prints one each.")
def command(
    app: App,
    file: Path | None,
    plugin: str | None,
    tool: str | None,
    request_id: str | None,
    *,
    denied: bool,
    follow: bool,
) -> int:
    """Show the requests in the audit file, oldest first.

    Without FILE it is the one that the configuration names, with those that were put aside before
    it. Lines that a crash left half-written are counted and skipped.
    """
    wanted = Wanted(plugin, tool, request_id, denied=denied)
    unreadable: list[bytes] = []
    if follow:
        path = file or _configured(app)
        try:
            _print(app, filter(wanted, follow_audit(path, unreadable=unreadable.append)))
        except KeyboardInterrupt:
            return INTERRUPTED
    paths = [file] if file else put_aside(_configured(app))
    entries = filter(wanted, _read(paths, unreadable))
    if app.as_json:
        app.document({"entries": list(entries), "unreadable": len(unreadable)})
        return 0
    if not _print(app, entries):
        app.err.print(Text(f"no matching request in {', '.join(map(str, paths))}", "yellow"))
    if unreadable:
        skipped = plural(len(unreadable), "unreadable line")
        app.err.print(Text(f"{skipped} skipped: a crash or a full disk cut them short", "yellow"))
    return 0


def _configured(app: App) -> Path:
    config = app.load_config()
    if config.audit is None:
        raise CommandLineError(
            f"{app.find_config()} has no `audit:` block: name a file, or add `audit: {{file: ...}}`"
        )
    return audit_path(config, config.audit)


def _read(paths: list[Path], unreadable: list[bytes]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield from read_audit(path, unreadable=unreadable.append)


def _print(app: App, entries: Entries) -> bool:
    """Print the entries as they come; return whether there were any."""
    found = False
    for entry in entries:
        found = True
        if app.as_json:
            app.line(entry)
        else:
            show_entry(app, entry)
    return found
