"""One run of the command line: its settings, where it writes, and how it ends.

Imports what is slow only where it is used: `plugway --help` has to be quick.
"""

import json
import logging
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from plugway.cli.running import Interrupts
    from plugway.config import Config
    from plugway_hookspecs import PluginRunner

T = TypeVar("T")

DEFAULT_FILES = ("plugway.yaml", "plugway.yml")


class CommandLineError(click.ClickException):
    """What was asked for can't be done; the sentence says what to do instead."""

    exit_code = 2


class App:
    """What commands share; implements `plugway_hookspecs.runner.Application`."""

    def __init__(self) -> None:
        """Start with the defaults; the options fill in the rest."""
        self.stdout = sys.stdout
        self.config_file: Path | None = None
        self.verbose = False
        self.as_json = False

    @cached_property
    def out(self) -> "Console":
        """Standard output, for people; with `--json` nothing is written there but the document."""
        from plugway.cli.output import console  # noqa: PLC0415

        return console(self.err.file if self.as_json else self.stdout)

    @cached_property
    def err(self) -> "Console":
        """Standard error, for people."""
        from plugway.cli.output import console  # noqa: PLC0415

        return console(sys.stderr)

    def document(self, value: Any) -> None:
        """Write the one JSON document that `--json` asks for."""
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        self.stdout.flush()

    def line(self, value: Any) -> None:
        """Write a JSON document in one line, where `--json` can't be a single one."""
        self.stdout.write(json.dumps(value) + "\n")
        self.stdout.flush()

    def write(self, file: Path, value: Any) -> None:
        """Write a JSON document to a file; with `--json` say so in one on standard output."""
        text = json.dumps(value, indent=2, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")
        if self.as_json:
            self.document({"file": str(file)})
        else:
            self.out.print(f"Wrote {file}.")

    def find_config(self) -> Path:
        """Return the configuration's path; raises `CommandLineError` where there is none."""
        if self.config_file is not None:
            return self.config_file
        for name in DEFAULT_FILES:
            if (path := Path(name)).is_file():
                return path
        raise CommandLineError(
            f"there is no {DEFAULT_FILES[0]} in this folder: write one with `plugway init`, "
            f"or name another file with `-c FILE`"
        )

    def load_config(self) -> "Config":
        """Read the configuration; raises `ConfigError` or `CommandLineError`."""
        from plugway.config import load  # noqa: PLC0415

        return load(self.find_config())

    def log(self, level: int) -> None:
        """Write logs of `level` and above to standard error; with `-v` all of them."""
        from plugway.cli.logs import write_logs  # noqa: PLC0415

        write_logs(level, verbose=self.verbose)

    def run(self, main: "Callable[[Interrupts], Awaitable[T]]") -> T:
        """Run a command's asynchronous part; SIGINT and SIGTERM end it in good order."""
        from plugway.cli.running import run  # noqa: PLC0415

        with self.spare_stdout():
            return run(main)

    @contextmanager
    def spare_stdout(self) -> Generator[None]:
        """Send what plugins print to standard error: standard output is the command's own."""
        with redirect_stdout(sys.stderr):
            yield

    def open_plugins(self, config: Path | None) -> "AbstractAsyncContextManager[PluginRunner]":
        """Start the plugins of a configuration file and stop them on exit."""
        from plugway.cli.plugins import open_plugins  # noqa: PLC0415

        self.log(logging.INFO)
        if config is not None:
            self.config_file = config
        return open_plugins(self.load_config)

    def report(self, error: BaseException) -> int:
        """Print an error as one clear sentence and return the exit code for it."""
        from plugway.cli.failures import report  # noqa: PLC0415

        return report(error, self.err, verbose=self.verbose)
