"""The official SDK's client, in both eras, over both transports, before servers of both eras."""

from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import PromptReference, ResourceTemplateReference

MODES = ["auto", "legacy"]
FRONTS = ["http", "stdio"]
BACKS = ["stdio", "http"]
ERAS = ["modern", "legacy"]


@pytest.fixture(params=BACKS)
def back(request: Any, stdio_features: Any, shared_features: Any) -> dict[str, Any]:
    return dict(stdio_features) if request.param == "stdio" else {"url": shared_features.url}


@pytest.fixture(params=ERAS)
def config(request: Any, back: dict[str, Any]) -> dict[str, Any]:
    return {"mcpServers": {"up": {**back, "era": request.param}}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_client_can_do_everything_that_a_server_can(
    connect: Any, config: Any, front: str, mode: str
) -> None:
    with anyio.fail_after(60):
        async with connect(config, front=front, mode=mode) as client:
            await lists_calls_gets_and_reads(client)
            await completes(client)
            await follows_progress(client)
            await cancels(client)


async def lists_calls_gets_and_reads(client: Client) -> None:
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert {"up__add", "up__count", "up__wait_for_ever"} <= tools
    added = await client.call_tool("up__add", {"a": 2, "b": 3})
    assert added.structured_content == {"result": 5}
    prompts = await client.list_prompts()
    assert [prompt.name for prompt in prompts.prompts] == ["up__greet"]
    greeting = await client.get_prompt("up__greet", {"name": "Ada"})
    assert text_of(greeting.messages[0].content) == "Say hello to Ada."
    resources = await client.list_resources()
    assert [resource.uri for resource in resources.resources] == ["up+memo://today"]
    memo = await client.read_resource("up+memo://today")
    assert (memo.contents[0].uri, text_of(memo.contents[0])) == ("up+memo://today", "nothing to do")
    templates = await client.list_resource_templates()
    assert templates.resource_templates[0].uri_template == "up+memo://by-name/{name}"
    named = await client.read_resource("up+memo://by-name/x")
    assert text_of(named.contents[0]) == "memo of x"


async def completes(client: Client) -> None:
    for ref in (
        PromptReference(name="up__greet"),
        ResourceTemplateReference(uri="up+memo://by-name/{name}"),
    ):
        done = await client.complete(ref, {"name": "name", "value": "a"})
        assert done.completion.values == ["alpha", "beta"]


async def follows_progress(client: Client) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def follow(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    await client.call_tool("up__count", {"up_to": 3}, progress_callback=follow)
    assert seen == [(1, 3, "at 1"), (2, 3, "at 2"), (3, 3, "at 3")]


async def cancels(client: Client) -> None:
    """Give up a call, and see at the server that it was cancelled there."""
    started, cancelled = await calls_seen(client)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "up__wait_for_ever")
        while (await calls_seen(client))[0] == started:
            pass
        tasks.cancel_scope.cancel()
    while (await calls_seen(client))[1] == cancelled:
        pass


async def calls_seen(client: Client) -> tuple[int, int]:
    result = await client.call_tool("up__calls_seen", {})
    seen: Any = result.structured_content
    return seen["started"], seen["cancelled"]


def text_of(content: Any) -> str:
    return str(content.text)
