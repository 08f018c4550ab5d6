"""Plugins from installed packages, round real calls of the official client."""

from typing import Any

import anyio
import pytest


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_personal_data_is_masked_in_arguments_and_results(
    connect: Any, stdio_features: Any, mode: str
) -> None:
    config = {
        "mcpServers": {"up": stdio_features},
        "plugins": [{"name": "pii", "kind": "pii_filter"}],
    }
    with anyio.fail_after(30):
        async with connect(config, front="http", mode=mode) as client:
            result = await client.call_tool("up__echo", {"text": "mail joe@example.com now"})
            assert "joe@example.com" not in result.content[0].text
            assert result.content[0].text.startswith("mail ")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_denied_call_is_a_result_that_the_model_can_read(
    connect: Any, stdio_features: Any, mode: str
) -> None:
    config = {
        "mcpServers": {"up": stdio_features},
        "plugins": [{"name": "no", "kind": "deny_list", "config": {"tools": ["up__add"]}}],
    }
    with anyio.fail_after(30):
        async with connect(config, front="http", mode=mode) as client:
            assert "up__add" not in {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool("up__add", {"a": 1, "b": 1})
            assert result.is_error
            assert result.content[0].text.startswith("Denied: ")


async def test_arguments_that_break_the_tools_schema_never_reach_the_server(
    connect: Any, stdio_features: Any
) -> None:
    config = {
        "mcpServers": {"up": stdio_features},
        "plugins": [{"name": "schemas", "kind": "schema_guard"}],
    }
    with anyio.fail_after(30):
        async with connect(config, front="http", mode="auto") as client:
            result = await client.call_tool("up__add", {"a": "many", "b": 1})
            assert result.is_error
            assert "Denied" in result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_servers_instructions_do_not_get_past_those_who_guard_its_words(
    connect: Any, stdio_features: Any, mode: str
) -> None:
    config: dict[str, Any] = {"mcpServers": {"up": stdio_features}}
    with anyio.fail_after(30):
        async with connect(config, front="http", mode=mode) as client:
            assert client.instructions == "One of everything."
        config["plugins"] = [{"name": "no", "kind": "deny_list", "config": {"words": ["x"]}}]
        config["gateway"] = {"instructions": "Ask first."}
        async with connect(config, front="http", mode=mode) as client:
            assert client.instructions == "Ask first."
