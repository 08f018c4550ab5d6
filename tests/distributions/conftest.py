"""The four distributions: as projects, as wheels built once, and in fresh environments."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = ("hookspecs", "core", "builtin_plugins", "external_bridge")
INHERITED = ("COVERAGE_PROCESS_START", "PYTHONPATH", "UV_PYTHON", "VIRTUAL_ENV")

Run = Callable[..., str]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def workspace() -> dict[str, Any]:
    """The root pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def projects() -> dict[str, dict[str, Any]]:
    """The `[project]` table of every member, by folder."""
    return {
        member: tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
        for member in MEMBERS
    }


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> str:
    """Each member in turn, as the folder it is in."""
    return str(request.param)


@pytest.fixture
def package(member: str) -> str:
    """The import package of the member."""
    return {"core": "plugway"}.get(member, f"plugway_{member}")


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command outside of this environment and return what it printed."""
    env = {name: value for name, value in os.environ.items() if name not in INHERITED}

    def run(*command: str | Path, cwd: Path | None = None, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        said = f"{done.stdout}\n{done.stderr}".strip()
        assert done.returncode == code, f"{command[0]} exited with {done.returncode}:\n{said}"
        return said if code else done.stdout

    return run


@pytest.fixture(scope="session")
def uv(run: Run) -> Run:
    """Run uv without the workspace's settings."""
    return partial(run, sys.executable, "-m", "uv", "--no-config", "--quiet")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, uv: Run) -> Path:
    """The folder with an sdist of every member, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--all-packages", "--out-dir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="session")
def build(uv: Run) -> Callable[[Path], Path]:
    """Build the project in a folder and return its wheel."""

    def build(project: Path) -> Path:
        uv("build", "--wheel", "--out-dir", project / "dist", cwd=project)
        return next((project / "dist").glob("*.whl"))

    return build


@pytest.fixture(scope="session")
def wheels(built: Path, projects: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Every member's wheel, by folder, as a requirement that no index can answer."""
    names = {member: project["name"] for member, project in projects.items()}
    return {
        member: next(built.glob(f"{name.replace('-', '_')}-*.whl")).as_uri()
        for member, name in names.items()
    }


@pytest.fixture(scope="session")
def constraints(workspace: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions that the workspace pins, as a file for installers."""
    file = tmp_path_factory.mktemp("pins") / "constraints.txt"
    file.write_text("\n".join(workspace["tool"]["uv"]["constraint-dependencies"]))
    return file


@pytest.fixture
def install(
    tmp_path: Path,
    projects: dict[str, dict[str, Any]],
    wheels: dict[str, str],
    constraints: Path,
    uv: Run,
) -> Callable[..., Path]:
    """Install members, such as `builtin_plugins[all]`, in a fresh venv and return its Python."""

    def install(*members: str) -> Path:
        uv("venv", "--python", sys.executable, tmp_path / "venv")
        python = tmp_path / "venv" / "bin" / "python"
        wanted: list[str] = []
        for member in members:
            folder, bracket, extras = member.partition("[")
            wanted.append(f"{projects[folder]['name']}{bracket}{extras} @ {wheels[folder]}")
        uv("pip", "install", "--python", python, "--constraints", constraints, *wanted)
        return python

    return install


@pytest.fixture(scope="session")
def bare(
    tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, str], constraints: Path, run: Run
) -> Path:
    """The Python of a plain venv in which plain pip installed the four wheels."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "-c", constraints, *wheels.values())
    return python
