"""Where the process starts and ends: every error becomes a sentence and an exit code."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

import click

from plugway.cli.app import App
from plugway.cli.root import root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line, by default the process's own, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign is no failure
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    app = App()
    try:
        code: object = root.main(
            None if arguments is None else list(arguments),
            prog_name="plugway",
            standalone_mode=False,
            obj=app,
        )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return app.report(KeyboardInterrupt())
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the last one to see it
        return _closed() if _is_broken_pipe(error) else app.report(error)
    return code if isinstance(code, int) else 0


def _is_broken_pipe(error: BaseException) -> bool:
    """Whether nobody reads standard output any more, as after `| head`."""
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())  # of an exception group
    return isinstance(error, BrokenPipeError) or any(map(_is_broken_pipe, inner))


def _closed() -> int:
    with suppress(OSError, ValueError):
        sys.stdout.close()
    return 0
