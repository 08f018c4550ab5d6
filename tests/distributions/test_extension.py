"""A package of somebody else's that adds a hook, a route and a command: built, installed, used."""

import json
import select
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.packaging

Run = Callable[..., str]

PYPROJECT = """
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"

[project]
name = "acme-scores"
version = "3.1"
requires-python = ">=3.11"
dependencies = ["plugway-hookspecs", "click"]

[project.entry-points."plugway.plugins.v1"]
scorer = "acme_scores:Scorer"
judge = "acme_scores:Judge"
acme_commands = "acme_scores.commands"
"""

PLUGINS = """
from dataclasses import dataclass

from plugway_hookspecs import (
    Context, Deny, HttpResponse, HttpRoute, Payload, Plugin, ToolCall, hookimpl, hookspec
)


@dataclass(frozen=True, slots=True)
class Score(Payload):
    text: str
    points: int = 0


class ScoreHooks:
    @hookspec
    async def acme_scored(self, payload: Score, context: Context) -> Score | Deny | None:
        "See a score."


class Scorer(Plugin):
    @staticmethod
    @hookimpl
    def register_hooks(registrar):
        registrar.add(ScoreHooks)

    @hookimpl
    def plugin_startup(self, host):
        self.host = host

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context):
        text = payload.arguments["text"]
        scored = await self.host.fire("acme_scored", Score(text), context)
        return payload.replace(arguments={"text": f"{text} {scored.payload.points}"})

    @hookimpl
    async def register_routes(self):
        return [HttpRoute("/about", self.about)]

    async def about(self, request):
        return HttpResponse("scores since 2019")


class Judge(Plugin):
    @hookimpl
    def acme_scored(self, payload):
        return payload.replace(points=len(payload.text))
"""

COMMANDS = """
import click

from plugway_hookspecs import hookimpl


@click.command("acme")
def acme():
    "Say hello."
    click.echo("hello from acme")


@hookimpl
def register_commands(cli):
    cli.add_command(acme)
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
def installed(
    tmp_path: Path, build: Callable[[Path], Path], bare: Path, run: Run
) -> Iterator[Path]:
    """The command `plugway` of an environment that has the package."""
    project = tmp_path / "acme-scores"
    package = project / "src" / "acme_scores"
    package.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(PLUGINS)
    (package / "commands.py").write_text(COMMANDS)
    run(bare, "-m", "pip", "install", "--quiet", "--no-index", build(project))
    yield bare.with_name("plugway")
    run(bare, "-m", "pip", "uninstall", "--quiet", "--yes", "acme-scores")


@pytest.fixture
def workplace(tmp_path: Path, bare: Path) -> Path:
    """A folder with an MCP server and a configuration that uses the plugins."""
    (tmp_path / "server.py").write_text(SERVER)
    server = {"command": str(bare), "args": [str(tmp_path / "server.py")]}
    plugins = [{"name": name, "kind": name} for name in ("judge", "scorer")]
    config = {"mcpServers": {"echo": server}, "plugins": plugins, "gateway": {"token": "let-me-in"}}
    (tmp_path / "plugway.yaml").write_text(json.dumps(config))
    return tmp_path


@contextmanager
def served(plugway: Path, workplace: Path) -> Generator[str]:
    """Run `plugway serve` on a free port; yields its address."""
    command = [str(plugway), "serve", "--port", "0", "--json"]
    said = b""
    # unbuffered, so that `select` knows of all there is to read
    with subprocess.Popen(command, cwd=workplace, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            assert process.stdout is not None
            while not said.endswith(b"\n}\n"):
                assert select.select([process.stdout], [], [], 60)[0], "it does not say where it is"
                line = process.stdout.readline()
                assert line, "it has ended"
                said += line
            yield str(json.loads(said)["url"]).removesuffix("/mcp")
        finally:
            process.terminate()


def test_a_package_adds_a_hook_a_route_and_a_command(
    installed: Path, workplace: Path, run: Run
) -> None:
    assert run(installed, "acme", cwd=workplace) == "hello from acme\n"
    hooks = json.loads(run(installed, "hooks", "--kinds", "--json", cwd=workplace))
    assert {hook["name"]: hook["package"] for hook in hooks}["acme_scored"] == "acme-scores 3.1"
    call = (installed, "call", "echo__say", "--args", '{"text": "hello"}', "--json")
    result = json.loads(run(*call, cwd=workplace))["result"]
    assert result["content"] == [{"type": "text", "text": "hello 5"}]
    with served(installed, workplace) as url:
        headers = {"Authorization": "Bearer let-me-in"}
        with urlopen(Request(f"{url}/plugins/scorer/about", headers=headers), timeout=60) as answer:
            assert answer.read() == b"scores since 2019"
