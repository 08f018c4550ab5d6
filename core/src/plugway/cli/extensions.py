"""Commands that installed packages add through the hook `register_commands`."""

from collections.abc import Mapping
from types import ModuleType

import click
import pluggy

from plugway.plugins.discovery import KindSource, discover
from plugway.plugins.hookcheck import implementations
from plugway_hookspecs import PROJECT, PlugwayError, Specs

_HOOK = "register_commands"


class Collector:
    """Takes the commands of one package; implements `plugway_hookspecs.CommandGroup`."""

    def __init__(self, taken: frozenset[str]) -> None:
        """Refuse the names that are `taken`."""
        self.taken = taken
        self.commands: dict[str, click.Command] = {}

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add one click command; raises `ValueError` where its name is taken."""
        chosen = name or cmd.name
        if not chosen:
            raise ValueError("a command needs a name")
        if chosen in self.taken or chosen in self.commands:
            raise ValueError(f"there is a command {chosen!r} already")
        self.commands[chosen] = cmd


def find_commands(taken: frozenset[str]) -> Mapping[str, click.Command]:
    """Return the commands of all packages; a broken package costs one line of warning.

    Only entry points that name a module are imported.
    """
    found: dict[str, click.Command] = {}
    for source in discover().kinds.values():
        if source.entry_point.attr:
            continue
        try:
            found |= _commands_of(source, taken | found.keys())
        except PlugwayError as error:
            warn(str(error))
        except Exception as error:  # noqa: BLE001 - foreign code
            warn(str(source.error(f"{type(error).__name__} in {_HOOK}: {error}", "update it")))
    return found


def _commands_of(source: KindSource, taken: frozenset[str]) -> dict[str, click.Command]:
    module = source.load()
    collector = Collector(taken)
    if isinstance(module, ModuleType) and _HOOK in implementations(module).values():
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(Specs)
        manager.register(module)
        manager.hook.register_commands(cli=collector)
    return collector.commands


def warn(message: str) -> None:
    """Print one line about a broken package."""
    click.echo(f"{click.style('plugway: warning:', fg='yellow')} {message}", err=True)
