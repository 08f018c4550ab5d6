"""Every example in the documentation is executed, each in its own way."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from plugway.config import parse
from plugway_hookspecs import Plugin

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("*/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(*languages: str) -> list[object]:
    found: list[object] = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 1
                name = f"{page.relative_to(ROOT)}:{line}"
                found.append(pytest.param(match[2], id=name))
    return found


@pytest.mark.parametrize("code", examples("python"))
def test_python_examples_run(code: str) -> None:
    module = ModuleType("example")
    exec(compile(code, "example", "exec"), vars(module))
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, Plugin) and kind.__module__ == "example":
            assert kind.__doc__ or kind.__name__


@pytest.mark.parametrize("text", examples("yaml"))
def test_yaml_examples_are_configurations(text: str, tmp_path: Path) -> None:
    class Environment(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return f"value-of-{name}"

        def __contains__(self, name: object) -> bool:
            return True

        def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
            return self[name]

    if "plugins:" not in text and "mcpServers:" not in text and "gateway:" not in text:
        text = "plugins:\n" + "\n".join(f"  {line}" for line in text.splitlines())
    parse(text, file=tmp_path / "plugway.yaml", env=Environment())


@pytest.mark.parametrize("text", examples("json"))
def test_json_examples_are_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", examples("toml"))
def test_toml_examples_are_toml(text: str) -> None:
    tomllib.loads(text)


@pytest.mark.parametrize("text", examples("console"))
def test_commands_in_examples_exist(text: str) -> None:
    from plugway.cli import cli

    for line in text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] != ["plugway"]:
            continue
        arguments = words[1:]
        while arguments and arguments[0].startswith("-"):
            arguments = arguments[2:]
        context = click.Context(cli)
        command = cli.get_command(context, arguments[0])
        assert command is not None, line
        options = {name for each in command.params for name in each.opts}
        used = {word.partition("=")[0] for word in arguments[1:] if word.startswith("-")}
        assert used <= options | {"--help"}, line
