"""`plugway init`: a first configuration."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugway.config import load

Plugway = Callable[..., Any]

TOKEN = "ghp_0123456789abcdefghij"


def write(path: str | Path, content: Any) -> Path:
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content if isinstance(content, str) else json.dumps(content))
    return target


def servers(env: dict[str, str] | None = None) -> dict[str, Any]:
    loaded = load(Path("plugway.yaml"), env=env or {})
    return {name: s.model_dump(exclude_unset=True) for name, s in loaded.servers.items()}


def test_without_any_client_it_writes_a_configuration_that_loads(plugway: Plugway) -> None:
    done = plugway("init")
    assert done.code == 0
    text = Path("plugway.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=plugway.schema.json\n")
    assert json.loads(Path("plugway.schema.json").read_text())["properties"]["mcpServers"]
    config = load(Path("plugway.yaml"))
    assert config.servers == {}
    assert [(p.kind, p.mode) for p in config.plugins] == [("pii_filter", "audit")]
    assert "No servers were found" in done.out
    assert "plugway check" in done.out


def test_its_examples_load_when_their_comment_signs_are_taken_away(plugway: Plugway) -> None:
    plugway("init")
    head, gap, rest = Path("plugway.yaml").read_text().partition("\n\n")
    code = re.compile(r"^( *)# ( *(?:\w+:|- ).*)$", re.MULTILINE)
    Path("plugway.yaml").write_text(head + gap + code.sub(r"\1\2", rest))
    config = load(Path("plugway.yaml"), env={"CRM_TOKEN": "t"})
    assert set(config.servers) == {"files", "crm"}
    assert [entry.name for entry in config.plugins] == ["pii", "no_deletes"]


@pytest.mark.parametrize(
    "place",
    [
        ".mcp.json",
        ".cursor/mcp.json",
        "~/.cursor/mcp.json",
        "~/.config/Claude/claude_desktop_config.json",
    ],
)
def test_it_imports_what_it_finds_in_the_places_of_clients(
    plugway: Plugway, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    entry = {"command": "npx", "args": ["-y", "@scope/files", "/data"]}
    write(place, {"mcpServers": {"files": entry}})
    done = plugway("init")
    assert servers() == {"files": entry}
    assert f"files  {place}" in done.out
    assert f"# from {place}" in Path("plugway.yaml").read_text()


def test_vs_code_files_are_imported_with_their_own_ways_of_writing(plugway: Plugway) -> None:
    write(
        ".vscode/mcp.json",
        """{ // with comments
          "inputs": [{"id": "api-key", "type": "promptString", "password": true}],
          "servers": {"web": {
            "type": "stdio", "command": "web", "args": ["${workspaceFolder}/x", "${userHome}"],
            "env": {"KEY": "${input:api-key}", "OTHER": "${env:OTHER}"},
          }},
        }""",
    )
    done = plugway("init")
    found = servers({"API_KEY": "k", "OTHER": "o"})["web"]
    assert found["args"] == [f"{Path.cwd()}/x", str(Path.home())]
    assert found["env"] == {"KEY": "k", "OTHER": "o"}
    assert "API_KEY" in done.out


def test_secrets_are_not_copied_and_the_variables_to_set_are_named(plugway: Plugway) -> None:
    write(
        ".mcp.json",
        {
            "mcpServers": {
                "hub": {"command": "hub", "env": {"HUB_TOKEN": TOKEN, "LEVEL": "info"}},
                "crm": {
                    "url": "https://crm.example/mcp?api_key=abcdef123",
                    "headers": {"Authorization": "Bearer s3cr3t", "X-Team": "blue"},
                },
                "base": {"command": "base", "args": ["--access-token", "sbp_1234567890", "-v"]},
            }
        },
    )
    done = plugway("init")
    text = Path("plugway.yaml").read_text()
    for secret in (TOKEN, "abcdef123", "s3cr3t", "sbp_1234567890"):
        assert secret not in text + done.out + done.err
    variables = ["HUB_TOKEN", "CRM_API_KEY", "CRM_TOKEN", "BASE_ACCESS_TOKEN"]
    for variable in variables:
        assert variable in done.out
    found = servers({variable: f"<{variable}>" for variable in variables})
    assert found["hub"]["env"] == {"HUB_TOKEN": "<HUB_TOKEN>", "LEVEL": "info"}
    assert found["crm"]["headers"] == {"Authorization": "Bearer <CRM_TOKEN>", "X-Team": "blue"}
    assert found["crm"]["url"] == "https://crm.example/mcp?api_key=<CRM_API_KEY>"
    assert found["base"]["args"] == ["--access-token", "<BASE_ACCESS_TOKEN>", "-v"]


def test_json_tells_the_same_in_one_document(
    plugway: Plugway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "set")
    write(".mcp.json", {"mcpServers": {"hub": {"command": "hub", "env": {"HUB_TOKEN": TOKEN}}}})
    document = plugway("init", "--json").document
    assert document["servers"] == [{"name": "hub", "from": ".mcp.json"}]
    place = "env.HUB_TOKEN"
    variable = {"name": "HUB_TOKEN", "server": "hub", "place": place, "set": True}
    assert document["variables"] == [variable]


def test_two_secrets_under_one_name_get_two_variables(plugway: Plugway) -> None:
    entries = {name: {"command": name, "env": {"API_KEY": f"{name}-1"}} for name in ("one", "two")}
    write(".mcp.json", {"mcpServers": entries})
    plugway("init")
    found = servers({"API_KEY": "1", "TWO_API_KEY": "2"})
    assert [found[name]["env"]["API_KEY"] for name in ("one", "two")] == ["1", "2"]


def test_one_server_in_two_files_is_imported_once_two_of_one_name_get_two(
    plugway: Plugway,
) -> None:
    write(".mcp.json", {"mcpServers": {"same": {"command": "a"}, "other": {"command": "b"}}})
    write(".cursor/mcp.json", {"mcpServers": {"same": {"command": "a"}, "other": {"command": "c"}}})
    plugway("init")
    assert servers() == {
        "same": {"command": "a"},
        "other": {"command": "b"},
        "other-2": {"command": "c"},
    }


def test_the_gateway_itself_and_what_it_can_t_use_are_left_out_with_the_reason(
    plugway: Plugway,
) -> None:
    write(
        ".mcp.json",
        {
            "mcpServers": {
                "me": {"command": "/usr/bin/plugway", "args": ["serve", "--stdio"]},
                "bad": {"type": "carrier-pigeon", "url": "https://bad.example/"},
                "good": {"command": "good"},
            }
        },
    )
    done = plugway("init")
    assert servers() == {"good": {"command": "good"}}
    assert "'me' is plugway itself" in done.out
    assert "'bad' left out: expected 'stdio', 'http', " in done.out


def test_an_unreadable_file_is_left_out_when_found_and_an_error_when_named(
    plugway: Plugway,
) -> None:
    write(".mcp.json", "{")
    done = plugway("init")
    assert done.code == 0
    assert ".mcp.json: left out" in done.out
    done = plugway("init", "--force", "--from", ".mcp.json")
    assert done.code == 2
    assert done.err.startswith("plugway: .mcp.json:1: ")


def test_from_reads_the_named_files_only(plugway: Plugway) -> None:
    write(".mcp.json", {"mcpServers": {"found": {"command": "a"}}})
    write("mine.json", {"mcpServers": {"mine": {"command": "b"}}})
    plugway("init", "--from", "mine.json", "-o", "other.yaml")
    assert set(load(Path("other.yaml")).servers) == {"mine"}
    assert not Path("plugway.yaml").exists()


@pytest.mark.parametrize("arguments", [("-c", "our.yaml", "init"), ("init", "-c", "our.yaml")])
def test_it_writes_the_configuration_that_is_named(
    plugway: Plugway, arguments: tuple[str, ...]
) -> None:
    done = plugway(*arguments)
    assert Path("our.yaml").exists()
    assert not Path("plugway.yaml").exists()
    assert "plugway -c our.yaml check" in done.out


def test_an_existing_file_is_replaced_only_by_force(plugway: Plugway) -> None:
    Path("plugway.yaml").write_text("mine")
    done = plugway("init")
    assert (done.code, Path("plugway.yaml").read_text()) == (2, "mine")
    assert "--force" in done.err
    assert plugway("init", "--force").code == 0
    assert Path("plugway.yaml").read_text() != "mine"


def test_a_folder_that_can_t_be_written_is_one_sentence(plugway: Plugway) -> None:
    done = plugway("init", "-o", "missing/plugway.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err == "plugway: missing/plugway.yaml: no such file or directory\n"
