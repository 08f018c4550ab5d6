import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

RESERVED = {
    "mcp": {"core", "external_bridge"},
    "mcp_types": {"core", "external_bridge"},
    "anyio": {"core", "external_bridge"},
    "importlib_metadata": {"core"},
    "plugway": set[str](),
    "plugway_builtin_plugins": set[str](),
    "plugway_external_bridge": set[str](),
}
"""Who may import these, besides the package itself."""

SAME_VERSION = {"mcp-types": "mcp", "pydantic-core": "pydantic"}
"""Distributions that come in exactly one version with the one that is declared."""

DYNAMIC = "computed at run time"
"""The name under which imports are listed whose names can't be read off the source."""

Imported = dict[str, list[str]]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module, node.lineno
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module")):
                yield DYNAMIC, node.lineno
            case _:
                pass


@pytest.fixture
def imported(root: Path, member: str) -> Imported:
    """Every top-level name that a member imports anywhere, with the places."""
    found: Imported = {}
    for file in sorted((root / member / "src").rglob("*.py")):
        for name, line in modules(ast.parse(file.read_text())):
            place = f"{file.relative_to(root)}:{line}"
            found.setdefault(name.partition(".")[0], []).append(place)
    assert found
    return found


def test_a_member_declares_every_distribution_that_it_imports(
    projects: dict[str, dict[str, Any]], member: str, imported: Imported
) -> None:
    project = projects[member]
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    needs: list[str] = [*project["dependencies"], *(n for extra in extras.values() for n in extra)]
    declared = {normal(re.split(r"[\[<>=!~; ]", need, maxsplit=1)[0]) for need in needs}
    homes = packages_distributions()
    own = normal(project["name"])
    undeclared: Imported = {}
    for name, places in imported.items():
        sources = {normal(home) for home in homes.get(name, [name])}
        sources |= {SAME_VERSION.get(source, source) for source in sources}
        if name not in (sys.stdlib_module_names | {DYNAMIC}) and not sources & (declared | {own}):
            undeclared[name] = places
    assert undeclared == {}


def test_the_contract_needs_pluggy_and_pydantic_and_nothing_else(
    projects: dict[str, dict[str, Any]],
) -> None:
    needs = projects["hookspecs"]["dependencies"]
    assert [re.split(r"[<>=]", need)[0] for need in needs] == ["pluggy", "pydantic"]
    assert "optional-dependencies" not in projects["hookspecs"]


def test_the_shipped_plugins_need_what_every_plugin_author_needs(
    projects: dict[str, dict[str, Any]],
) -> None:
    needs = projects["builtin_plugins"]["dependencies"]
    assert {re.split(r"[<>=]", need)[0] for need in needs} <= {"plugway-hookspecs", "pydantic"}


def test_a_member_leaves_to_others_what_is_theirs(
    member: str, package: str, imported: Imported
) -> None:
    stolen = {
        name: places
        for name, places in imported.items()
        if name != package and member not in RESERVED.get(name, {member})
    }
    assert stolen == {}


def test_plugins_and_bridge_import_nothing_by_computed_names(
    imported: Imported, member: str
) -> None:
    assert member == "core" or DYNAMIC not in imported
