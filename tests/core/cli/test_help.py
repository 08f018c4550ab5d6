"""Help, versions and the names of commands."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from plugway.cli.root import root

Plugway = Callable[..., Any]
BUILTIN = sorted(root.builtin)


def test_help_lists_every_command_and_what_the_exit_codes_mean(plugway: Plugway) -> None:
    done = plugway("--help")
    assert done.code == 0
    for name in BUILTIN:
        assert f"\n  {name} " in done.out
    for code in ("0", "1", "2", "3", "130"):
        assert f"\n  {code} " in done.out


@pytest.mark.parametrize("name", BUILTIN)
def test_the_summary_in_help_is_what_the_command_itself_says_it_does(name: str) -> None:
    command = importlib.import_module(f"plugway.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", BUILTIN)
def test_every_command_takes_json_config_and_verbose(plugway: Plugway, name: str) -> None:
    done = plugway(name, "--help")
    assert done.code == 0
    for option in ("--json", "--config", "--verbose"):
        assert option in done.out


def test_lines_of_help_fit_into_80_columns(plugway: Plugway) -> None:
    for arguments in [["--help"], *([name, "--help"] for name in BUILTIN)]:
        assert max(map(len, plugway(*arguments).out.splitlines())) <= 80


def test_without_a_command_help_is_an_error_message(plugway: Plugway) -> None:
    done = plugway()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: plugway ")
    assert "plugway:" not in done.err


def test_version_prints_the_version(plugway: Plugway) -> None:
    from importlib.metadata import version

    assert plugway("--version").out == f"plugway {version('plugway')}\n"


def test_an_unknown_command_is_an_error_with_a_suggestion(plugway: Plugway) -> None:
    done = plugway("sevre")
    assert (done.code, done.out) == (2, "")
    assert "there is no command 'sevre'; did you mean 'serve'?" in done.err


def test_an_unknown_option_is_a_usage_error(plugway: Plugway) -> None:
    done = plugway("check", "--jsno")
    assert done.code == 2
    assert "--jsno" in done.err
    assert "`plugway check --help` tells more" in done.err


@pytest.mark.parametrize("arguments", [["schema"], ["hooks"], ["init"], ["--version"]])
def test_what_needs_no_server_does_not_import_the_sdk(arguments: list[str]) -> None:
    code = (
        "import sys; from plugway.cli.entry import run\n"
        f"assert run({arguments!r}) == 0\n"
        "sys.exit(str({'mcp', 'uvicorn', 'starlette'} & sys.modules.keys()) "
        "if {'mcp', 'uvicorn', 'starlette'} & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_no_built_in_command() -> None:
    code = (
        "import sys; from plugway.cli.entry import run\n"
        "run(['--help'])\n"
        "loaded = [m for m in sys.modules if m.startswith('plugway.cli.commands.')]\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
