#!/usr/bin/env -S uv run python
"""Write the exact version of every package of the workspace to `constraint-dependencies`."""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from uv import find_uv_bin

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
TABLE = re.compile(r"^constraint-dependencies = \[.*?\]$", re.DOTALL | re.MULTILINE)
EXPORT = (
    *("export", "--quiet", "--all-packages", "--all-extras", "--all-groups"),
    *("--no-emit-workspace", "--no-hashes", "--no-annotate", "--no-header"),
)


def with_pins(text: str, pins: Iterable[str]) -> str:
    """Return the text of pyproject.toml with exactly these pins."""
    lines = "".join(f'  "{pin}",\n' for pin in pins)
    return TABLE.sub(lambda _: f"constraint-dependencies = [\n{lines}]", text, count=1)


def resolve(options: Sequence[str]) -> list[str]:
    """Resolve the workspace with uv and return one requirement per package, with its marker."""
    command = [find_uv_bin(), *EXPORT, *options]
    done = subprocess.run(command, cwd=PYPROJECT.parent, check=True, stdout=subprocess.PIPE)  # noqa: S603 - options are the developer's own
    return done.stdout.decode().splitlines()


def pin(options: Sequence[str]) -> None:
    """Resolve without the old pins; where that fails, they stay."""
    text = PYPROJECT.read_text()
    PYPROJECT.write_text(with_pins(text, ()))
    try:
        text = with_pins(text, resolve(options))
    finally:
        PYPROJECT.write_text(text)


if __name__ == "__main__":
    pin(sys.argv[1:])
