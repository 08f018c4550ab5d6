"""A plugin package of somebody else's: built, installed, configured, called, and removed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

Run = Callable[..., str]

PYPROJECT = """
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"

[project]
name = "acme-shout"
version = "3.1"
requires-python = ">=3.11"
dependencies = ["plugway-hookspecs"]

[project.entry-points."plugway.plugins.v1"]
shout = "acme_shout:Shout"
"""

PLUGIN = """
from plugway_hookspecs import Plugin, PluginConfig, ToolCall, hookimpl


class Shout(Plugin):
    class Config(PluginConfig):
        marks: int

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
        text = payload.arguments["text"].upper() + "!" * self.config.marks
        return payload.replace(arguments={"text": text})
"""

SERVER = """
from mcp.server import MCPServer

server = MCPServer("echo")


@server.tool()
def say(text: str) -> str:
    return text


server.run()
"""


@pytest.fixture
def wheel(tmp_path: Path, build: Callable[[Path], Path]) -> Path:
    project = tmp_path / "acme-shout"
    package = project / "src" / "acme_shout"
    package.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(PLUGIN)
    return build(project)


@pytest.fixture
def workplace(tmp_path: Path, bare: Path) -> Path:
    """A folder with an MCP server and a configuration that uses the plugin."""
    (tmp_path / "server.py").write_text(SERVER)
    server = {"command": str(bare), "args": [str(tmp_path / "server.py")]}
    (tmp_path / "plugway.yaml").write_text(
        f"mcpServers:\n  echo: {json.dumps(server)}\n"
        "plugins:\n  - {name: loud, kind: shout, config: {marks: 3}}\n"
    )
    return tmp_path


def test_an_installed_package_is_found_configured_and_called_and_missed_when_it_is_gone(
    bare: Path, wheel: Path, workplace: Path, run: Run
) -> None:
    plugway = bare.with_name("plugway")
    call = (plugway, "call", "echo__say", "--args", '{"text": "hello"}', "--json")
    run(bare, "-m", "pip", "install", "--quiet", "--no-index", wheel)
    try:
        kinds = json.loads(run(plugway, "plugins", "--kinds", "--json", cwd=workplace))["kinds"]
        assert {kind["name"]: kind["package"] for kind in kinds}["shout"] == "acme-shout 3.1"
        result = json.loads(run(*call, cwd=workplace))["result"]
        assert result["content"] == [{"type": "text", "text": "HELLO!!!"}]
    finally:
        run(bare, "-m", "pip", "uninstall", "--quiet", "--yes", "acme-shout")
    said = run(*call, cwd=workplace, code=1)
    assert "'shout'" in said
    assert "is not installed" in said
    assert "Traceback" not in said
