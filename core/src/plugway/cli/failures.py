"""What an error means to the person at the terminal: one sentence, and an exit code."""

import signal
import traceback
from collections.abc import Iterator, Sequence

import click
from rich.console import Console
from rich.text import Text

from plugway.cli.output import printable
from plugway.cli.running import InterruptedRunError
from plugway.errors import ConfigError, StartupError
from plugway.foreign import describe
from plugway_hookspecs import PlugwayError

WRONG = 1
"""It ran, and something is wrong."""
USAGE = 2
"""The configuration or the command line is wrong."""
DENIED = 3
"""A plugin denied the call."""
INTERRUPTED = 128 + signal.SIGINT

EXPECTED = (PlugwayError, OSError, click.ClickException, InterruptedRunError, KeyboardInterrupt)
"""What goes wrong in the ordinary course of things; everything else is a bug."""


def report(error: BaseException, err: Console, *, verbose: bool) -> int:
    """Print what an error means and return the exit code for it."""
    errors = list(leaves(error))
    if verbose and not isinstance(error, click.ClickException | KeyboardInterrupt):
        traceback.print_exception(error)
    for sentence in dict.fromkeys(text for each in errors for text in sentences(each)):
        print_error(err, sentence)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        err.print(Text(f"`{error.ctx.command_path} --help` tells more", "dim"))
    codes = [exit_code(each) for each in errors]
    return USAGE if USAGE in codes else codes[0]


def print_error(err: Console, sentence: str, *details: str) -> None:
    """Print a sentence that stands out, and what belongs to it under it."""
    err.print(Text.assemble(("plugway: ", "bold red"), printable(sentence)), soft_wrap=True)
    for detail in details:
        err.print(Text(f"  {printable(detail)}"), soft_wrap=True)


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group: the expected ones, or else all of them."""
    found = list(_leaves(error))
    return [each for each in found if isinstance(each, EXPECTED)] or found


def _leaves(error: BaseException) -> Iterator[BaseException]:
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())  # of an exception group
    if not inner:
        yield error
    for each in inner:
        yield from _leaves(each)


def sentences(error: BaseException) -> Sequence[str]:
    """Return what to print about one error."""
    match error:
        case KeyboardInterrupt() | InterruptedRunError():
            found: Sequence[str] = ["interrupted"]
        case ConfigError():
            found = [str(each) for each in error.errors]
        case StartupError():
            found = error.reasons
        case click.ClickException():
            found = [error.format_message()]
        case PlugwayError():
            found = [str(error)]
        case OSError():
            found = [_describe(error)]
        case _:
            advice = "this is a bug, run it again with -v for the traceback"
            found = [f"it {describe(error)}; {advice}"]  # its text may quote a secret
    return found


def _describe(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join([*names, what[:1].lower() + what[1:]])


def exit_code(error: BaseException) -> int:
    """Return the exit code for one error."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case InterruptedRunError():
            return 128 + error.number
        case ConfigError() | click.UsageError():
            return USAGE
        case click.ClickException():
            return error.exit_code
        case _:
            return WRONG
