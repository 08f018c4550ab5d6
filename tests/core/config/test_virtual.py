from typing import Any

import pytest

from plugway.config import VirtualServer, parse
from plugway.errors import ConfigError

SERVERS = """
mcpServers:
  crm: {command: x}
  files: {command: x, prefix: disk}
  hidden: {command: x, expose: false}
"""


def virtual(text: str, servers: str = SERVERS) -> VirtualServer:
    return parse(f"{servers}\nvirtualServers: {{v: {{{text}}}}}", env={}).virtual_servers["v"]


def refusal(text: str, servers: str = SERVERS, name: str = "v") -> str:
    with pytest.raises(ConfigError) as caught:
        parse(f"{servers}\nvirtualServers: {{{name}: {{{text}}}}}", env={})
    return str(caught.value)


def test_a_virtual_server_is_read() -> None:
    found = virtual(
        "servers: [crm, files], tools: ['crm__*', '!crm__delete*'], instructions: Hi, prefix: false"
    )
    assert found.servers == ["crm", "files"]
    assert found.tools == ("crm__*", "!crm__delete*")
    assert (found.prompts, found.resources) == (None, None)
    assert (found.instructions, found.prefix) == ("Hi", False)


@pytest.mark.parametrize("text", ["", "instructions: Hi", "servers: []", "tools: [], prompts: []"])
def test_a_virtual_server_that_offers_nothing_is_refused(text: str) -> None:
    said = refusal(text)
    assert "virtualServers.v: offers nothing: needs `servers`, `tools`, `prompts` or" in said


def test_a_name_that_is_a_servers_too_is_refused() -> None:
    said = refusal("servers: [files]", name="crm")
    assert "virtualServers.crm: is the name of a server in mcpServers, too" in said


def test_a_name_has_no_slash() -> None:
    assert "a name has 1 to 64 letters" in refusal("servers: [crm]", name="a/b")


def test_an_unknown_server_is_refused_with_a_suggestion() -> None:
    said = refusal("servers: [crm, filse]")
    assert "virtualServers.v.servers[1]: expected a server in mcpServers, not 'filse'" in said
    assert "did you mean 'files'?" in said


def test_a_server_that_clients_may_not_see_is_refused() -> None:
    said = refusal("servers: [hidden]")
    assert "virtualServers.v.servers[0]: the server 'hidden' is not exposed: remove it" in said


@pytest.mark.parametrize(
    ("text", "place", "heads"),
    [
        ("tools: ['crm__*', 'files__*']", "tools[1]", "'crm__' or 'disk__'"),
        ("tools: ['crm__*', '!crn__delete*']", "tools[1]", "'crm__' or 'disk__'"),
        ("servers: [crm], prompts: ['disk__*']", "prompts[0]", "'crm__'"),
        ("resources: ['file:///*']", "resources[0]", "'crm+' or 'disk+'"),
        ("tools: ['hidden__*']", "tools[0]", "'crm__' or 'disk__'"),
    ],
)
def test_a_pattern_that_no_prefix_makes_possible_is_refused(
    text: str, place: str, heads: str
) -> None:
    said = refusal(text)
    assert f"virtualServers.v.{place}: matches nothing: names begin with {heads} here" in said


def test_any_pattern_is_possible_where_a_server_has_no_prefix() -> None:
    servers = "mcpServers: {crm: {command: x, prefix: ''}}"
    assert virtual("tools: [anything]", servers).tools == ("anything",)
    assert virtual("resources: ['ui://*']").resources == ("ui://*",)


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    assert "did you mean 'tools'?" in refusal("tool: [x]")


def test_a_clients_json_may_have_virtual_servers(tmp_path: Any) -> None:
    text = '{"mcpServers": {"a": {"command": "x"}}, "virtualServers": {"v": {"servers": ["a"]}}}'
    assert list(parse(text, file=tmp_path / "c.json", env={}).virtual_servers) == ["v"]


@pytest.mark.parametrize("path", ["/plugins", "/plugins/", "/plugins/x"])
def test_endpoints_are_not_where_plugins_routes_are(path: str) -> None:
    with pytest.raises(ConfigError, match="`path` is where the routes of plugins are"):
        parse(f"gateway: {{path: {path}}}", env={})


@pytest.mark.parametrize("kind", ["mcpServers: {health: {command: x}}", None])
def test_no_endpoint_is_where_the_health_check_is(kind: str | None) -> None:
    text = kind or f"{SERVERS}\nvirtualServers: {{health: {{servers: [crm]}}}}"
    with pytest.raises(ConfigError, match="its endpoint would be where the health check is"):
        parse(f"{text}\ngateway: {{path: /}}", env={})
    parse(text, env={})
