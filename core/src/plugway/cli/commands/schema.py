"""`plugway schema`: what editors complete and check a configuration with."""

from pathlib import Path

import click
from pydantic import BaseModel

from plugway.cli.app import App
from plugway.cli.kinds import load_kinds
from plugway.cli.options import declare, file_path
from plugway.config import schema


@declare("schema")
@click.option("--kinds", is_flag=True, help="Add what goes under `config:` of installed plugins.")
@click.option("-o", "--output", type=file_path, help="Write it to a file.")
def command(app: App, output: Path | None, *, kinds: bool) -> None:
    """Print the JSON Schema of the configuration.

    With --kinds the plugin packages are imported, and editors know their settings as well.
    """
    with app.spare_stdout():
        document = schema(_settings() if kinds else None)
    if output is None:
        app.document(document)
    else:
        app.write(output, document)


def _settings() -> dict[str, type[BaseModel]]:
    return {
        kind.source.name: kind.loaded.Config
        for kind in load_kinds()
        if isinstance(kind.loaded, type)
    }
