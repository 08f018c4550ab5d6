"""What a user gets from plain `pip install`."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.packaging

Run = Callable[..., str]

DISCOVER = """
import json
from plugway.plugins.discovery import discover
found = discover()
kinds = {name: kind.load().__name__ for name, kind in found.kinds.items()}
print(json.dumps({"kinds": kinds, "problems": list(map(str, found.problems))}))
"""


def test_a_wheel_holds_one_import_package_and_its_licence(
    member: str, package: str, wheels: dict[str, str]
) -> None:
    wheel = ZipFile(url2pathname(urlsplit(wheels[member]).path))
    names = wheel.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {package}
    assert f"{package}/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_an_sdist_builds_and_holds_nothing_but_the_member(built: Path, package: str) -> None:
    (sdist,) = built.glob(f"{package}-[0-9]*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {Path(*Path(name).parts[1:2]).name for name in archive.getnames()}
    assert inside - {""} <= {"src", "LICENSE", "README.md", "PKG-INFO", "pyproject.toml"} | {
        "pyproject.toml.orig"
    }


def test_pip_finds_nothing_missing_or_in_conflict(bare: Path, run: Run) -> None:
    assert run(bare, "-m", "pip", "check").strip() == "No broken requirements found."


def test_every_kind_is_found_through_entry_points_and_loads(
    bare: Path, run: Run, projects: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    found = json.loads(run(bare, "-c", DISCOVER, cwd=tmp_path))
    declared = {
        name
        for project in projects.values()
        for name in project.get("entry-points", {}).get("plugway.plugins.v1", {})
    }
    assert found["problems"] == []
    assert set(found["kinds"]) == declared


def test_the_command_is_installed_and_says_its_version(
    bare: Path, run: Run, projects: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    said = run(bare.with_name("plugway"), "--version", cwd=tmp_path)
    assert projects["core"]["version"] in said
