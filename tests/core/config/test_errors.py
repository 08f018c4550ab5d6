from pathlib import Path

import pytest

from plugway.config import Config, PluginEntry, parse
from plugway.errors import ConfigError, InvalidConfigError, PluginLoadError, combine
from plugway_hookspecs import PlugwayError

FILE = Path("plugway.yaml")


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, file=FILE, env={})
    return caught.value


def test_every_problem_of_a_file_is_reported_at_once_in_order() -> None:
    error = refusal("""
mcpServers:
  files: {comand: npx, args: [-y, 8]}
  crm: {url: "https://crm.example/mcp", timeout: soon}
plugins:
  - {name: pii, kind: pii_filter, priority: high, mode: enfroce}
  - {nam: g, kind: external, when: {tolls: ["crm__*"]}}
gateway: [x]
""")
    assert isinstance(error, InvalidConfigError)
    assert str(error).splitlines() == [
        "plugway.yaml:3: mcpServers.files.args[1]: expected a string: put it in quotes",
        "plugway.yaml:3: mcpServers.files.comand: unknown key; did you mean 'command'?",
        (
            "plugway.yaml:4: mcpServers.crm.timeout: expected a duration such as 250ms, 2s, 1m, 1h "
            "or seconds"
        ),
        "plugway.yaml:6: plugins[0].priority: expected a whole number",
        (
            "plugway.yaml:6: plugins[0].mode: expected 'enforce', 'transform', 'validate', "
            "'audit', 'background' or 'disabled', not 'enfroce'; did you mean 'enforce'?"
        ),
        "plugway.yaml:7: plugins[1].name: is missing",
        "plugway.yaml:7: plugins[1].when[0].tolls: unknown key; did you mean 'tools'?",
        "plugway.yaml:7: plugins[1].nam: unknown key; did you mean 'name'?",
        "plugway.yaml:8: gateway: expected a mapping (`key: value`)",
    ]


def test_one_problem_is_one_error_with_its_parts() -> None:
    error = refusal("gateway:\n  port: x\n")
    assert type(error) is ConfigError
    assert error.errors == (error,)
    assert (error.file, error.line, error.path) == (FILE, 2, "gateway.port")
    assert error.message == "expected a whole number"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plugins:\n", "plugins: expected a list: nothing is written there"),
        (
            "mcpServers:\n",
            "mcpServers: expected a mapping (`key: value`): nothing is written there",
        ),
        ("plugins: {a: b}", "plugins: expected a list"),
        ("plugins: [a]", "plugins[0]: expected a mapping"),
        ("gateway: {port: true}", "gateway.port: expected a whole number"),
        ("plugins: [{name: ' a', kind: k}]", "plugins[0].name: a name has no line breaks"),
        ('plugins: [{name: "a\\nb", kind: k}]', "plugins[0].name: a name has no line breaks"),
        ("gateway: {port: 1.5}", "gateway.port: expected a whole number"),
        ("gateway: {token: 12}", "gateway.token: expected a string: put it in quotes"),
        ("gateway: {name: true}", "gateway.name: expected a string: put it in quotes"),
        ("gateway: {name: [a]}", "gateway.name: expected a string"),
        ("gateway: {port: 70000}", "gateway.port: must be at most 65535"),
        ("mcpServers: {a: {command: x, expose: maybe}}", "expose: expected true or false"),
        ("mcpServers: {a: {command: x, env: [a]}}", "env: expected a mapping"),
        ("mcpServers: {a: {command: x, cwd: []}}", "cwd: expected a path"),
        ("mcpServers: {a: {comandd: x}}", "unknown key; did you mean 'command'?"),
        ("gateway: {zzz: 1}", "gateway.zzz: unknown key"),
        ("zzz: 1", "zzz: unknown key; known are audit, gateway, mcpServers, plugins"),
        ("plugins: [{name: n, kind: k, when: [{x: 1}]}]", "x: unknown key; known are agents, "),
        ("plugins: [{name: n, kind: k, when: {tools: x}}]", "when[0].tools: expected a list"),
        ("plugins: [{name: n, kind: k, when: {tools: ['']}}]", "an empty pattern matches nothing"),
        ("plugins: [{name: n, kind: k, when: {tools: ['!']}}]", "an empty pattern matches nothing"),
        ("plugins: [{name: n, kind: k, on_error: stop}]", "expected 'fail', 'ignore' or 'disable'"),
        ("plugins: [{name: '', kind: k}]", "plugins[0].name: needs at least 1 character"),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(text: str, expected: str) -> None:
    message = str(refusal(text))
    assert expected in message
    assert "\n" not in message


def test_keys_that_are_no_words_are_quoted_in_paths() -> None:
    assert refusal("mcpServers: {a.b: {command: 1}}").path == 'mcpServers["a.b"].command'


def test_others_can_say_what_is_wrong_at_a_place_of_the_file() -> None:
    config = parse("plugins:\n  - name: n\n    kind: nope\n", file=FILE, env={})
    error = config.error("there is no such kind", "plugins", 0, "kind")
    assert str(error) == "plugway.yaml:3: plugins[0].kind: there is no such kind"
    error = config.error("is needed", "plugins", 0, "config", "key")
    assert str(error) == "plugway.yaml:2: plugins[0].config.key: is needed"


def test_a_configuration_made_in_python_has_paths_and_no_lines() -> None:
    config = Config(plugins=[PluginEntry(name="n", kind="nope")])
    error = config.error("there is no such kind", "plugins", 0, "kind")
    assert str(error) == "configuration: plugins[0].kind: there is no such kind"


def test_all_errors_can_be_caught_as_one() -> None:
    assert issubclass(ConfigError, PlugwayError)
    assert issubclass(PluginLoadError, PlugwayError)
    first, second = ConfigError("b", line=2), ConfigError("a", line=1)
    assert combine([first]) is first
    assert combine([first, second]).errors == (second, first)
