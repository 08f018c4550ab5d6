import re
import runpy
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from plugway import methods
from plugway.methods import FETCHES
from plugway.plugins.hookcheck import implementations, validate_hooks
from plugway_builtin_plugins import patterns
from plugway_builtin_plugins.deny_list import DenyList
from plugway_builtin_plugins.pii_filter import PiiFilter
from plugway_builtin_plugins.regex_transform import RegexTransform
from plugway_builtin_plugins.result_cache import ResultCache
from plugway_builtin_plugins.retry import Retry
from plugway_builtin_plugins.schema_guard import SchemaGuard, compiler
from plugway_builtin_plugins.selections import EVERYTHING, RESULTS, hooks_of
from plugway_builtin_plugins.stats import Stats, figures
from plugway_hookspecs import ENTRY_POINT_GROUP, Plugin, PluginConfig

KINDS: dict[str, type[Plugin]] = {
    "pii_filter": PiiFilter,
    "deny_list": DenyList,
    "regex_transform": RegexTransform,
    "schema_guard": SchemaGuard,
    "result_cache": ResultCache,
    "retry": Retry,
    "stats": Stats,
}
CALLS = {fetch.pre for fetch in FETCHES.values()}
HOOKS: dict[type[Plugin], Any] = {
    PiiFilter: hooks_of(EVERYTHING) | {"register_hooks", "plugin_startup"},
    SchemaGuard: {"tool_pre_invoke", "tool_post_invoke"},
    ResultCache: CALLS,
    Retry: CALLS,
    Stats: CALLS | {fetch.post for fetch in FETCHES.values()} | {"register_routes"},
}
README = Path(__file__).parents[2] / "builtin_plugins" / "README.md"


def shipped() -> dict[str, type[Plugin]]:
    points = entry_points(group=ENTRY_POINT_GROUP)
    return {
        point.name: point.load()
        for point in points
        if point.value.startswith("plugway_builtin_plugins.")
    }


def test_every_kind_is_found_by_its_name() -> None:
    assert shipped() == KINDS


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_kind_says_in_one_line_what_it_does(kind: type[Plugin]) -> None:
    first = (kind.__doc__ or "").partition("\n")[0]
    assert 20 < len(first) < 100
    assert first.endswith(".")


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_option_is_described_in_the_schema_of_a_configuration(kind: type[Plugin]) -> None:
    schema = kind.Config.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    undescribed = [
        name
        for model in models
        for name, option in model.get("properties", {}).items()
        if "description" not in option
    ]
    assert undescribed == []


@pytest.mark.parametrize("kind", KINDS.values())
def test_hooks_are_marked_and_take_what_the_contract_gives(kind: type[Plugin]) -> None:
    assert validate_hooks(kind) == []
    hooks = set(implementations(kind).values())
    assert hooks == HOOKS.get(kind, hooks_of(EVERYTHING))


def test_groups_of_hooks_cover_every_hook_that_has_a_payload() -> None:
    assert hooks_of(EVERYTHING) == methods.HOOKS.keys()
    assert hooks_of(["tool_pre_invoke", "results"]) == RESULTS | {"tool_pre_invoke"}


@pytest.mark.parametrize(
    ("module", "needs", "extra"),
    [
        (patterns, "re2", "regex"),
        (compiler, "jsonschema_rs", "schema"),
        (figures, "prometheus_client", "stats"),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, needs: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, needs, None)
    with pytest.raises(ImportError, match=rf"plugway-builtin-plugins\[{extra}\]"):
        runpy.run_path(str(module.__file__))


def examples() -> list[tuple[str, dict[str, Any]]]:
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    yaml: Any = YAML(typ="safe")
    entries = [entry for block in blocks for entry in yaml.load(block)["plugins"]]
    return [(entry["kind"], entry.get("config", {})) for entry in entries]


def test_every_kind_has_an_example_in_the_documentation() -> None:
    assert {kind for kind, _ in examples()} == set(KINDS)


@pytest.mark.parametrize(("kind", "config"), examples())
def test_examples_in_the_documentation_work(kind: str, config: dict[str, Any]) -> None:
    settings: PluginConfig = KINDS[kind].Config.model_validate(config)
    assert KINDS[kind](settings, name="example").name == "example"


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_documented(kind: str) -> None:
    section = README.read_text().partition(f"## `{kind}`")[2].partition("\n## ")[0]
    for option in KINDS[kind].Config.model_fields:
        assert f"`{option}`" in section, option


@pytest.mark.parametrize("kind", [PiiFilter, DenyList, RegexTransform])
def test_groups_of_hooks_are_named_in_the_documentation(kind: type[Plugin]) -> None:
    groups = ", ".join(f"`{group}`" for group in EVERYTHING)
    assert groups in str(kind.Config.model_json_schema())
    assert all(f"`{hook}`" in README.read_text() for hook in hooks_of(EVERYTHING))
