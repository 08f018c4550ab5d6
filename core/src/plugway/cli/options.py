"""What every command has: `-c`, `-v` and `--json`, and the application as its first argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from plugway.cli.app import App
from plugway.cli.helptext import HelpContext

file_path = click.Path(path_type=Path)

CONFIG_HELP = (
    "The configuration: plugway's YAML, or a client's mcpServers JSON. "
    "Default: plugway.yaml or plugway.yml in this folder; $PLUGWAY_CONFIG."
)
VERBOSE_HELP = "Show debug logs and tracebacks."


class Command(click.Command):
    """A command of our own."""

    context_class = HelpContext


def declare(name: str) -> Callable[[Callable[..., int | None]], click.Command]:
    """Declare a command; what its function returns is the exit code, None means 0."""

    def made(function: Callable[..., int | None]) -> click.Command:
        command = click.command(name, cls=Command)(click.pass_obj(function))
        command.params += [_json(), _config(), _verbose()]
        return command

    return made


def _json() -> click.Option:
    def take(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.find_object(App).as_json = value  # type: ignore[union-attr]

    return _shared(["--json"], take, is_flag=True, help="Print one JSON document, for machines.")


def _config() -> click.Option:
    def take(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.find_object(App).config_file = value  # type: ignore[union-attr]

    return _shared(["-c", "--config"], take, type=file_path, help=CONFIG_HELP)


def _verbose() -> click.Option:
    def take(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.find_object(App).verbose = True  # type: ignore[union-attr]

    return _shared(["-v", "--verbose"], take, is_flag=True, help=VERBOSE_HELP)


def _shared(names: list[str], callback: Callable[..., None], **attributes: Any) -> click.Option:
    return click.Option(names, callback=callback, expose_value=False, **attributes)
