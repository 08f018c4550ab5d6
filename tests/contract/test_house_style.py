"""Rules of the house that a machine can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = ("hookspecs", "core", "builtin_plugins", "external_bridge")
MODULES = {
    str(file.relative_to(ROOT / member / "src")): file
    for member in MEMBERS
    for file in sorted((ROOT / member / "src").rglob("*.py"))
}

CATCH_ALL = {
    "plugway/executor/background.py": "calls plugins, and opens a task group that would wrap",
    "plugway/executor/chain.py": "calls plugins",
    "plugway/cli/entry.py": "the last resort of the command line",
    "plugway/cli/extensions.py": "loads plugins' commands",
    "plugway/cli/reloading.py": "the last resort of a reload",
    "plugway/cli/running.py": "its task group would wrap what its block raises",
    "plugway/plugins/discovery.py": "loads plugins, reads packages' metadata",
    "plugway/dispatch/dispatcher.py": "the last resort of a request",
    "plugway/dispatch/parking.py": "what ends a parked request is raised to who waits",
    "plugway/plugins/lifecycle.py": "makes, starts and closes plugins",
    "plugway/downstream/routes.py": "calls plugins' HTTP routes",
    "plugway/plugins/hooktable.py": "loads the hooks that packages add",
    "plugway/plugins/specreader.py": "evaluates other packages' annotations",
    "plugway/plugins/opening.py": "starts plugins",
    "plugway/plugins/registry.py": "asks plugins for their health",
    "plugway/tasks.py": "its task group would wrap what its block raises",
    "plugway/upstream/opening.py": "a mistake in one server's upkeep must not end all others",
    "plugway/upstream/connector.py": "whatever a transport raises is the server's failure",
    "plugway/executor/wrapping.py": "calls plugins",
    "plugway/audit/entries.py": "reads what plugins gave to the record",
    "plugway/http1/dialling.py": "closes its sockets and raises again",
    "plugway/http1/pool.py": "closes the connection and raises again",
    "plugway/http1/response.py": "closes the connection and raises again",
    "plugway_external_bridge/client/breaker.py": "counts failures and raises them again",
}
"""Who may catch everything, and why."""

PLUGGY = {
    "plugway/cli/extensions.py",
    "plugway/executor/compiler.py",
    "plugway/plugins/hookcheck.py",
    "plugway/plugins/instances.py",
    "plugway/executor/wrapperspecs.py",
    "plugway_hookspecs/markers.py",
}
CALLS_HOOKS = {"plugway/cli/extensions.py", "plugway/executor/compiler.py"}


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def catches_all(module: str) -> Iterator[int]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ExceptHandler):
            caught = (
                ["any"] if node.type is None else ast.unparse(node.type).strip("()").split(", ")
            )
            if {"any", "Exception", "BaseException", "BaseExceptionGroup"} & set(caught):
                yield node.lineno


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_in_one_line_what_it_is_for(module: str) -> None:
    docstring = ast.get_docstring(tree(module))
    assert docstring
    first, *rest = docstring.splitlines()
    assert first.endswith((".", ":"))
    assert not rest or not rest[0]


def test_everything_is_caught_only_where_foreign_code_is_entered() -> None:
    catching = {module for module in MODULES if any(catches_all(module))}
    assert catching == CATCH_ALL.keys()


def test_only_those_who_compile_and_check_hooks_know_pluggy() -> None:
    importing = {
        module
        for module in MODULES
        if re.search(r"^(import|from) pluggy\b", MODULES[module].read_text(), re.MULTILINE)
    }
    assert importing == PLUGGY


def test_nobody_calls_hooks_past_the_chain() -> None:
    calling = {
        module
        for module in MODULES
        if re.search(r"\b(pm|manager|_markers|_READER)\.hook\b", MODULES[module].read_text())
    }
    assert calling == CALLS_HOOKS


@pytest.mark.parametrize("module", MODULES)
def test_nobody_uses_what_pluggy_keeps_to_itself(module: str) -> None:
    private = r"_hookexec|_inner_hookexec|_name2plugin|\._hookimpls|pluggy\._"
    assert not re.search(private, MODULES[module].read_text())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_be_read(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 400
