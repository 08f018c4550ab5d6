"""What a terminal shows, and what a program reads."""

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from plugway.cli.output import Row, console, milliseconds, print_rows

Plugway = Callable[..., Any]


def on_a_terminal(*arguments: str, **variables: str) -> str:
    """Return what a command shows on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    command = [sys.executable, "-m", "plugway", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # how a terminal ends on Linux
                break
            if not chunk:
                break
            shown += chunk
    os.close(ours)
    assert process.returncode in {0, 1}
    return shown.decode()


@pytest.fixture
def busy(configure: Any, shop: dict[str, Any], dying: dict[str, Any]) -> None:
    plugins = [
        {
            "name": "a-plugin-with-quite-a-long-name",
            "kind": "pii_filter",
            "when": [{"tools": ["*"]}],
        },
        {"name": "gone", "kind": "there_is_none", "mode": "audit"},
    ]
    configure({"mcpServers": {"shop": shop, "dying": dying}, "plugins": plugins})


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["plugins"],
        ["tools", "--all"],
        ["hooks"],
        ["call", "shop__find", "-a", "name=Ada", "--explain"],
    ],
)
def test_on_a_terminal_there_are_colours_and_no_line_is_wider_than_it(
    busy: None, arguments: list[str]
) -> None:
    shown = on_a_terminal(*arguments)
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert (
        max(len(line.rpartition("\r")[2]) for line in text.replace("\r\n", "\n").split("\n")) <= 80
    )


def test_no_color_is_respected(busy: None) -> None:
    shown = on_a_terminal("hooks", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


def test_in_a_pipe_there_is_plain_text_and_nothing_is_folded(process: Plugway, busy: None) -> None:
    done = process("tools", env={"COLUMNS": "40"})
    assert "\x1b" not in done.out + done.err
    long = "shop__delete   Delete a customer."
    assert f"  {long}\n" in done.out
    assert not [line for line in done.out.splitlines() if line != line.rstrip()]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "plugway", "hooks"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_columns_line_up_and_details_stand_under_their_row() -> None:
    file = io.StringIO()
    rows = [Row(["a", "one"], ["because"]), Row([Text("bbb", "red"), "two"])]
    print_rows(console(file), rows, header=["NAME", "WHAT"])
    assert file.getvalue().splitlines() == [
        "  NAME  WHAT",
        "  a     one",
        "    because",
        "  bbb   two",
    ]


def test_on_a_narrow_terminal_cells_are_folded_in_their_column() -> None:
    file = io.StringIO()
    narrow = Console(file=file, width=40)
    print_rows(narrow, [Row(["n" * 30, "some words that do not fit in here"])])
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(lines).count("n" * 8) >= 1
    assert re.sub(r"\s|n{2,}", "", "".join(lines)) == "somewordsthatdonotfitinhere"


def test_control_characters_of_others_never_reach_the_terminal() -> None:
    file = io.StringIO()
    print_rows(console(file), [Row(["\x1b[31mred", "x"], ["\x07bell"])])
    assert "\x1b" not in file.getvalue()
    assert "\x07" not in file.getvalue()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(900, "1 µs"), (3_400, "3 µs"), (1_250_000, "1.2 ms"), (340_000_000, "340 ms")],
)
def test_durations_read_well(nanoseconds: int, text: str) -> None:
    assert milliseconds(nanoseconds) == text
