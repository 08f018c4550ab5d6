from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugway.config import Config, GatewayConfig, PluginEntry, ServerConfig, parse
from plugway.errors import ConfigError
from plugway.executor.conditions import Condition
from plugway_hookspecs import Mode, OnError

EXAMPLE = """
mcpServers:
  files: {command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", /data]}
  crm:   {url: https://crm.example/mcp, headers: {Authorization: "Bearer ${CRM_TOKEN}"}}
  safety: {url: http://127.0.0.1:9000/mcp, expose: false}
plugins:
  - {name: pii, kind: pii_filter, priority: 50, config: {mask: partial}}
  - name: guard
    kind: external
    server: safety
    mode: validate
    timeout: 2s
    when: [{tools: ["crm__*"]}]
"""


def entry(text: str) -> PluginEntry:
    (plugin,) = parse(f"plugins: [{{name: n, kind: k, {text}}}]", env={}).plugins
    return plugin


def server(text: str) -> ServerConfig:
    return parse(f"mcpServers: {{a: {{{text}}}}}", env={}).servers["a"]


def gateway(text: str) -> GatewayConfig:
    return parse(f"gateway: {{{text}}}", env={}).gateway


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, env={})
    return str(caught.value)


def test_the_configuration_of_the_design_is_read() -> None:
    config = parse(EXAMPLE, env={"CRM_TOKEN": "t"})
    files, crm, safety = config.servers.values()
    assert (files.transport, files.command) == ("stdio", "npx")
    assert (crm.transport, crm.headers) == ("http", {"Authorization": "Bearer t"})
    assert not safety.expose
    pii, guard = config.plugins
    assert (pii.priority, pii.config, pii.mode) == (50, {"mask": "partial"}, None)
    assert (guard.server, guard.mode, guard.timeout) == ("safety", Mode.VALIDATE, 2.0)
    assert guard.when == [Condition(tools=("crm__*",))]
    assert config.notes == ()


def test_the_defaults_are_those_of_a_careful_operator() -> None:
    config = parse("mcpServers: {a: {command: x}}\nplugins: [{name: n, kind: k}]", env={})
    only, plugin, settings = config.servers["a"], config.plugins[0], config.gateway
    assert (only.timeout, only.connect_timeout, only.list_timeout) == (60, 10, 5)
    assert (only.expose, only.era, only.required, only.prefix) == (True, "auto", False, None)
    assert (only.inherit_env, only.max_concurrency) == ([], 64)
    assert (plugin.mode, plugin.effective_mode) == (None, Mode.ENFORCE)
    assert (plugin.on_error, plugin.effective_on_error) == (None, OnError.FAIL)
    assert (plugin.required, plugin.threaded, plugin.retry_after) == (True, False, 30)
    assert (settings.host, settings.path, settings.token) == ("127.0.0.1", "/mcp", None)
    assert settings.max_payload_bytes == 4 * 1024 * 1024
    assert (settings.deny_as, settings.request_timeout) == ("result", 120)


def test_a_configuration_cannot_be_changed() -> None:
    config = parse(EXAMPLE, env={"CRM_TOKEN": "t"})
    with pytest.raises(ValidationError, match="frozen"):
        config.plugins[0].priority = 3  # type: ignore[misc]


def test_it_can_be_written_in_python() -> None:
    config = Config(
        servers={"a": ServerConfig(command="x")}, plugins=[PluginEntry(name="n", kind="k")]
    )
    assert config.servers["a"].transport == "stdio"
    assert config.file is None


def test_in_a_file_servers_are_called_mcpservers() -> None:
    assert "unknown key; did you mean 'mcpServers'?" in refusal("servers: {a: {command: x}}")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("250ms", 0.25), ("2s", 2), ("1m", 60), ("1h", 3600), ("1.5s", 1.5), ("3", 3), ("0.5", 0.5)],
)
def test_durations_have_units(written: str, seconds: float) -> None:
    assert entry(f"timeout: {written}").timeout == seconds
    assert entry(f"timeout: '{written}'").timeout == seconds


@pytest.mark.parametrize(
    "written", ["soon", "2 days", "-1s", "0", "0ms", "true", ".inf", ".nan", "''", "1e400", "[]"]
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    assert "duration" in refusal(f"gateway: {{request_timeout: {written}}}")


@given(st.integers(1, 10**6), st.sampled_from([("ms", 1000), ("s", 1), ("m", 1 / 60)]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: tuple[str, float]) -> None:
    name, per_second = unit
    assert entry(f"timeout: {number}{name}").timeout == pytest.approx(number / per_second)


@pytest.mark.parametrize(
    ("written", "size"), [("4MiB", 4 << 20), ("512KiB", 512 << 10), ("1000", 1000), ("1kB", 1000)]
)
def test_sizes_have_units(written: str, size: int) -> None:
    assert gateway(f"max_payload_bytes: {written}").max_payload_bytes == size


@pytest.mark.parametrize("written", ["big", "4XiB", "-1", "0"])
def test_what_is_no_size_is_refused(written: str) -> None:
    assert "gateway.max_payload_bytes: " in refusal(f"gateway: {{max_payload_bytes: {written}}}")


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        *[(mode.value, mode) for mode in Mode],
        ("sequential", Mode.ENFORCE),
        ("permissive", Mode.TRANSFORM),
        ("concurrent", Mode.VALIDATE),
        ("fire_and_forget", Mode.BACKGROUND),
    ],
)
def test_modes_have_the_names_of_other_configurations_too(written: str, mode: Mode) -> None:
    assert entry(f"mode: {written}").mode is mode


def test_enforce_ignore_error_is_two_settings_in_one() -> None:
    plugin = entry("mode: enforce_ignore_error")
    assert (plugin.mode, plugin.on_error) == (Mode.ENFORCE, OnError.IGNORE)


def test_an_explicit_on_error_wins_over_the_legacy_mode() -> None:
    plugin = entry("mode: enforce_ignore_error, on_error: fail")
    assert plugin.on_error is OnError.FAIL


def test_one_condition_needs_no_list() -> None:
    assert entry("when: {tools: [x]}").when == [Condition(tools=("x",))]


@pytest.mark.parametrize("name", ["a", "a.b-c_d", "A1", "x" * 64])
def test_good_server_names_are_accepted(name: str) -> None:
    assert name in parse(f"mcpServers: {{{name}: {{command: x}}}}", env={}).servers


@pytest.mark.parametrize("name", ["a__b", "a b", "ä", "x" * 65, "a/b", "''"])
def test_server_names_that_tool_names_do_not_allow_are_refused(name: str) -> None:
    assert "a name has 1 to 64" in refusal(f"mcpServers: {{{name}: {{command: x}}}}")


@pytest.mark.parametrize("prefix", ["a__b", "a b", "ä"])
def test_prefixes_are_names(prefix: str) -> None:
    text = f"mcpServers: {{a: {{command: x, prefix: {prefix}}}}}"
    assert "mcpServers.a.prefix: a name has" in refusal(text)


def test_an_empty_prefix_means_none() -> None:
    assert server("command: x, prefix: ''").prefix == ""


def test_two_servers_with_one_prefix_are_refused_naming_both() -> None:
    text = "mcpServers:\n  a: {command: x}\n  b: {command: y, prefix: a}\n"
    assert refusal(text) == (
        "configuration:3: mcpServers.b: has the same prefix as the server 'a': give one of them "
        "another"
    )


def test_two_servers_whose_uris_would_begin_alike_are_refused_naming_both() -> None:
    text = "mcpServers:\n  my_files: {command: x}\n  My-Files: {command: y}\n"
    assert refusal(text) == (
        "configuration:3: mcpServers.My-Files: has the same prefix in URIs, 'my-files+', as the "
        "server 'my_files': give one of them another"
    )


def test_servers_without_prefix_and_hidden_ones_do_not_collide() -> None:
    config = parse(
        """
        mcpServers:
          a: {command: x, prefix: ""}
          b: {command: x, prefix: ""}
          c: {command: x}
          d: {command: x, prefix: c, expose: false}
        """,
        env={},
    )
    assert len(config.servers) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "needs either `command` or `url`, and not both"),
        ("{command: x, url: http://h}", "needs either `command` or `url`, and not both"),
        ("{command: x, headers: {a: b}}", "headers belongs to `url`"),
        ("{url: http://h, env: {a: b}}", "env belongs to `command`"),
        ("{url: http://h, cwd: /}", "cwd belongs to `command`"),
        ("{url: http://h, inherit_env: [A]}", "inherit_env belongs to `command`"),
        ("{url: http://h, type: stdio}", "`type` contradicts `url`"),
        ("{command: x, type: http}", "`type` contradicts `command`"),
        ("{command: x, type: sse}", "`type` contradicts `command`"),
        ("{type: sse, url: http://h, era: modern}", "`type: sse` is of the legacy era"),
        ("{command: ''}", "needs at least 1 character"),
        ("{url: h}", "expected an address such as https://host/mcp"),
        ("{url: 'ftp://h/x'}", "expected an address"),
        ("{url: 'http:///mcp'}", "expected an address"),
        ("{url: 'http://h:99999/'}", "expected an address"),
        ("{url: 'http://[::1'}", "expected an address"),
        ("{url: 'http://h/a b'}", "expected an address"),
        ("{url: http://h, headers: {'a b': c}}", "'a b' is not the name of an HTTP header"),
        ('{url: http://h, headers: {A: "b\\nC: d"}}', "contains a line break"),
        ('{url: http://h, headers: {A: "b "}}', "begins or ends with a blank"),
        ("{command: x, max_concurrency: 0}", "must be greater than 0"),
        ("{command: x, era: old}", "expected 'auto', 'mirror', 'modern' or 'legacy', not 'old'"),
    ],
)
def test_a_server_that_cannot_be_reached_so_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(f"mcpServers:\n  a: {text}")


@pytest.mark.parametrize("kind", ["http", "streamable-http", "sse"])
def test_the_type_that_clients_write_is_accepted(kind: str) -> None:
    assert server(f"type: {kind}, url: http://h/mcp").transport == "http"


def test_two_plugins_of_one_name_are_refused() -> None:
    text = "plugins:\n  - {name: a, kind: k}\n  - {name: a, kind: l}\n"
    assert refusal(text) == (
        "configuration:3: plugins[1].name: plugins[0] has the same name: each name only once"
    )


def test_a_plugin_s_server_must_exist() -> None:
    text = "mcpServers: {safety: {command: x}}\nplugins: [{name: a, kind: k, server: safty}]\n"
    assert refusal(text) == (
        "configuration:2: plugins[0].server: expected a server in mcpServers, not 'safty'; "
        "did you mean 'safety'?"
    )


def test_a_plugin_that_would_never_be_called_is_refused() -> None:
    assert "would never be called: tools: an empty list matches nothing" in refusal(
        "plugins: [{name: a, kind: k, when: {tools: []}}]"
    )


def test_a_disabled_plugin_may_have_impossible_conditions() -> None:
    assert entry("mode: disabled, when: {tools: []}").when


def test_one_impossible_condition_of_several_is_noted() -> None:
    config = parse("plugins: [{name: a, kind: k, when: [{tools: [x]}, {agents: [y]}]}]", env={})
    assert config.notes == (
        (
            "the plugin 'a' has a condition that never matches: agents: the gateway has no agent "
            "operations yet"
        ),
    )


def test_a_condition_on_a_server_that_is_not_there_is_refused() -> None:
    text = (
        "mcpServers: {crm: {command: x}}\nplugins: [{name: a, kind: k, when: {server_ids: [%s]}}]"
    )
    assert "no server in mcpServers has such a name" in refusal(text % "cmr")
    for good in ("crm", "c*", "'!crm'", "other, crm"):
        assert parse(text % good, env={}).plugins


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 65536},
        {"port": -1},
        {"path": "mcp"},
        {"path": "/mcp?x"},
        {"token": ""},
        {"deny_as": "exception"},
        {"max_depth": 1000},
        {"threads": 0},
        {"background_queue": 0},
        {"name": ""},
        {"host": ""},
    ],
)
def test_gateway_settings_have_limits(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig(**settings)


def test_an_empty_token_is_refused_as_it_would_open_the_door() -> None:
    with pytest.raises(ConfigError, match=r"gateway\.token: needs at least 1"):
        parse('gateway: {token: "${T:-}"}', env={})


def test_secrets_are_not_in_the_representation() -> None:
    config = parse(
        """
        mcpServers:
          a: {command: x, args: ["${S}"], env: {A: "${S}"}}
          b: {url: "https://h/${S}", headers: {A: "${S}"}}
        plugins: [{name: n, kind: k, config: {key: "${S}"}}]
        gateway: {token: "${S}"}
        """,
        env={"S": "s3cr3t"},
    )
    assert "s3cr3t" not in f"{config!r} {config} {config.notes}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "gateway.example"])
def test_an_address_beyond_this_machine_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="set `token`"):
        parse(f"gateway: {{host: '{host}'}}", file=None, env={})
    assert parse(f"gateway: {{host: '{host}', token: t}}", file=None, env={}).gateway.token


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_an_address_of_this_machine_needs_none(host: str) -> None:
    assert parse(f"gateway: {{host: '{host}'}}", file=None, env={}).gateway.host == host


def test_the_endpoint_is_not_where_the_health_check_answers_without_a_token() -> None:
    with pytest.raises(ConfigError, match="health check"):
        parse("gateway: {path: /health, token: t}", file=None, env={})


def test_the_endpoint_is_not_where_the_status_is() -> None:
    with pytest.raises(ConfigError, match="where the status is"):
        parse("gateway: {path: /status}", file=None, env={})


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("tools: [plain]", "names begin with 's__'"),
        ("tools: ['S__*']", "names begin with 's__'"),
        ("tools: ['other__*']", "names begin with 's__'"),
        ("prompts: ['x*', y]", "names begin with 's__'"),
        ("resources: ['memo://*']", "names begin with 's[+]'"),
        ("tenant_ids: ['*']", "does not authenticate"),
        ("user_patterns: ['a*', '!b']", "does not authenticate"),
    ],
)
def test_a_guard_that_no_call_can_reach_is_refused(condition: str, why: str) -> None:
    plugin = f"plugins: [{{name: g, kind: k, when: [{{{condition}}}]}}]"
    server = "mcpServers: {s: {url: 'http://x/mcp'}}"
    with pytest.raises(ConfigError, match=f"never be called: .*{why}"):
        parse(f"{server}\n{plugin}", file=None, env={})
    assert parse(plugin, file=None, env={}).plugins  # a plugin host is told more than a gateway


@pytest.mark.parametrize(
    "condition",
    ["tools: ['s__*']", "tools: ['*']", "tools: ['*_delete']", "tools: ['!x']", "tools: ['s*x']"],
)
def test_a_guard_that_some_call_can_reach_is_taken(condition: str) -> None:
    plugin = f"plugins: [{{name: g, kind: k, when: [{{{condition}}}]}}]"
    server = "mcpServers: {s: {url: 'http://x/mcp'}}"
    assert parse(f"{server}\n{plugin}", file=None, env={}).plugins
    bare = "mcpServers: {s: {url: 'http://x/mcp', prefix: ''}}"
    assert parse(
        f"{bare}\nplugins: [{{name: g, kind: k, when: [{{tools: [plain]}}]}}]", file=None, env={}
    )
