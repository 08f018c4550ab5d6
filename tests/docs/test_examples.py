"""Every example in the documentation is executed, each in its own way."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest
from _pytest.mark import ParameterSet

from plugway.cli.root import root as cli
from plugway.config import Config, parse
from plugway.plugins.discovery import discover
from plugway_hookspecs import Plugin

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("*/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\$\{(\w+)")


def examples(language: str) -> list[ParameterSet]:
    found: list[ParameterSet] = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def check_configuration(text: str) -> Config:
    """Read a configuration with all its variables set, and check each kind's own settings."""
    config = parse(
        text,
        file=None,
        env=dict.fromkeys(VARIABLE.findall(text), "a value that is long enough for keys"),
    )
    found = discover()
    for entry in config.plugins:
        if entry.kind not in found.kinds:
            continue
        kind = found.kind(entry.kind).load()
        if isinstance(kind, type):
            server = {} if entry.server is None else {"server": entry.server}
            kind.Config.model_validate({**server, **entry.config})
    return config


@pytest.mark.parametrize("code", examples("python"))
def test_python_examples_run(code: str) -> None:
    module = ModuleType("example")
    exec(compile(code, "example", "exec"), vars(module))
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == "example"
    ]
    for kind in kinds:
        assert kind.Config.model_json_schema()["type"] == "object"


@pytest.mark.parametrize("text", examples("yaml"))
def test_yaml_examples_are_configurations(text: str) -> None:
    if not re.search(r"^(plugins|mcpServers|gateway|audit):", text, re.MULTILINE):
        text = "plugins:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    check_configuration(text)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_example_configurations_are_valid(path: Path) -> None:
    assert check_configuration(path.read_text()).plugins


@pytest.mark.parametrize("text", examples("json"))
def test_json_examples_are_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", examples("toml"))
def test_toml_examples_are_toml(text: str) -> None:
    tomllib.loads(text)


@pytest.mark.parametrize("text", examples("console"))
def test_commands_in_examples_exist(text: str) -> None:
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] != ["plugway"]:
            continue
        arguments = words[1:]
        while arguments and arguments[0].startswith("-"):
            arguments = arguments[2:]
        command = cli.get_command(click.Context(cli), arguments[0])
        assert command is not None, line
        options = {name for each in command.params for name in each.opts} | {"--help"}
        used = {word.partition("=")[0] for word in arguments[1:] if word.startswith("-")}
        assert used <= options, line


def test_the_readmes_plugin_is_the_one_in_the_examples() -> None:
    readme = next(
        m[2] for m in FENCE.finditer((ROOT / "README.md").read_text()) if m[1] == "python"
    )
    example = (ROOT / "examples" / "no_weekends" / "no_weekends.py").read_text()
    assert readme.partition("\n")[2] == example.partition("\n\n")[2]
