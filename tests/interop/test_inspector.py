"""The Inspector's command line against the gateway, over both transports, in every era."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_peers import TOURING, Peers, gateway_command, gateway_over_http, run

pytestmark = pytest.mark.interop

Inspect = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def gateways(peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A client's configuration with one gateway over HTTP, and one over stdio."""
    folder = tmp_path_factory.mktemp("inspector")
    config = folder / "plugway.yaml"
    servers = {"everything": peers.servers({}, folder)["everything"]}
    config.write_text(json.dumps({"mcpServers": servers}))
    with gateway_over_http(config) as url:
        command, *arguments = gateway_command(config, "--stdio")
        known = {
            "http": {"type": "streamable-http", "url": url},
            "stdio": {"command": command, "args": arguments},
        }
        file = folder / "mcp.json"
        file.write_text(json.dumps({"mcpServers": known}))
        yield file


@pytest.fixture(params=["legacy", "auto", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["http", "stdio"])
def inspect(
    request: pytest.FixtureRequest, era: str, peers: Peers, gateways: Path, tmp_path: Path
) -> Inspect:
    """Run the Inspector once and return the result that it prints."""

    def inspected(method: str, *arguments: str) -> dict[str, Any]:
        where = ("--config", gateways, "--server", request.param, "--protocol-era", era)
        how = ("--method", method, *arguments, "--format", "json", "--quiet")
        home = {**os.environ, "HOME": str(tmp_path)}
        said = run(*peers.inspector(), "--cli", *where, *how, timeout=TOURING, env=home)
        result: dict[str, Any] = json.loads(said)["result"]
        return result

    return inspected


def test_it_lists_tools(inspect: Inspect) -> None:
    names = {tool["name"] for tool in inspect("tools/list")["tools"]}
    assert {"everything__echo", "everything__get-sum"} <= names


def test_it_calls_a_tool(inspect: Inspect) -> None:
    result = inspect("tools/call", "--tool-name", "everything__get-sum", "--tool-arg", "a=2", "b=3")
    assert "5" in result["content"][0]["text"]


def test_it_gets_a_prompt(inspect: Inspect) -> None:
    name = "everything__args-prompt"
    result = inspect("prompts/get", "--prompt-name", name, "--prompt-args", "city=Rome")
    assert result["messages"][0]["content"]["text"] == "What's weather in Rome?"


def test_it_reads_a_resource(inspect: Inspect) -> None:
    result = inspect("resources/read", "--uri", "everything+demo://resource/dynamic/text/7")
    assert result["contents"][0]["text"].startswith("Resource 7:")
