"""What errors mean to the person at the terminal."""

import io
import signal
from pathlib import Path
from typing import Any

import click
import pytest

from plugway.cli.failures import report
from plugway.cli.output import console
from plugway.cli.running import InterruptedRunError
from plugway.errors import ConfigError, InvalidConfigError, StartupError
from plugway_hookspecs import PluginError, ServerUnavailableError


def reported(error: BaseException) -> tuple[int, list[str]]:
    file = io.StringIO()
    code = report(error, console(file), verbose=False)
    return code, file.getvalue().splitlines()


BAD = ConfigError("is wrong", file=Path("a.yaml"), line=3, path="x")


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (BAD, 2, ["plugway: a.yaml:3: x: is wrong"]),
        (
            InvalidConfigError([BAD, ConfigError("too")]),
            2,
            ["plugway: a.yaml:3: x: is wrong", "plugway: configuration: too"],
        ),
        (StartupError(["one", "two"]), 1, ["plugway: one", "plugway: two"]),
        (click.UsageError("no"), 2, ["plugway: no"]),
        (PluginError("failed", plugin="p", hook="h"), 1, ["plugway: plugin 'p' in h: failed"]),
        (FileNotFoundError(2, "No such file", "f"), 1, ["plugway: f: no such file"]),
        (KeyboardInterrupt(), 130, ["plugway: interrupted"]),
        (InterruptedRunError(signal.SIGTERM), 143, ["plugway: interrupted"]),
    ],
)
def test_an_expected_error_is_one_sentence_for_each_thing_wrong(
    error: BaseException, code: int, lines: list[str]
) -> None:
    assert reported(error) == (code, lines)


def test_groups_are_unwrapped_to_the_errors_that_mean_something() -> None:
    down = ServerUnavailableError("server 's' is down", server="s")
    inner = BaseExceptionGroup("inner", [RuntimeError("noise"), down])
    outer: Any = BaseExceptionGroup("outer", [inner, down])
    assert reported(outer) == (1, ["plugway: server 's' is down"])


def test_an_unexpected_error_is_a_bug_with_the_way_to_its_traceback() -> None:
    code, (line,) = reported(ZeroDivisionError("s3cret"))
    assert code == 1
    assert line.startswith("plugway: it raised ZeroDivisionError; this is a bug")
    assert "-v" in line


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    report(ConfigError("is wrong").with_traceback(None), console(io.StringIO()), verbose=True)
    assert "plugway.errors.ConfigError: configuration: is wrong" in capsys.readouterr().err
