from pathlib import Path

import click
import pytest

from plugway_external_bridge.commands import host
from plugway_external_bridge.config import ExternalConfig

README = Path(__file__).parents[2] / "external_bridge" / "README.md"
OPTIONS = [option for parameter in host.params for option in parameter.opts]


@pytest.mark.parametrize("key", ExternalConfig.model_fields)
def test_every_key_of_the_configuration_is_documented(key: str) -> None:
    assert f"| `{key}` |" in README.read_text()


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_the_command_is_documented(option: str) -> None:
    assert isinstance(host, click.Command)
    assert f"`{option}`" in README.read_text()
