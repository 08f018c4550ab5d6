#!/usr/bin/env python
"""Change the code in small ways with mutmut, and show the changes that no test notices.

    just mutate chain

What belongs together is in `[tool.mutation]` of pyproject.toml. mutmut wants all packages in one
`src/` of the folder that it runs and writes in, so it gets a copy: the checkout stays clean.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).parents[1]
FLOOR = 0.9
PATIENCE = 5.0
"""How many times as long as the tests need they may take, until they count as hanging."""
# two at a time; the same examples in the same order in every run
OPTIONS = ("--max-children", "2")
ENVIRONMENT = {"HYPOTHESIS_PROFILE": "ci", "PYTHONHASHSEED": "0"}
IGNORED = shutil.ignore_patterns("__pycache__", ".hypothesis", "node_modules")


class Target(TypedDict):
    """Modules, below their `src/`, and the tests that must notice what is wrong in them."""

    modules: list[str]
    tests: list[str]


def targets() -> dict[str, Target]:
    """Read what can be mutated from pyproject.toml."""
    found: dict[str, Target] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "mutation"
    ]
    return found


def copy(target: Target, scratch: Path) -> None:
    """Lay out sources, tests and settings as mutmut wants them."""
    for source in ROOT.glob("*/src"):
        shutil.copytree(source, scratch / "src", ignore=IGNORED, dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests", scratch / "tests", ignore=IGNORED)
    modules = [f"src/{module}" for module in target["modules"]]
    if missing := [path for path in (*modules, *target["tests"]) if not (scratch / path).exists()]:
        raise SystemExit(f"pyproject.toml: [tool.mutation] names what is not there: {missing}")
    settings = {
        "source_paths": ["src"],
        "only_mutate": modules,
        "pytest_add_cli_args_test_selection": target["tests"],
        "timeout_multiplier": PATIENCE,
    }
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    project = (ROOT / "pyproject.toml").read_text()
    (scratch / "pyproject.toml").write_text(f"{project}\n[tool.mutmut]\n{''.join(lines)}")


def mutmut(scratch: Path, *arguments: str, show: bool = False) -> str:
    """Run a command of mutmut; return what it prints, unless it is shown while it runs."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    output = None if show else subprocess.PIPE
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(  # noqa: S603 - the arguments are our own
        command, cwd=scratch, env=environment, check=True, stdout=output
    )
    return "" if show else done.stdout.decode()


def survivors(scratch: Path) -> list[str]:
    """Return the names of the mutants that no test noticed."""
    lines = (line.strip().rpartition(": ") for line in mutmut(scratch, "results").splitlines())
    return [name for name, _, status in lines if status and status != "timeout"]


def change(scratch: Path, mutant: str) -> str:
    """Return what a mutant is: the lines that differ."""
    lines = mutmut(scratch, "show", mutant).splitlines()
    return "\n".join(
        line for line in lines if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}
    )


def mutate(name: str, target: Target) -> bool:
    """Run all mutants of one target, print the survivors and the score; say whether it will do."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        copy(target, scratch)
        mutmut(scratch, "run", *OPTIONS, show=True)
        mutmut(scratch, "export-cicd-stats")
        counts: dict[str, int] = json.loads(
            (scratch / "mutants/mutmut-cicd-stats.json").read_text()
        )
        for mutant in survivors(scratch):
            print(f"\n{mutant}\n{change(scratch, mutant)}")
    # a test that hangs has noticed, too
    killed, total = counts["killed"] + counts["timeout"], counts["total"]
    print(f"\n{name}: {killed} of {total} killed, {killed / total:.1%}")
    return killed >= FLOOR * total


def main(names: Sequence[str]) -> None:
    """Mutate what is named, or everything; fail if too much survives."""
    known = targets()
    if unknown := set(names) - set(known):
        raise SystemExit(f"nothing is called {', '.join(unknown)}; there is {', '.join(known)}")
    passed = [mutate(name, known[name]) for name in names or known]
    raise SystemExit(0 if all(passed) else f"less than {FLOOR:.0%} killed")


if __name__ == "__main__":
    main(sys.argv[1:])
