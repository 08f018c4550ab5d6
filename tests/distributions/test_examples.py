"""The packages that are there to copy install as they are, and their own tests pass there."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

Run = Callable[..., str]
FENCE = re.compile(r"^```(?:python|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def readme_files(root: Path) -> Iterator[tuple[str, str]]:
    """The plugin that README writes: its module, its project file and its test."""
    plugin, project, test, *_ = FENCE.findall((root / "README.md").read_text())
    for code in (plugin, project):
        yield code.partition("\n")[0].removeprefix("# "), code
    yield "test_no_weekends.py", test


@pytest.fixture
def projects_to_copy(root: Path, tmp_path: Path) -> list[Path]:
    """The folders of the packages in `examples/`, and of README's own."""
    examples = [path.parent for path in sorted((root / "examples").glob("*/pyproject.toml"))]
    copies = [shutil.copytree(path, tmp_path / path.name) for path in examples]
    readme = tmp_path / "readme"
    readme.mkdir()
    for name, text in readme_files(root):
        (readme / name).write_text(text)
    return [*copies, readme]


def test_packages_to_copy_install_and_pass_their_own_tests(
    projects_to_copy: list[Path], install: Callable[..., Path], uv: Run, run: Run
) -> None:
    python = install("hookspecs", "core[testing]", "builtin_plugins", "external_bridge")
    for project in projects_to_copy:
        uv("pip", "install", "--python", python, project)
        assert "passed" in run(python, "-m", "pytest", "-q", cwd=project)
    listed = run(python.with_name("plugway"), "plugins", "--kinds")
    assert "(plugway-no-weekends 1.0)" in listed
    assert "(plugway-known-cards 1.0)" in listed
