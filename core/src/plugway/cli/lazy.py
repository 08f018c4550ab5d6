"""The group of all commands: built-in ones are imported when they are called, not before."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from plugway.cli.helptext import HelpContext


@dataclass(frozen=True, slots=True)
class Builtin:
    """A command that comes with the gateway."""

    module: str
    """The module under `plugway.cli.commands` whose `command` it is."""
    summary: str
    """What help says, so that help need not import the module."""

    def load(self) -> click.Command:
        """Import the command."""
        found: click.Command = import_module(f"plugway.cli.commands.{self.module}").command
        return found


_ADDED = "plugway.added_commands"


class LazyGroup(click.Group):
    """Built-in commands by table, then whatever installed packages add.

    Packages are searched only for a name that is not built in, and for help.
    """

    context_class = HelpContext

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, Builtin]],
        exit_codes: Mapping[str, str],
        **attributes: Any,
    ) -> None:
        """Take the built-in commands, by the heading that help puts them under."""
        super().__init__(*args, **attributes)
        self.sections = sections
        self.exit_codes = exit_codes
        self.builtin = {name: each for part in sections.values() for name, each in part.items()}

    def added(self, ctx: click.Context) -> Mapping[str, click.Command]:
        """Return the commands of installed packages; they are searched once, when it is needed."""
        known: dict[str, Any] = ctx.find_root().meta
        if _ADDED not in known:
            from plugway.cli.extensions import find_commands  # noqa: PLC0415 - quick start-up

            known[_ADDED] = find_commands(frozenset(self.builtin))
        commands: Mapping[str, click.Command] = known[_ADDED]
        return commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return [*self.builtin, *self.added(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if (found := self.builtin.get(cmd_name)) is not None:
            return found.load()
        return self.added(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to run; a name that nobody has is an error with a suggestion."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, without importing the built-in ones."""
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, each.summary) for name, each in commands.items()])
        if shown := {name: each for name, each in self.added(ctx).items() if not each.hidden}:
            with formatter.section("From installed packages"):
                rows = [(name, each.get_short_help_str(60)) for name, each in shown.items()]
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the exit codes mean."""
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl(list(self.exit_codes.items()))
