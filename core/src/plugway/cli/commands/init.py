"""`plugway init`: a first configuration, with the servers that clients here already use."""

import json
import os
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from plugway.cli.app import DEFAULT_FILES, App, CommandLineError
from plugway.cli.importing.document import SCHEMA_FILE, compose
from plugway.cli.importing.servers import Imports, import_servers
from plugway.cli.importing.sources import Source, existing_sources, known_sources
from plugway.cli.options import declare, file_path
from plugway.cli.output import Row, plural, print_rows
from plugway.config import schema
from plugway.plugins.discovery import discover

AUDITOR = "pii_filter"


@declare("init")
@click.option(
    "--from",
    "files",
    type=file_path,
    multiple=True,
    metavar="FILE",
    help="Import this client's file (mcpServers JSON); may be repeated. "
    "Default: the files of Claude Desktop, Cursor and VS Code, and .mcp.json.",
)
@click.option(
    "-o",
    "--output",
    type=file_path,
    help=f"Where to write the configuration. Default: what -c names, or {DEFAULT_FILES[0]}.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def command(app: App, files: tuple[Path, ...], output: Path | None, *, force: bool) -> None:
    """Write a configuration; import the servers you already use.

    Asks nothing. Secrets are not copied: they become ${NAME}, and you are told which variables to
    set. Beside the configuration goes its JSON Schema, for editors.
    """
    output = output or app.config_file or Path(DEFAULT_FILES[0])
    if output.exists() and not force:
        message = f"{output} is there already: replace it with --force, or name another by --output"
        raise CommandLineError(message)
    sources = [Source(path) for path in files] or existing_sources()
    imports = import_servers(sources, strict=bool(files))
    output.write_text(_text(imports), encoding="utf-8")
    schema_file = output.with_name(SCHEMA_FILE)
    schema_file.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
    if app.as_json:
        app.document(_document(output, schema_file, imports))
    else:
        _show(app, output, schema_file, imports)


def _text(imports: Imports) -> str:
    return compose(imports.servers, audit=AUDITOR in discover().kinds)


def _document(output: Path, schema_file: Path, imports: Imports) -> dict[str, Any]:
    return {
        "file": str(output),
        "schema": str(schema_file),
        "servers": [{"name": s.name, "from": str(s.source.path)} for s in imports.servers],
        "variables": [
            {"name": v.name, "server": v.server, "place": v.place, "set": v.name in os.environ}
            for v in imports.vault.variables
        ],
        "notes": imports.notes,
    }


def _show(app: App, output: Path, schema_file: Path, imports: Imports) -> None:
    out = app.out
    out.print(Text.assemble("Wrote ", (str(output), "bold"), f" and {schema_file}."))
    _show_servers(app, imports)
    if imports.vault.variables:
        _show_variables(app, imports)
    for note in imports.notes:
        out.print(Text.assemble(("note: ", "yellow"), note))
    _show_next(app, output, imports)


def _show_servers(app: App, imports: Imports) -> None:
    out = app.out
    if imports.servers:
        out.print(f"\nImported {plural(len(imports.servers), 'server')}:")
        print_rows(out, [Row([s.name, Text(s.source.shown, "dim")]) for s in imports.servers])
        return
    out.print("\nNo servers were found to import. Looked for:")
    print_rows(out, [Row([s.shown, Text(s.client, "dim")]) for s in known_sources()])


def _show_variables(app: App, imports: Imports) -> None:
    app.out.print("\nSecrets stay where they are. The configuration wants them in variables:")
    rows: list[Row] = []
    for variable in imports.vault.variables:
        source = next(s.source for s in imports.servers if s.name == variable.server)
        is_set = variable.name in os.environ
        state = Text("set", "green") if is_set else Text("not set", "yellow")
        where = f"{variable.server}: {variable.place or 'a variable'} in {source.shown}"
        rows.append(Row([Text(variable.name, "bold"), state, Text(where, "dim")]))
    print_rows(app.out, rows)


def _show_next(app: App, output: Path, imports: Imports) -> None:
    unset = [v.name for v in imports.vault.variables if v.name not in os.environ]
    named = "" if str(output) in DEFAULT_FILES else f"-c {output} "
    app.out.print("\nNext:")
    steps = [
        Row([f"plugway {named}check", Text("start everything once, see what is wrong", "dim")])
    ]
    steps += [Row([f"plugway {named}serve", Text("run it; prints what your client needs", "dim")])]
    if unset:
        steps.insert(0, Row([f"export {unset[0]}=...", Text("and the others above", "dim")]))
    if not imports.servers:
        steps.insert(0, Row([f"edit {output}", Text("add a server under mcpServers", "dim")]))
    print_rows(app.out, steps)
