"""Progress, logs, cancellation and changes, in all eight combinations of eras and transports."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from eras import (
    ALL_EIGHT,
    FOUR,
    Serve,
    Stage,
    called,
    elicitation,
    staged,
    until,
)
from mcp import Client
from mcp.shared.exceptions import MCPError

Opened = Callable[..., AbstractAsyncContextManager[tuple[Stage, Client]]]

eight = pytest.mark.parametrize("combination", ALL_EIGHT, ids="-".join)
over_http = pytest.mark.parametrize("combination", FOUR, ids="-".join)
Combination = tuple[str, str, str]
pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")


async def accept(_context: Any, _params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept")


@pytest.fixture
def opened(serve_http: Serve, tmp_path: Path, combination: Combination) -> Opened:
    front, back, transport = combination

    @asynccontextmanager
    async def open_both(
        entry: dict[str, Any] | None = None, **callbacks: Any
    ) -> AsyncGenerator[tuple[Stage, Client]]:
        with anyio.fail_after(60):
            async with staged(serve_http, tmp_path, back, transport, **(entry or {})) as stage:
                async with stage.client(front, **callbacks) as client:
                    yield stage, client
                await stage.left_empty()

    return open_both


@eight
@pytest.mark.parametrize("askable", [False, True], ids=["mute", "askable"])
async def test_progress_logs_and_cancellation_reach_the_other_end(
    opened: Opened, combination: Combination, askable: bool
) -> None:
    reports: list[Any] = []
    logs: list[Any] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async def logged(params: Any) -> None:
        logs.append((params.level, params.data))

    options: dict[str, Any] = {"logging_callback": logged}
    if askable:
        options["elicitation_callback"] = accept
    if combination[0] == "modern":
        options["log_level"] = "warning"
    async with opened(**options) as (stage, client):
        if combination[0] == "legacy":
            await client.set_logging_level("warning")  # pyright: ignore[reportDeprecated]
        await client.call_tool(**called("count", up_to=3), progress_callback=report)
        assert reports == [(n, 3, f"at {n}") for n in (1, 2, 3)]
        levels = ["debug", "warning", "info", "error"]
        await client.call_tool(**called("log", levels=levels, n=2))
        # a pipe that clients share does not tell whose a message is
        own = combination[1] == "legacy" and askable
        shared = combination[2] == "stdio" and not own
        told = [] if shared else [(lv, n) for n in (0, 1) for lv in ("warning", "error")]
        assert logs == told

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call_tool(**called("block", key="a")))
            await stage.happened("started a")
            tasks.cancel_scope.cancel()
        await stage.happened("cancelled a")
        counted: Any = await client.call_tool(**called("count", up_to=1))
        assert counted.structured_content == {"counted": 1}


@eight
async def test_a_client_that_goes_while_its_call_is_under_way_leaves_nothing(
    serve_http: Serve, tmp_path: Path, combination: Combination
) -> None:
    front, back, transport = combination
    with anyio.fail_after(60):
        async with staged(serve_http, tmp_path, back, transport) as stage:
            async with (
                stage.client(front, elicitation_callback=accept) as client,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(lambda: client.call_tool(**called("block", key="a")))
                await stage.happened("started a")
                tasks.cancel_scope.cancel()
            await stage.happened("cancelled a")
            await stage.left_empty()


@eight
async def test_changes_of_resources_reach_those_who_follow_them(
    opened: Opened, combination: Combination
) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(message.params.uri)

    one, two = "up+memo://one", "up+memo://two"
    async with opened(message_handler=on_message) as (stage, client):
        if combination[0] == "legacy":
            await client.subscribe_resource(one)  # pyright: ignore[reportDeprecated]
            # once is enough
            await client.subscribe_resource(one)  # pyright: ignore[reportDeprecated]
            await client.call_tool(**called("touch", uri="memo://two"))
            await client.call_tool(**called("touch", uri="memo://one"))
            await until(lambda: bool(heard))
            assert heard == [one]
            await client.unsubscribe_resource(one)  # pyright: ignore[reportDeprecated]
        else:
            async with client.listen(resource_subscriptions=[one, "up+memo://gone", "x"]) as events:
                followed = events.honored.resource_subscriptions
                assert followed is not None
                assert one in followed
                assert "x" not in followed
                await client.call_tool(**called("touch", uri="memo://two"))
                await client.call_tool(**called("touch", uri="memo://one"))
                event: Any = await anext(events)
                assert event.uri == one
        await until(lambda: not len(stage.gateway.edge.subscriptions))
        if combination[1] == "legacy":
            await stage.happened("unsubscribed memo://one")
            assert stage.events.count("subscribed memo://one") == 1
        await client.call_tool(**called("touch", uri="memo://one"))
        await client.call_tool(**called("touch", uri=two))
        assert heard in ([], [one])


@eight
async def test_changes_of_lists_reach_everybody_once_at_least(
    opened: Opened, combination: Combination
) -> None:
    heard: set[str] = set()

    async def on_message(message: Any) -> None:
        heard.add(type(message).__name__)

    kinds = {"tools": "Tool", "prompts": "Prompt", "resources": "Resource"}
    wanted: dict[str, Any] = {f"{name}_list_changed": True for name in kinds}
    async with opened(message_handler=on_message, elicitation_callback=accept) as (stage, client):
        await client.list_tools()
        if combination[0] == "legacy":
            for name, kind in kinds.items():
                await change(
                    stage, name, partial(contains, heard, f"{kind}ListChangedNotification")
                )
            return
        async with client.listen(**wanted) as events, anyio.create_task_group() as tasks:
            seen: set[str] = set()

            async def listen() -> None:
                async for event in events:
                    seen.add(type(event).__name__)

            tasks.start_soon(listen)
            for name in kinds:
                await change(stage, name, partial(contains, seen, f"{name.title()}ListChanged"))
            tasks.cancel_scope.cancel()


def contains(heard: set[str], name: str) -> bool:
    return name in heard


async def change(stage: Stage, name: str, heard: Callable[[], bool]) -> None:
    """Have the server's list change until it is heard: what listens to it may come to later."""
    async with stage.client("modern") as other:
        while not heard():
            await other.call_tool(**called("change", what=name))
            with anyio.move_on_after(0.3):
                await until(heard)


@eight
async def test_what_a_server_asks_outside_of_a_call_goes_to_the_client_with_the_session(
    opened: Opened, combination: Combination
) -> None:
    asked: list[str] = []

    async def look(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="decline")

    if combination[1] == "modern":
        return  # it can't
    async with opened(elicitation_callback=look) as (stage, client):
        await client.call_tool(**called("late", question=elicitation("later")))
        await until(lambda: any(event.startswith("late ") for event in stage.events))
        (late,) = (event for event in stage.events if event.startswith("late "))
        if combination[0] == "legacy":
            assert asked == ["later"]
            assert '"action": "decline"' in late
        else:
            assert not asked
            assert '"error": -32601' in late


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_notices_of_sessions_pass_between_them(
    serve_http: Serve, tmp_path: Path, transport: str
) -> None:
    heard: list[Any] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ElicitCompleteNotification):
            heard.append(message.params.elicitation_id)

    async def roots(_context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[])

    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "legacy", transport) as stage:
            async with stage.client(
                "legacy",
                message_handler=on_message,
                list_roots_callback=roots,
                elicitation_callback=accept,
            ) as client:
                await client.call_tool(**called("finish"))
                await until(lambda: heard == ["e1"])
                await client.send_roots_list_changed()  # pyright: ignore[reportDeprecated]
                await stage.happened("notifications/roots/list_changed")
            await stage.left_empty()


@over_http
async def test_a_url_that_has_to_be_visited_first_is_a_question_of_the_newer_era(
    opened: Opened, combination: Combination
) -> None:
    visited: list[str] = []
    stages: list[Stage] = []

    async def visit(_context: Any, params: Any) -> types.ElicitResult:
        visited.append(params.url)
        stages[0].note("visited")
        return types.ElicitResult(action="accept")

    if combination[1] == "modern":
        return  # there is no such error
    async with opened(elicitation_callback=visit) as (stage, client):
        stages.append(stage)
        if combination[0] == "modern":
            result: Any = await client.call_tool(**called("visit"))
            assert result.structured_content == {"visited": True}
            assert visited == ["https://shop.example/"]
            return
        with pytest.raises(MCPError) as caught:
            await client.call_tool(**called("visit"))
        assert caught.value.code == -32042
        data: Any = caught.value.error.data
        assert data["elicitations"][0]["elicitationId"] == "e1"


@over_http
async def test_a_resource_that_is_not_there_is_called_so_in_the_clients_era(
    opened: Opened, combination: Combination
) -> None:
    async with opened() as (_, client):
        with pytest.raises(MCPError) as caught:
            await client.read_resource("up+memo://nowhere")
        assert caught.value.message == "no such memo"
        expected = -32002 if combination[:2] == ("legacy", "legacy") else -32602
        assert caught.value.code == expected


@over_http
async def test_a_question_that_its_server_withdraws_is_over(
    opened: Opened, combination: Combination
) -> None:
    gone = anyio.Event()

    async def wait(_context: Any, _params: Any) -> types.ElicitResult:
        try:
            await anyio.sleep_forever()
        finally:
            gone.set()
        raise AssertionError

    if combination[1] == "modern":
        return  # it can't
    question = {**elicitation("who"), "patience": 1}
    async with opened(elicitation_callback=wait) as (stage, client):
        call = called("ask", rounds=[{"q": question}])
        if combination[0] == "legacy":
            result: Any = await client.call_tool(**call)
            await gone.wait()
        else:
            first: Any = await client.session.call_tool(**call, allow_input_required=True)
            ((key, _),) = first.input_requests.items()
            await stage.happened("refused -32001")
            answer = types.ElicitResult(action="accept")
            session: Any = client.session
            result = await session.call_tool(
                **call, input_responses={key: answer}, request_state=first.request_state
            )
        assert result.structured_content["rounds"][0]["q"]["error"] == -32001
