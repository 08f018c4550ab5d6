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

START = """
import json, sys
from importlib.metadata import distribution
from plugway_hookspecs import Plugin
configs = json.loads(sys.argv[2])
plugins = {}
for point in distribution(sys.argv[1]).entry_points:
    found = point.load()
    if isinstance(found, type):
        config = found.Config.model_validate(configs.get(point.name, {}))
        plugins[point.name] = isinstance(found(config, name="x"), Plugin)
print(json.dumps(plugins))
"""

CONFIGS = {
    "deny_list": {"tools": ["*__delete_*"]},
    "external": {"server": "guard"},
    "regex_transform": {"rules": [{"pattern": "a", "replace": "b"}]},
}
"""The least that kinds need which have required settings."""


def distributions(python: Path, run: Run) -> set[str]:
    return set(imported(python, run, "plugway_hookspecs")["distributions"])


def imported(python: Path, run: Run, module: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(python, "-c", IMPORT, module))
    return found


def started(python: Path, run: Run, distribution: str) -> dict[str, bool]:
    found: dict[str, bool] = json.loads(run(python, "-c", START, distribution, json.dumps(CONFIGS)))
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


def test_the_shipped_plugins_start_with_the_contract_and_their_extras(
    install: Install, run: Run, projects: dict[str, dict[str, Any]]
) -> None:
    python = install("hookspecs", "builtin_plugins[all]")
    assert {"plugway", "mcp", "anyio"}.isdisjoint(distributions(python, run))
    declared = projects["builtin_plugins"]["entry-points"]["plugway.plugins.v1"]
    assert started(python, run, "plugway-builtin-plugins") == dict.fromkeys(declared, True)


def test_the_shipped_plugins_import_without_their_extras(install: Install, run: Run) -> None:
    python = install("hookspecs", "builtin_plugins")
    imported(python, run, "plugway_builtin_plugins")
    extras = {"google-re2", "jsonschema-rs", "prometheus-client"}
    assert extras.isdisjoint(distributions(python, run))


def test_the_bridge_starts_without_the_gateway(install: Install, run: Run) -> None:
    python = install("hookspecs", "external_bridge")
    assert {"plugway", "plugway-builtin-plugins"}.isdisjoint(distributions(python, run))
    assert started(python, run, "plugway-external-bridge") == {"external": True}


def test_the_gateway_starts_without_shipped_plugins_and_bridge(
    install: Install, run: Run, uv: Run
) -> None:
    python = install("hookspecs", "core", "builtin_plugins", "external_bridge")
    others = ("plugway-builtin-plugins", "plugway-external-bridge")
    uv("pip", "uninstall", "--python", python, *others)
    script = (
        "from plugway.plugins.discovery import discover; import plugway.gateway; print(discover())"
    )
    assert "plugway_builtin" not in run(python, "-c", script)
