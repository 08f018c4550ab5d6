"""No message, representation or traceback may have what a reference stood for."""

import json
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from plugway.config import Config, GatewayConfig, PluginEntry, ServerConfig, parse
from plugway.errors import ConfigError
from plugway.executor.conditions import Condition
from plugway_hookspecs import PluginConfig

MARK = "qX7!zK"
"""Begins every secret, so that a part of one is found too."""

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(MARK.__add__)
SHAPES: list[Any] = ["${S}", "x${S}y", ["${S}"], {"key": "${S}"}, [{"key": ["${S}"]}]]


def everything_said(error: BaseException) -> str:
    shown = "".join(traceback.format_exception(error))
    return "\n".join([str(error), repr(error), shown, repr(vars(error))])


def places() -> list[dict[str, Any]]:
    """Return configurations with a reference at every key there is, in every shape."""
    server = {"url": "https://h.example/mcp"}
    plugin = {"name": "n", "kind": "k"}
    found: list[dict[str, Any]] = []
    for shape in SHAPES:
        servers = [{**server, key: shape} for key in ServerConfig.model_fields]
        plugins = [{**plugin, key: shape} for key in PluginEntry.model_fields]
        conditions = [{key: shape} for key in Condition.model_fields]
        found += [{"mcpServers": {"a": entry}} for entry in servers]
        found += [{"plugins": [plugin, entry]} for entry in plugins]
        found += [{"plugins": [{**plugin, "when": when, "priority": ""}]} for when in conditions]
        found += [{"gateway": {key: shape, "port": "${S}"}} for key in GatewayConfig.model_fields]
        found += [{"mcpServers": shape}, {"plugins": shape}]
        found += [{"gateway": shape, "$schema": shape, "unknown": shape}]
    return found


def refusal(content: dict[str, Any], secret: str, suffix: str = "json") -> ConfigError | None:
    text = json.dumps({"plugins": [], **content})
    try:
        parse(text, file=Path(f"f.{suffix}"), env={"S": secret})
    except ConfigError as error:
        return error
    return None


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_no_error_has_a_secret_in_it_wherever_the_secret_stands(suffix: str) -> None:
    refused = 0
    for content in places():
        for secret in (f"{MARK}1", f"{MARK}\n'\"{{}} ${{S}}", f"{MARK}{'x' * 100}"):
            if error := refusal(content, secret, suffix):
                refused += 1
                assert MARK not in everything_said(error), content
    assert refused > 300


@given(SECRETS, st.sampled_from(places()))
def test_no_secret_is_ever_in_an_error(secret: str, content: dict[str, Any]) -> None:
    if error := refusal(content, secret):
        assert MARK not in everything_said(error)


class Nested(PluginConfig):
    mode: Literal["a", "b"] = "a"
    limit: int = Field(default=1, gt=0)


class Talkative(PluginConfig):
    """A plugin's configuration whose validators quote what they get."""

    key: str = ""
    other: str = ""
    number: int = 0
    nested: Nested = Nested()

    @field_validator("key")
    @classmethod
    def _quote(cls, value: str) -> str:
        if value:
            raise ValueError(f"the key {value!r} is no good")
        return value

    @model_validator(mode="after")
    def _quote_all(self) -> "Talkative":
        if self.other:
            raise AssertionError(f"the other one\nis {self.other}")
        return self


def explain(
    content: dict[str, Any], env: dict[str, str], model: type[PluginConfig] = Talkative
) -> ConfigError:
    """Validate a plugin's `config` as the registry does, and translate the error."""
    text = json.dumps({"plugins": [{"name": "n", "kind": "k", "config": content}]}, indent=1)
    config: Config = parse(text, file=Path("f.yaml"), env=env)
    with pytest.raises(ValidationError) as caught:
        model.model_validate(config.plugins[0].config)
    return config.invalid(caught.value, model, "plugins", 0, "config")


@pytest.mark.parametrize("key", ["key", "other", "number", "nested", "secret"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_plugin_s_own_validator_cannot_give_a_secret_away(key: str, shape: Any) -> None:
    error = explain({key: shape}, {"S": f"{MARK}1"})
    assert MARK not in everything_said(error)
    assert error.path.startswith(f"plugins[0].config{'' if key == 'other' else '.' + key}")


def test_a_plugin_s_own_validator_is_heard_where_no_reference_is() -> None:
    error = explain({"key": "v"}, {})
    assert str(error) == "f.yaml:7: plugins[0].config.key: the key 'v' is no good"
    error = explain({"other": "v"}, {})
    assert str(error) == "f.yaml:6: plugins[0].config: the other one is v"


class Odd(PluginConfig):
    """A configuration with what no JSON Schema can describe, and what pydantic quotes."""

    call: Callable[[], None] | None = None
    id: UUID | None = None
    when: date | None = None
    choice: Literal[1, 2] = 1


@pytest.mark.parametrize("key", ["id", "when", "choice"])
def test_pydantic_s_own_quotations_are_withheld_too(key: str) -> None:
    assert "found `q`" not in explain({key: "${S}"}, {"S": "qX7"}, Odd).message
    assert "found `q`" in explain({"id": "qX7"}, {}, Odd).message


def test_a_configuration_without_json_schema_has_no_suggestions() -> None:
    assert str(explain({"cal": 1}, {}, Odd)).endswith("plugins[0].config.cal: unknown key")


def test_problems_inside_a_plugin_s_config_have_line_path_and_suggestion() -> None:
    error = explain({"number": "x", "nested": {"mode": "c", "limit": 0}, "nestd": {}}, {})
    assert str(error).splitlines() == [
        "f.yaml:7: plugins[0].config.number: expected a whole number",
        "f.yaml:9: plugins[0].config.nested.mode: expected 'a' or 'b', not 'c'",
        "f.yaml:10: plugins[0].config.nested.limit: must be greater than 0",
        "f.yaml:12: plugins[0].config.nestd: unknown key; did you mean 'nested'?",
    ]
