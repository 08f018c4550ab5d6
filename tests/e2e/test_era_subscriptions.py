"""Resources that clients follow: how many subscriptions that takes, and what they survive."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
import pytest
from eras import ERAS, Serve, Stage, called, staged, until
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated

from plugway.config import parse

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
ONE = "up+memo://one"


class Follower:
    """A client that follows one resource, and counts what it hears."""

    def __init__(self, stage: Stage, era: str) -> None:
        self.stage = stage
        self.era = era
        self.heard = 0
        self.leaving = anyio.CancelScope()

    async def follow(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Follow until `leaving` is cancelled; then say good-bye."""
        async with self.stage.client(self.era, message_handler=self._on_message) as client:
            with self.leaving:
                if self.era == "legacy":
                    await client.subscribe_resource(ONE)  # pyright: ignore[reportDeprecated]
                    task_status.started()
                    await anyio.sleep_forever()
                async with client.listen(resource_subscriptions=[ONE]) as events:
                    task_status.started()
                    async for event in events:
                        assert event == ResourceUpdated(uri=ONE)
                        self.heard += 1

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            assert message.params.uri == ONE
            self.heard += 1


@pytest.mark.parametrize("back", ERAS)
async def test_many_clients_take_one_subscription(
    serve_http: Serve, tmp_path: Path, back: str
) -> None:
    with anyio.fail_after(60):
        async with staged(serve_http, tmp_path, back, "http") as stage:
            followers = [Follower(stage, era) for era in ERAS * 4]
            async with stage.client("modern") as client, anyio.create_task_group() as tasks:
                for follower in followers:
                    await tasks.start(follower.follow)
                await client.call_tool(**called("touch", uri="memo://one"))
                await until(lambda: all(each.heard for each in followers))
                if back == "legacy":
                    assert stage.events.count("subscribed memo://one") == 1
                for follower in followers:
                    follower.leaving.cancel()
            if back == "legacy":
                await stage.happened("unsubscribed memo://one")
            await stage.left_empty()


async def restart(stage: Stage, client: Client) -> None:
    with pytest.raises(MCPError):
        await client.call_tool(**called("die"))


async def replace(stage: Stage, _client: Client) -> None:
    server = stage.gateway.config.servers["up"]
    entry = {"command": server.command, "args": server.args, "timeout": 59}
    text = json.dumps({"mcpServers": {"up": {**entry, "session_idle": "400ms"}}})
    await stage.gateway.reload(await anyio.to_thread.run_sync(parse, text))


@pytest.mark.parametrize("back", ERAS)
@pytest.mark.parametrize("happening", [restart, replace])
async def test_subscriptions_survive_their_server(
    serve_http: Serve, tmp_path: Path, back: str, happening: Any
) -> None:
    with anyio.fail_after(60):
        async with staged(serve_http, tmp_path, back, "stdio") as stage:
            followers = [Follower(stage, era) for era in ERAS]
            async with stage.client("modern") as client, anyio.create_task_group() as tasks:
                for follower in followers:
                    await tasks.start(follower.follow)
                await happening(stage, client)
                # what changed meanwhile nobody knows, so they are told
                await until(lambda: all(each.heard for each in followers))
                for follower in followers:
                    follower.heard = 0
                while not all(each.heard for each in followers):
                    await client.call_tool(**called("touch", uri="memo://one"))
                    with anyio.move_on_after(0.3):
                        await until(lambda: all(each.heard for each in followers))
                for follower in followers:
                    follower.leaving.cancel()
            await stage.left_empty()


async def test_what_a_server_refuses_to_tell_of_is_refused_to_everybody(
    serve_http: Serve, tmp_path: Path
) -> None:
    uri, refusals = "up+memo://secret", list[int]()
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "legacy", "http") as stage:
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(stage.client("legacy")) for _ in range(5)
                ]

                async def subscribe(client: Client) -> None:
                    try:
                        await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
                    except MCPError as error:
                        refusals.append(error.code)

                async with anyio.create_task_group() as tasks:  # all at the same time
                    for client in clients:
                        tasks.start_soon(subscribe, client)
                assert refusals == [-32602] * 5
                modern = await stack.enter_async_context(stage.client("modern"))
                async with modern.listen(resource_subscriptions=[uri, ONE]) as events:
                    assert events.honored.resource_subscriptions == [ONE]
            await stage.left_empty()
