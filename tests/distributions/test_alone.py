"""Each member in an environment that has nothing but what it declares."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

Run = Callable[..., str]
Install = Callable[..., Path]

IMPORT = """
import json, sys, time
from importlib import import_module
began = time.perf_counter()
import_module(sys.argv[1])
took = time.perf_counter() - began
from importlib.metadata import distributions
names = sorted(found.name for found in distributions())
print(json.dumps({"seconds": took, "modules": sorted(sys.modules), "distributions": names}))
"""

LOAD = """
import json, sys
from importlib.metadata import distribution
from pydantic import ValidationError
from plugway_hookspecs import Plugin
loaded = {}
for point in distribution(sys.argv[1]).entry_points:
    kind = point.load()
    loaded[point.name] = isinstance(kind, type) and issubclass(kind, Plugin)
    if loaded[point.name]:
        try:
            kind(kind.Config(), name="x")
        except ValidationError as error:
            assert {found["type"] for found in error.errors()} == {"missing"}, error
print(json.dumps(loaded))
"""


def distributions(python: Path, run: Run) -> set[str]:
    return set(imported(python, run, "plugway_hookspecs")["distributions"])


def imported(python: Path, run: Run, module: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(python, "-c", IMPORT, module))
    return found


def kinds(python: Path, run: Run, distribution: str) -> dict[str, bool]:
    found: dict[str, bool] = json.loads(run(python, "-c", LOAD, distribution))
    return found


def test_the_contract_alone_brings_no_http_stack_and_no_sdk(
    install: Install, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    python = install("hookspecs")
    found = imported(python, run, "plugway_hookspecs")
    assert found["distributions"] == [
        "annotated-types",
        "pluggy",
        "plugway-hookspecs",
        "pydantic",
        "pydantic_core",
        "typing-inspection",
        "typing_extensions",
    ]
    heavy = {"mcp", "mcp_types", "anyio", "httpx", "httpx2", "starlette", "importlib_metadata"}
    assert heavy.isdisjoint(found["modules"])
    with capsys.disabled():
        sys.stdout.write(f" import plugway_hookspecs: {found['seconds']:.3f} s ")


def test_the_shipped_plugins_load_with_the_contract_and_their_extras(
    install: Install, run: Run, projects: dict[str, dict[str, Any]]
) -> None:
    python = install("hookspecs", "builtin_plugins[all]")
    assert {"plugway", "mcp", "anyio"}.isdisjoint(distributions(python, run))
    declared = projects["builtin_plugins"]["entry-points"]["plugway.plugins.v1"]
    assert kinds(python, run, "plugway-builtin-plugins") == dict.fromkeys(declared, True)


def test_the_shipped_plugins_import_without_their_extras(install: Install, run: Run) -> None:
    python = install("hookspecs", "builtin_plugins")
    imported(python, run, "plugway_builtin_plugins")
    assert {"google-re2", "jsonschema-rs"}.isdisjoint(distributions(python, run))


def test_the_bridge_loads_without_the_gateway(install: Install, run: Run) -> None:
    python = install("hookspecs", "external_bridge")
    assert {"plugway", "plugway-builtin-plugins"}.isdisjoint(distributions(python, run))
    found = kinds(python, run, "plugway-external-bridge")
    assert found == {"external": True, "host": False}


def test_the_gateway_starts_without_shipped_plugins_and_bridge(
    install: Install, run: Run, uv: Run
) -> None:
    python = install("hookspecs", "core", "builtin_plugins", "external_bridge")
    others = ("plugway-builtin-plugins", "plugway-external-bridge")
    uv("pip", "uninstall", "--python", python, *others)
    script = "from plugway.discovery import discover; import plugway.gateway; print(discover())"
    assert "plugway_builtin" not in run(python, "-c", script)
