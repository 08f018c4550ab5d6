"""The same behaviour over all transports and in both eras."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from plugway.config import ServerConfig
from plugway.upstream import ServerTimeoutError, Upstream, open_upstreams
from plugway_hookspecs import ServerError, ToolCall

Era = Literal["modern", "legacy"]
Opened = Callable[[], AbstractAsyncContextManager[Upstream]]


LEGACY: list[tuple[str, Era]] = [(transport, "legacy") for transport in ("stdio", "http", "sse")]
MODERN: list[tuple[str, Era]] = [("stdio", "modern"), ("http", "modern")]


@pytest.fixture(params=[*MODERN, *LEGACY], ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, Era]:
    """Transport and era; the old HTTP+SSE transport has no modern era."""
    chosen: tuple[str, Era] = request.param
    return chosen


@pytest.fixture
def transport(way: tuple[str, Era]) -> str:
    return way[0]


@pytest.fixture
def era(way: tuple[str, Era]) -> Era:
    return way[1]


@pytest.fixture
def opened(
    transport: str,
    era: Era,
    sdk_program: dict[str, Any],
    sdk_server: ModuleType,
    http_server: Callable[..., AbstractAsyncContextManager[str]],
    sse_app: Callable[..., Any],
) -> Opened:
    @asynccontextmanager
    async def over_stdio() -> AsyncGenerator[Upstream]:
        config = ServerConfig(**sdk_program, era=era)
        async with open_upstreams({"both": config}, one_client=True) as upstreams:
            yield upstreams["both"]

    @asynccontextmanager
    async def over_http() -> AsyncGenerator[Upstream]:
        async with http_server(sdk_server.server.streamable_http_app()) as url:
            config = ServerConfig(url=url, era=era)
            async with open_upstreams({"both": config}) as upstreams:
                yield upstreams["both"]

    @asynccontextmanager
    async def over_sse() -> AsyncGenerator[Upstream]:
        async with http_server(sse_app(sdk_server.server)) as url:
            config = ServerConfig(url=url, type="sse")
            async with open_upstreams({"both": config}, one_client=True) as upstreams:
                yield upstreams["both"]

    return {"stdio": over_stdio, "http": over_http, "sse": over_sse}[transport]


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


async def test_what_the_server_declares_is_kept(opened: Opened, era: Era) -> None:
    with anyio.fail_after(10):
        async with opened() as upstream:
            assert upstream.status.state == "idle"
            assert upstream.capabilities == {}

            await upstream.connect()

            status = upstream.status
    assert (status.state, status.era, status.error) == ("up", era, "")
    assert status.protocol_version == ("2026-07-28" if era == "modern" else "2025-11-25")
    assert status.server_info["name"] == "both"
    assert status.server_info["version"] == "1.2"
    assert status.instructions == "Be kind."
    assert "tools" in status.capabilities


async def test_nothing_is_lost_on_the_way(opened: Opened) -> None:
    arguments = {"text": "hé", "big": 2**80, "nothing": None, "deep": [{"a": [None, 1.0, True]}]}
    frozen = ToolCall("echo", arguments).to_wire()
    with anyio.fail_after(10):
        async with opened() as upstream:
            listed = await upstream.request("tools/list")
            schema = listed["tools"][0]["inputSchema"]
            result = await upstream.request("tools/call", frozen, tool_schema=schema)

    assert listed["tools"][0]["x-unknown"] == {"kept": None}
    assert result["content"] == [{"type": "hologram", "of": arguments, "nothing": None}]
    assert result["structuredContent"] == {"big": 2**80, "list": [None, 1, 1.5, True]}
    assert result["x-unknown"] == {"kept": None}


async def test_every_concurrent_call_gets_its_own_answer(opened: Opened) -> None:
    answers: dict[int, Any] = {}
    with anyio.fail_after(10):
        async with opened() as upstream:

            async def one(number: int) -> None:
                result = await upstream.request("tools/call", tool("echo", n=number))
                answers[number] = result["content"][0]["of"]

            async with anyio.create_task_group() as tasks:
                for number in range(16):
                    tasks.start_soon(one, number)
    assert answers == {number: {"n": number} for number in range(16)}


async def test_progress_reaches_its_call_in_order_and_before_the_answer(opened: Opened) -> None:
    seen: list[Any] = []

    async def on_progress(params: dict[str, Any]) -> None:
        for _ in range(20 if params["progress"] == 1 else 1):
            await checkpoint()
        seen.append((params["progress"], params["total"], params["message"]))

    with anyio.fail_after(10):
        async with opened() as upstream:
            await upstream.request("tools/call", tool("progress"), on_progress=on_progress)
    assert seen == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_log_messages_reach_the_call_they_belong_to(opened: Opened) -> None:
    seen: list[dict[str, Any]] = []

    async def on_log(params: dict[str, Any]) -> None:
        seen.append(params)

    with anyio.fail_after(10):
        async with opened() as upstream:
            await upstream.request(
                "tools/call", tool("log", a=None), on_log=on_log, log_level="debug"
            )
    assert [(log["level"], log["logger"], log["data"]) for log in seen] == [
        ("info", "tests", {"a": None})
    ]


@pytest.mark.parametrize("transport", ["http"])  # stdio does not tell them apart
async def test_log_messages_of_concurrent_calls_are_told_apart(opened: Opened) -> None:
    seen: dict[int, list[Any]] = {number: [] for number in range(8)}

    with anyio.fail_after(10):
        async with opened() as upstream:

            async def one(number: int) -> None:
                async def on_log(params: dict[str, Any]) -> None:
                    seen[number].append(params["data"])

                call = tool("log", number=number)
                await upstream.request("tools/call", call, on_log=on_log, log_level="debug")

            async with anyio.create_task_group() as tasks:
                for number in seen:
                    tasks.start_soon(one, number)
    assert seen == {number: [{"number": number}] for number in range(8)}


async def test_cancelling_the_caller_cancels_the_request_on_the_server(opened: Opened) -> None:
    started = anyio.Event()

    async def on_progress(*_: Any) -> None:
        started.set()

    with anyio.fail_after(10):
        async with opened() as upstream, anyio.create_task_group() as tasks:

            async def block() -> None:
                call = tool("block", key="mine")
                await upstream.request("tools/call", call, on_progress=on_progress)

            tasks.start_soon(block)
            await started.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                while (await cancelled(upstream)) != ["mine"]:
                    pass


async def test_a_request_that_takes_too_long_is_cancelled_on_the_server(opened: Opened) -> None:
    with anyio.fail_after(10):
        async with opened() as upstream:
            await upstream.connect()
            while "late" not in await cancelled(upstream):  # it may not even get there in time
                with pytest.raises(ServerTimeoutError, match="'both' did not answer tools") as info:
                    await upstream.request("tools/call", tool("block", key="late"), timeout=0.2)
                assert (info.value.timeout, info.value.server) == (0.2, "both")


async def cancelled(upstream: Upstream) -> list[str]:
    result = await upstream.request("tools/call", tool("cancelled"))
    keys: list[str] = result["cancelled"]
    return keys


async def test_an_error_of_the_server_keeps_code_message_and_data(opened: Opened) -> None:
    with anyio.fail_after(10):
        async with opened() as upstream:
            with pytest.raises(ServerError) as info:
                await upstream.request("tools/call", tool("nonesuch"))
    error = info.value
    assert (error.code, error.message) == (-32602, "no tool 'nonesuch'")
    assert (error.data, error.server) == ({"why": [1, None]}, "both")


async def test_what_belongs_to_the_previous_hop_does_not_reach_the_server(
    opened: Opened, era: Era, transport: str
) -> None:
    meta = {
        "progressToken": "theirs",
        "io.modelcontextprotocol/clientInfo": {"name": "them"},
        "io.modelcontextprotocol/logLevel": "debug",
        "traceparent": "theirs",
        "vendor/key": {"kept": None},
    }
    with anyio.fail_after(10):
        async with opened() as upstream:
            call = {**tool("received", text="grüß"), "_meta": meta}
            schema = {"properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}
            result = await upstream.request("tools/call", call, tool_schema=schema)

    received = result["params"]["_meta"]
    assert received.pop("vendor/key") == {"kept": None}
    assert "theirs" not in received.values()
    if era == "legacy":
        assert received == {}
    else:
        assert received["io.modelcontextprotocol/clientInfo"]["name"] == "plugway"
        assert received["io.modelcontextprotocol/clientCapabilities"] == {}
        assert "io.modelcontextprotocol/logLevel" not in received
    if transport == "http":
        headers = result["headers"]
        assert "plugway-call" not in headers
        assert headers["user-agent"].startswith("plugway/")
        assert headers["mcp-protocol-version"] == upstream.status.protocol_version
    if (transport, era) == ("http", "modern"):
        assert result["headers"]["mcp-name"] == "received"
        assert result["headers"]["mcp-param-text"] == "=?base64?Z3LDvMOf?="


async def test_listeners_hear_of_connects_and_changes(opened: Opened) -> None:
    events, receive = anyio.create_memory_object_stream[str](10)
    with events, receive, anyio.fail_after(10):
        async with opened() as upstream:
            upstream.on_list_changed(lambda event, _: events.send_nowait(event))
            await upstream.connect()
            assert await receive.receive() == "connected"
            heard = ""
            while not heard:  # the stream on which it comes opens after the connect
                await upstream.request("tools/call", tool("change"))
                with anyio.move_on_after(0.2):
                    heard = await receive.receive()
    assert heard == "notifications/tools/list_changed"


@pytest.mark.parametrize("way", LEGACY, ids="-".join)  # modern servers can't ask
async def test_a_request_of_the_server_is_refused(opened: Opened) -> None:
    with anyio.fail_after(10):
        async with opened() as upstream:
            result = await upstream.request("tools/call", tool("ask"))
    assert result["code"] == -32601
