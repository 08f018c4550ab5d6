import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.config import Config, load, parse
from plugway.config.json_source import read_json
from plugway.config.tree import Node
from plugway.errors import ConfigError

FILE = Path(".mcp.json")


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def read(content: dict[str, Any], env: dict[str, str] | None = None) -> Config:
    return parse(json.dumps(content), file=FILE, env=env or {})


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, file=FILE, env={})
    return str(caught.value)


def test_claude_desktop_s_file_is_taken_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "claude_desktop_config.json"
    path.write_text("""{
      "globalShortcut": "Ctrl+Space",
      "mcpServers": {
        "filesystem": {
          "command": "npx",
          "args": ["-y", "@modelcontextprotocol/server-filesystem", "/data"],
          "env": {"DEBUG": "1"}
        }
      }
    }""")
    config = load(path, env={})
    server = config.servers["filesystem"]
    assert (server.command, server.args[1]) == ("npx", "@modelcontextprotocol/server-filesystem")
    assert server.env == {"DEBUG": "1"}
    assert config.notes == ("globalShortcut: not about servers, ignored",)


def test_keys_that_only_clients_understand_are_noted() -> None:
    server = {"command": "x", "alwaysAllow": [], "autoApprove": ["a"], "description": "d"}
    config = read({"mcpServers": {"a": server}})
    (note,) = config.notes
    assert note == (
        "the server 'a': alwaysAllow, autoApprove, description ignored, no meaning for a gateway"
    )


def test_a_disabled_server_is_left_out_with_a_note() -> None:
    config = read({"mcpServers": {"a": {"command": "x", "disabled": True}, "b": {"command": "y"}}})
    assert list(config.servers) == ["b"]
    assert config.notes == ("the server 'a' is disabled, left out",)


def test_a_server_that_is_not_disabled_stays() -> None:
    assert "a" in read({"mcpServers": {"a": {"command": "x", "disabled": False}}}).servers


@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
@pytest.mark.parametrize("kind", [None, "http", "streamable-http", "streamableHttp", "remote"])
def test_http_servers_are_read_in_every_client_s_words(key: str, kind: str | None) -> None:
    server = {key: "https://h.example/mcp", "headers": {"X": "${T}"}}
    if kind:
        server["type"] = kind
    read_server = read({"mcpServers": {"a": server}}, {"T": "t"}).servers["a"]
    assert (read_server.url, read_server.transport) == ("https://h.example/mcp", "http")
    assert read_server.headers == {"X": "t"}


def test_an_sse_server_is_taken_as_it_is() -> None:
    config = read({"mcpServers": {"a": {"type": "sse", "url": "https://h.example/sse"}}})
    assert config.servers["a"].type == "sse"


def test_vs_code_s_block_is_called_servers() -> None:
    content: dict[str, Any] = {
        "inputs": [],
        "servers": {"a": {"type": "stdio", "command": "x", "envFile": "e"}},
    }
    config = read(content)
    assert config.servers["a"].command == "x"
    assert config.notes == (
        "inputs: not about servers, ignored",
        "the server 'a': envFile ignored, no meaning for a gateway",
    )


def test_vs_code_s_settings_have_the_block_under_mcp() -> None:
    config = read({"mcp": {"servers": {"a": {"command": "x"}}}, "editor.fontSize": 12})
    assert list(config.servers) == ["a"]
    assert config.notes == ("editor.fontSize: not about servers, ignored",)


def test_a_bare_timeout_is_ignored_because_clients_disagree_about_the_unit() -> None:
    config = read({"mcpServers": {"a": {"command": "x", "timeout": 30000}}})
    assert config.servers["a"].timeout == 60
    assert 'write "30s"' in config.notes[0]


def test_a_timeout_with_a_unit_counts() -> None:
    assert (
        read({"mcpServers": {"a": {"command": "x", "timeout": "30s"}}}).servers["a"].timeout == 30
    )


def test_names_that_tool_names_do_not_allow_are_changed_with_a_note() -> None:
    config = read({"mcpServers": {"Framelink Figma MCP": {"command": "x"}}})
    assert list(config.servers) == ["Framelink-Figma-MCP"]
    assert config.notes == (
        (
            "the server 'Framelink Figma MCP' is called 'Framelink-Figma-MCP' here, as tool names "
            "allow it"
        ),
    )


def test_two_names_that_become_one_are_an_error() -> None:
    text = '{"mcpServers": {"a b": {"command": "x"},\n"a/b": {"command": "y"}}}'
    assert refusal(text) == (
        ".mcp.json:2: mcpServers[\"a/b\"]: is called 'a-b' here, which is taken: rename one"
    )


def test_a_name_with_nothing_usable_is_an_error() -> None:
    assert "a name has 1 to 64 letters" in refusal('{"mcpServers": {"***": {"command": "x"}}}')


def test_env_references_of_other_clients_are_read() -> None:
    config = read({"mcpServers": {"a": {"command": "x", "args": ["${env:A}"]}}}, {"A": "1"})
    assert config.servers["a"].args == ["1"]


def test_json_with_plugins_is_our_own_configuration_and_strict() -> None:
    text = (
        '{"$schema": "s", "mcpServers": {"a": {"command": "x", "autoApprove": []}}, "plugins": []}'
    )
    assert "mcpServers.a.autoApprove: unknown key" in refusal(text)


def test_json_with_a_gateway_block_is_our_own_configuration() -> None:
    config = read({"mcpServers": {"a": {"command": "x"}}, "gateway": {"port": 9}})
    assert config.gateway.port == 9


def test_lines_of_json_are_reported() -> None:
    text = '{\n  "mcpServers": {\n    "a": {\n      "command": 7\n    }\n  }\n}'
    assert refusal(text) == (
        ".mcp.json:4: mcpServers.a.command: expected a string: put it in quotes"
    )


def test_comments_and_trailing_commas_are_allowed() -> None:
    text = """{ // servers
        "mcpServers": { /* one
            only */ "a": {"command": "x", "args": ["1",],},
        },
    }"""
    assert parse(text, file=Path("mcp.jsonc"), env={}).servers["a"].args == ["1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ".mcp.json: is empty"),
        (" \n// x\n", ".mcp.json: is empty"),
        ("[]", ".mcp.json:1: expected a mapping with `mcpServers`"),
        ("{}", ".mcp.json:1: has no `mcpServers` (or, for VS Code, `servers`)"),
        ('{"mcpServers": []}', ".mcp.json:1: expected an object of servers"),
        ('{"mcpServers": {"a": 1}}', "mcpServers.a: expected a mapping"),
        ('{"a": 1\n "b": 2}', '.mcp.json:2: is not JSON: expected ","'),
        ('{"a" 1}', '.mcp.json:1: a: is not JSON: expected ":"'),
        ("{a: 1}", "expected a key in double quotes"),
        ('{"a": nope}', "is not JSON: expected a value"),
        ('{"a": 1.2.3}', "is not JSON: expected a value"),
        ('{"a": "x', "a string that is not closed"),
        ('{"a": "\\q"}', "a wrong escape"),
        ('{"a": 1} x', "something follows the end"),
        ('{"a": 1,\n "a": 2}', ".mcp.json:2: a: 'a' is already there on line 1: remove one"),
        ("[" * 500, "more than 100 levels of nesting"),
    ],
)
def test_what_is_no_client_configuration_is_refused_in_one_sentence(
    text: str, expected: str
) -> None:
    message = refusal(text)
    assert expected in message
    assert "\n" not in message


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from([None, 2]), st.booleans())
def test_all_json_is_read_as_the_standard_library_reads_it(
    value: object, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert plain(read_json(text)) == json.loads(text)
