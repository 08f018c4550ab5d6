from pathlib import Path
from textwrap import dedent

import pytest

from plugway.config import Config, parse
from plugway.config.contextforge import EQUIVALENTS
from plugway.errors import ConfigError
from plugway_hookspecs import Mode, OnError

FILE = Path("plugins/config.yaml")


def read(text: str, **env: str) -> Config:
    return parse(dedent(text), file=FILE, env=env)


def refusal(text: str, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **env)
    return str(caught.value).splitlines()


SHIPPED = """
plugins:
  - name: "PIIFilterPlugin"
    kind: "plugins.pii_filter.pii_filter.PIIFilterPlugin"
    description: "Detects and masks personal data"
    version: "0.1.0"
    author: "someone"
    hooks: ["prompt_pre_fetch", "tool_pre_invoke"]
    tags: ["security", "pii"]
    mode: "enforce"
    priority: 50
    conditions:
      - prompts: []
        server_ids: []
        tenant_ids: []
    config:
      detect_ssn: true
  - name: "VirusTotalURLCheckerPlugin"
    kind: "plugins.virus_total_checker.virus_total_checker.VirusTotalURLCheckerPlugin"
    mode: "disabled"
  - name: "OPAPluginFilter"
    kind: "external"
    hooks: ["tool_pre_invoke", "agent_pre_invoke"]
    mode: "concurrent"
    on_error: ignore
    priority: 10
    conditions: []
    mcp:
      proto: STREAMABLEHTTP
      url: {{ env.OPA_URL }}/mcp
    config: {}
plugin_dirs:
  - "plugins/native"
plugin_settings:
  parallel_execution_within_band: true
  plugin_timeout: 30
"""


def test_a_shipped_configuration_is_read_unmodified() -> None:
    config = read(SHIPPED, OPA_URL="http://opa:8000")
    pii, opa = config.plugins
    assert (pii.name, pii.kind, pii.priority) == ("PIIFilterPlugin", "pii_filter", 50)
    assert (pii.mode, pii.config) == (Mode.ENFORCE, {"detect_ssn": True})
    assert (opa.kind, opa.server, opa.mode) == ("external", "OPAPluginFilter", Mode.VALIDATE)
    assert opa.on_error is OnError.IGNORE
    assert opa.config == {"plugin": "OPAPluginFilter", "hooks": ["tool_pre_invoke"]}
    server = config.servers["OPAPluginFilter"]
    assert (server.url, server.expose) == ("http://opa:8000/mcp", False)
    assert config.notes == (
        "the plugin 'PIIFilterPlugin': `hooks` is ignored: all of its hooks run",
        "the plugin 'VirusTotalURLCheckerPlugin' is disabled, left out",
        "the plugin 'OPAPluginFilter': there is no hook agent_pre_invoke here",
        "`plugin_dirs` is ignored: plugins come from installed packages",
        (
            "`plugin_settings` is ignored: timeouts are per plugin, and a broken plugin is always "
            "an error"
        ),
    )


@pytest.mark.parametrize(("class_name", "kind"), EQUIVALENTS.items())
def test_a_dotted_kind_with_an_equivalent_becomes_it(class_name: str, kind: str) -> None:
    config = read(f"plugins: [{{name: n, kind: some.module.{class_name}, hooks: []}}]")
    assert config.plugins[0].kind == kind


@pytest.mark.parametrize("kind", ["some.module.Unknown", "isolated_venv", "native", "wasm"])
@pytest.mark.parametrize(
    "mode", ["", "mode: enforce,", "mode: sequential,", "mode: concurrent,",
             "mode: enforce_ignore_error,"]
)  # fmt: skip
def test_a_guard_without_equivalent_is_an_error(kind: str, mode: str) -> None:
    (line,) = refusal(f"plugins:\n- {{name: n, {mode} kind: {kind}, hooks: []}}")
    assert line == (
        f"plugins/config.yaml:2: plugins[0].kind: the kind {kind!r} has no equivalent here, and "
        "the plugin guards: replace it, or set `mode: disabled`"
    )


def test_a_guard_without_kind_is_an_error_and_not_left_out() -> None:
    (line,) = refusal("plugins: [{name: n, hooks: [tool_pre_invoke]}]")
    assert line == "plugins/config.yaml:1: plugins[0].kind: is missing"


def test_a_mode_that_comes_from_the_environment_counts_as_guarding() -> None:
    (line,) = refusal("plugins: [{name: n, kind: x.Y, mode: '{{ env.M }}'}]", M="permissive")
    assert "the plugin guards" in line


def test_kinds_of_ours_pass_and_what_has_no_meaning_here_is_noted() -> None:
    config = read("""
        plugins:
          - name: n
            kind: pii_filter
            applied_to: {tools: [x]}
            max_content_size: 100
            hooks: []
            grpc: null
        server_settings: {port: 1}
    """)
    assert config.plugins[0].kind == "pii_filter"
    assert config.notes == (
        "the plugin 'n': `applied_to` is ignored: use `when`",
        "the plugin 'n': `max_content_size` is ignored: `gateway.max_payload_bytes` is the limit",
        "`server_settings` is ignored: it is about their plugin server",
    )


def test_the_config_of_an_external_plugin_is_noted_as_ignored() -> None:
    config = read("""
        plugins:
          - name: n
            kind: external
            config: {a: 1}
            mcp: {proto: STREAMABLEHTTP, url: http://h/mcp}
    """)
    assert "`config` is ignored: an external plugin is configured where it runs" in config.notes[0]


def test_broken_conditions_are_errors_where_they_stand() -> None:
    lines = refusal("""\
        plugins:
          - {name: n, kind: pii_filter, conditions: 3}
          - {name: m, kind: pii_filter, conditions: [{tolls: [a]}]}
    """)
    assert lines == [
        "plugins/config.yaml:2: plugins[0].conditions: expected a list",
        (
            "plugins/config.yaml:3: plugins[1].conditions[0].tolls: unknown key; did you mean "
            "'tools'?"
        ),
    ]


@pytest.mark.parametrize("mode", ["permissive", "transform", "audit", "fire_and_forget"])
def test_an_observer_without_equivalent_is_left_out_with_a_note(mode: str) -> None:
    config = read(f"plugins: [{{name: n, mode: {mode}, kind: some.module.Unknown}}]")
    assert config.plugins == []
    assert config.notes == (
        "the plugin 'n' is left out: the kind 'some.module.Unknown' has no equivalent here",
    )


def test_a_stdio_server_is_started_with_what_its_script_needs() -> None:
    config = read("""
        plugins:
          - {name: py, kind: external, mcp: {proto: STDIO, script: run.py, cwd: /srv}}
          - {name: sh, kind: external, mcp: {proto: STDIO, script: run.sh, env: {A: b}}}
          - {name: exe, kind: external, mcp: {proto: stdio, script: ./run}}
          - {name: cmd, kind: external, mcp: {proto: STDIO, cmd: [uv, run, it], url: null}}
    """)
    py, sh, exe, cmd = config.servers.values()
    assert (py.command is not None and "python" in py.command, py.args) == (True, ["run.py"])
    assert str(py.cwd) == "/srv"
    assert (sh.command, sh.args, sh.env) == ("sh", ["run.sh"], {"A": "b"})
    assert (exe.command, exe.args) == ("./run", [])
    assert (cmd.command, cmd.args) == ("uv", ["run", "it"])
    assert not any(server.expose for server in config.servers.values())


def test_plugins_on_the_same_server_share_it() -> None:
    config = read("""
        plugins:
          - {name: a, kind: external, mcp: {proto: STREAMABLEHTTP, url: http://h/mcp}}
          - {name: b, kind: external, mcp: {url: http://h/mcp, proto: STREAMABLEHTTP}}
          - {name: a b, kind: external, mcp: {proto: STREAMABLEHTTP, url: http://i/mcp}}
          - {name: a-b, kind: external, mcp: {proto: STREAMABLEHTTP, url: http://j/mcp}}
    """)
    assert [plugin.server for plugin in config.plugins] == ["a", "a", "a-b", "a-b.1"]
    assert [plugin.config["plugin"] for plugin in config.plugins] == ["a", "b", "a b", "a-b"]


def test_a_plugin_server_of_the_old_transport_is_reached_over_it() -> None:
    config = read("""
        plugins:
          - {name: old, kind: external, mcp: {proto: SSE, url: http://h/sse}}
    """)
    assert (config.servers["old"].type, config.servers["old"].url) == ("sse", "http://h/sse")


@pytest.mark.parametrize(
    ("mcp", "cause"),
    [
        ("{proto: SSE}", "`mcp` needs proto STREAMABLEHTTP or SSE with url, or STDIO"),
        ("{proto: STREAMABLEHTTP}", "`mcp` needs proto STREAMABLEHTTP or SSE with url, or STDIO"),
        ("{proto: STDIO}", "`mcp` needs proto STREAMABLEHTTP or SSE with url, or STDIO"),
        ("{url: http://h}", "`mcp` needs proto STREAMABLEHTTP or SSE with url, or STDIO"),
        ("{proto: STREAMABLEHTTP, url: http://h, uds: /x}", "`uds` has no equivalent here"),
        ("{proto: STREAMABLEHTTP, url: http://h, tls: {a: b}}", "`tls` has no equivalent here"),
        ("null, grpc: {target: x}", "grpc is not spoken"),
        ("null, unix_socket: {path: x}", "unix_socket is not spoken"),
        ("null", "an external plugin needs `mcp`"),
        ("{proto: STDIO, script: x}, hooks: [http_pre_request]", "none of its hooks exists here"),
    ],
)
def test_a_guard_that_cannot_be_reached_is_an_error(mcp: str, cause: str) -> None:
    (line,) = refusal(f"plugins:\n- {{name: n, kind: external, mcp: {mcp}}}")
    assert cause in line
    assert "the plugin guards" in line


def test_conditions_keep_their_exact_and_partial_matching() -> None:
    (condition,) = (
        read("""
        plugins:
          - name: n
            kind: x.PIIFilterPlugin
            conditions:
              - {tools: ["a*[b]?", "!c"], user_patterns: [bob], content_types: [], agents: null}
    """)
        .plugins[0]
        .when
    )
    assert condition.tools == ("a[*][[]b][?]", "?c")
    assert condition.user_patterns == ("*bob*",)
    assert condition.content_types is None
    assert condition.agents is None


def test_conditions_on_names_are_noted_because_names_differ_here() -> None:
    config = read("plugins: [{name: n, kind: x.PIIFilterPlugin, conditions: [{tools: [a]}]}]")
    assert config.notes == (
        "the plugin 'n': conditions name things as clients see them here, such as server__tool",
    )


def test_capabilities_that_exist_here_are_kept() -> None:
    config = read("""
        plugins: [{name: n, kind: x.PIIFilterPlugin, capabilities: [read_headers, read_roles]}]
    """)
    assert config.plugins[0].capabilities == ["read_headers"]
    assert config.notes == ("the plugin 'n': there are no capabilities ['read_roles'] here",)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ env.V }}", 'a&b"c<d'),
        ("{{env['V']}}", 'a&b"c<d'),
        ("\"{{ env['V'] }}\"", 'a&b"c<d'),
        ("'x{{ env.V }}y'", 'xa&b"c<dy'),
        ("{{ env.get('V') }}", 'a&b"c<d'),
        ("{{ env.get('NOT', 'dflt') }}", "dflt"),
        ("{{ env.NOT | default('dflt') }}", "dflt"),
        ("pa$$word ${V} $", "pa$$word ${V} $"),
    ],
)
def test_templates_are_references_and_dollars_are_dollars(template: str, value: str) -> None:
    config = read(
        f"plugins:\n- name: n\n  kind: x.PIIFilterPlugin\n  config:\n    key: {template}\n",
        V='a&b"c<d',
    )
    assert config.plugins[0].config == {"key": value}


def test_a_reference_of_ours_is_text_in_their_files_and_that_is_noted() -> None:
    config = read("plugins: [{name: n, kind: x.PIIFilterPlugin, config: {a: '${V}'}}]", V="v")
    assert config.plugins[0].config == {"a": "${V}"}
    assert config.notes == ("plugins[0].config.a: `${` stays as it is; {{ env.NAME }} is replaced",)


def test_a_missing_variable_is_an_error_here_too() -> None:
    (line,) = refusal("plugins:\n- {name: n, kind: x.PIIFilterPlugin, config: {a: '{{ env.X }}'}}")
    assert line.endswith(
        "plugins[0].config.a: the environment variable X is not set: "
        "set it, or write {{ env.VAR | default('...') }}"
    )


@pytest.mark.parametrize("template", ["'{{ 1 + 1 }}'", "'{% if x %}'", '"{{ env.X | upper }}"'])
def test_templates_that_compute_are_refused(template: str) -> None:
    (line,) = refusal(
        f"plugins:\n- name: n\n  kind: x.PIIFilterPlugin\n  config:\n    key: {template}\n", X="x"
    )
    assert line.startswith("plugins/config.yaml:5: plugins[0].config.key: of templates, only")


def test_everything_wrong_is_reported_at_once_where_the_file_has_it() -> None:
    lines = refusal("""\
        plugins:
          - {name: off, kind: x.Y, mode: disabled}
          - {name: a, kind: x.Y}
          - {name: b, kind: x.PIIFilterPlugin, priority: high}
          - {name: c, kind: x.PIIFilterPlugin, config: {k: "{{ 1 }}"}}
          - {name: d, kind: external, mcp: {proto: STREAMABLEHTTP, url: nonsense}}
          - {name: e, kind: x.PIIFilterPlugin, prioriti: 1}
    """)
    assert [line.split(": ")[:2] for line in lines] == [
        ["plugins/config.yaml:3", "plugins[1].kind"],
        ["plugins/config.yaml:4", "plugins[2].priority"],
        ["plugins/config.yaml:5", "plugins[3].config.k"],
        ["plugins/config.yaml:6", "plugins[4].mcp.url"],
        ["plugins/config.yaml:7", "plugins[5].prioriti"],
    ]


def test_an_unknown_key_alone_does_not_make_a_file_theirs() -> None:
    (line,) = refusal("plugins: [{name: n, kind: k, description: d}]")
    assert "plugins[0].description: unknown key" in line


def test_our_own_files_may_have_double_braces() -> None:
    config = read("""
        mcpServers: {a: {command: x}}
        plugins: [{name: n, kind: k, config: {template: "{{ env.NOT_OURS }} costs $5"}}]
    """)
    assert config.plugins[0].config == {"template": "{{ env.NOT_OURS }} costs $5"}


@pytest.mark.parametrize("key", ["plugins: 3", "plugins: [3]"])
def test_a_broken_list_of_plugins_is_an_error(key: str) -> None:
    assert "expected a" in refusal(f"plugin_settings: {{}}\n{key}")[0]
