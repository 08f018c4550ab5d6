"""The official SDK's client, in both eras, over both transports, before servers of both eras."""

from typing import Any

import anyio
import pytest

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
async def test_a_client_can_use_everything_that_a_server_has(
    connect: Any, config: Any, front: str, mode: str
) -> None:
    with anyio.fail_after(30):
        async with connect(config, front=front, mode=mode) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert {"up__add", "up__count", "up__wait_for_ever"} <= tools
            added = await client.call_tool("up__add", {"a": 2, "b": 3})
            assert added.structured_content == {"result": 5}
            prompts = await client.list_prompts()
            assert [prompt.name for prompt in prompts.prompts] == ["up__greet"]
            greeting = await client.get_prompt("up__greet", {"name": "Ada"})
            assert "Ada" in greeting.messages[0].content.text
            resources = await client.list_resources()
            assert [str(r.uri) for r in resources.resources] == ["up+memo://today"]
            memo = await client.read_resource("up+memo://today")
            assert memo.contents[0].text == "nothing to do"
            assert str(memo.contents[0].uri) == "up+memo://today"
            templates = await client.list_resource_templates()
            assert templates.resource_templates[0].uri_template == "up+memo://by-name/{name}"
            named = await client.read_resource("up+memo://by-name/x")
            assert named.contents[0].text == "memo of x"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_client_follows_progress_in_order(
    connect: Any, config: Any, front: str, mode: str
) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def follow(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    with anyio.fail_after(30):
        async with connect(config, front=front, mode=mode) as client:
            await client.call_tool("up__count", {"up_to": 3}, progress_callback=follow)
    assert seen == [(1, 3, "at 1"), (2, 3, "at 2"), (3, 3, "at 3")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_call_that_the_client_gives_up_is_cancelled_at_the_server(
    connect: Any, config: Any, front: str, mode: str
) -> None:
    async def seen(client: Any, key: str) -> int:
        result = await client.call_tool("up__calls_seen", {})
        return int(result.structured_content[key])

    with anyio.fail_after(30):
        async with connect(config, front=front, mode=mode) as client:
            started, cancelled = await seen(client, "started"), await seen(client, "cancelled")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "up__wait_for_ever", {})
                while await seen(client, "started") == started:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            while await seen(client, "cancelled") == cancelled:
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("front", FRONTS)
async def test_a_client_completes_arguments(
    connect: Any, config: Any, front: str, mode: str
) -> None:
    from mcp_types import PromptReference, ResourceTemplateReference

    with anyio.fail_after(30):
        async with connect(config, front=front, mode=mode) as client:
            prompt = PromptReference(name="up__greet")
            done = await client.complete(prompt, {"name": "name", "value": "a"})
            assert done.completion.values == ["alpha", "beta"]
            template = ResourceTemplateReference(uri="up+memo://by-name/{name}")
            done = await client.complete(template, {"name": "name", "value": "a"})
            assert done.completion.values == ["alpha", "beta"]
