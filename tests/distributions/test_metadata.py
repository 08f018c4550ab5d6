import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

Projects = dict[str, dict[str, Any]]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace(".", "-")


def requirements(project: dict[str, Any]) -> list[str]:
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(need for extra in extras.values() for need in extra)]


def test_all_members_have_one_version(projects: Projects) -> None:
    assert len({project["version"] for project in projects.values()}) == 1


def test_members_require_each_other_in_exactly_their_version(
    projects: Projects, member: str
) -> None:
    versions = {project["name"]: project["version"] for project in projects.values()}
    own = projects[member]
    for need in requirements(own):
        name = name_of(need)
        if name in versions and name != own["name"]:
            assert need.endswith(f"=={versions[name]}"), need


def test_installing_plugway_brings_all_four(projects: Projects) -> None:
    needed = {name_of(need) for need in projects["core"]["dependencies"]}
    others = {project["name"] for folder, project in projects.items() if folder != "core"}
    assert others <= needed


def test_members_agree_on_the_bounds_of_what_they_share(projects: Projects) -> None:
    bounds: dict[str, set[str]] = {}
    for project in projects.values():
        for need in project["dependencies"]:
            bounds.setdefault(name_of(need), set()).add(re.sub(r"\[.*\]", "", need))
    assert {name: sorted(found) for name, found in bounds.items() if len(found) > 1} == {}


def test_a_member_carries_licence_readme_and_type_marker(
    root: Path, projects: Projects, member: str
) -> None:
    name = projects[member]["name"]
    assert (root / member / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()
    assert (root / member / "README.md").read_text().startswith(f"# {name}\n")
    assert (root / member / "src" / name.replace("-", "_") / "py.typed").is_file()


def test_members_say_the_same_about_licence_python_and_build(
    root: Path, projects: Projects, member: str
) -> None:
    shared = ("requires-python", "license", "license-files", "readme", "authors")
    assert {key: projects[member][key] for key in shared} == {
        key: projects["core"][key] for key in shared
    }
    head = "[project]"
    build = [(root / name / "pyproject.toml").read_text().split(head)[0] for name in projects]
    assert len(set(build)) == 1


def test_every_entry_point_names_something_that_exists(projects: Projects, member: str) -> None:
    project = projects[member]
    groups: list[dict[str, str]] = [project.get("scripts", {})]
    groups += project.get("entry-points", {}).values()
    for group in groups:
        for value in group.values():
            module, _, attribute = value.partition(":")
            found = import_module(module)
            assert not attribute or attrgetter(attribute)(found)


def test_every_direct_dependency_is_pinned(workspace: dict[str, Any], projects: Projects) -> None:
    pins: list[str] = workspace["tool"]["uv"]["constraint-dependencies"]
    direct: list[str] = [need for project in projects.values() for need in requirements(project)]
    direct += [need for group in workspace["dependency-groups"].values() for need in group]
    ours = {project["name"] for project in projects.values()}
    unpinned = {name_of(need) for need in direct} - {name_of(pin) for pin in pins} - ours
    assert not unpinned, "run `just pin --no-upgrade`"


def test_every_pin_is_exact(workspace: dict[str, Any]) -> None:
    for pin in workspace["tool"]["uv"]["constraint-dependencies"]:
        assert re.match(r"[a-z0-9-]+==[\w.]+( ; .+)?$", pin), pin


@pytest.mark.parametrize("missing", ["pywin32", "colorama"])
def test_a_package_of_another_platform_is_pinned_with_its_marker(
    workspace: dict[str, Any], missing: str
) -> None:
    pins: list[str] = workspace["tool"]["uv"]["constraint-dependencies"]
    (pin,) = [pin for pin in pins if name_of(pin) == missing]
    assert pin.endswith("; sys_platform == 'win32'")
