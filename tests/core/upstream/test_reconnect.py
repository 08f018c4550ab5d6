"""Servers that go away and come back, and callers that must wait or must not."""

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Self

import anyio
import pytest
from anyio.abc import Process

from plugway.config import ServerConfig
from plugway.upstream import CONNECTED, ServerTimeoutError, Upstream, open_upstreams
from plugway_hookspecs import ServerUnavailableError

Era = Literal["modern", "legacy"]
Serve = Callable[..., AbstractAsyncContextManager[str]]
SERVER = str(Path(__file__).parent / "servers" / "sdk_server.py")
LOST = r"broke off|closed the connection|could not be reached"


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@asynccontextmanager
async def http_program(port: int) -> AsyncGenerator[Process]:
    """Run the SDK server as a process of its own, until killed."""
    command = [sys.executable, SERVER, "http", str(port)]
    process = await anyio.open_process(command, stdout=subprocess.DEVNULL, stderr=None)
    async with process:
        try:
            while True:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                except OSError:
                    await anyio.sleep(0.05)  # nothing tells when another process listens
                else:
                    break
            yield process
        finally:
            if process.returncode is None:
                process.kill()


class Connects:
    """Waits for an upstream's connects."""

    def __init__(self, upstream: Upstream) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[str](100)
        upstream.on_list_changed(lambda event, _: self._note(event))

    def _note(self, event: str) -> None:
        if event == CONNECTED:
            self._send.send_nowait(event)

    async def next(self) -> None:
        await self._receive.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
        self._receive.close()


async def block(upstream: Upstream, started: anyio.Event) -> None:
    """Have a call under way; the server is expected to go meanwhile."""

    async def on_progress(*_: Any) -> None:
        started.set()

    with pytest.raises(ServerUnavailableError, match=LOST) as info:
        await upstream.request("tools/call", tool("block", key="x"), on_progress=on_progress)
    assert not isinstance(info.value, ServerTimeoutError)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_http_server_that_is_killed_comes_back_by_itself(
    era: Era, free_tcp_port: int
) -> None:
    config = ServerConfig(url=f"http://127.0.0.1:{free_tcp_port}/mcp", era=era)
    with anyio.fail_after(20):
        async with open_upstreams({"web": config}) as upstreams:
            upstream = upstreams["web"]
            with Connects(upstream) as connects:
                async with http_program(free_tcp_port) as process:
                    await upstream.connect()
                    await connects.next()
                    started = anyio.Event()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(block, upstream, started)
                        await started.wait()
                        process.kill()
                with pytest.raises(ServerUnavailableError, match="could not be reached"):
                    await upstream.request("tools/call", tool("echo"))
                async with http_program(free_tcp_port):
                    await connects.next()
                    result = await upstream.request("tools/call", tool("echo", a=1))
    assert result["content"][0]["of"] == {"a": 1}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_program_that_dies_is_started_again(era: Era, sdk_program: dict[str, Any]) -> None:
    config = ServerConfig(**sdk_program, era=era)
    with anyio.fail_after(10):
        async with open_upstreams({"program": config, "other": config}) as upstreams:
            upstream = upstreams["program"]
            with Connects(upstream) as connects:
                other = await upstreams["other"].request("tools/call", tool("echo"))
                started = anyio.Event()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(block, upstream, started)
                    await started.wait()
                    with pytest.raises(ServerUnavailableError, match=LOST):
                        await upstream.request("tools/call", tool("die"))
                await connects.next()
                await connects.next()
                result = await upstream.request("tools/call", tool("echo"))
            assert result["content"] == other["content"]
            assert upstreams["other"].status.error == ""


async def test_the_next_request_after_a_death_finds_a_new_program(
    line_program: Callable[[str], dict[str, Any]],
) -> None:
    config = ServerConfig(**line_program("refuse"), era="legacy")
    with anyio.fail_after(10):
        async with open_upstreams({"program": config}) as upstreams:
            with pytest.raises(ServerUnavailableError, match=LOST):
                await upstreams["program"].request("tools/call", tool("say", lines=[], exit=0))
            assert await upstreams["program"].request("tools/call", tool("echo"))


async def test_while_a_server_is_down_requests_fail_at_once_until_it_is_back(
    raw_http: Serve, scripted: Callable[..., Any], free_tcp_port: int
) -> None:
    config = ServerConfig(url=f"http://127.0.0.1:{free_tcp_port}/mcp")
    with anyio.fail_after(10):
        async with open_upstreams({"late": config}) as upstreams:
            upstream = upstreams["late"]
            with Connects(upstream) as connects:
                with pytest.raises(ServerUnavailableError, match="connection refused"):
                    await upstream.connect()
                with pytest.raises(ServerUnavailableError, match=r"next try in 0\.\d s$"):
                    await upstream.request("tools/list")
                assert upstream.status.retry_in is not None
                async with raw_http(scripted("modern"), free_tcp_port):
                    await connects.next()
                    assert await upstream.request("x") == {"method": "x"}
                    assert upstream.status.retry_in is None
                    assert upstream.status.error == ""


async def test_many_callers_share_one_attempt_to_connect(
    raw_http: Serve, scripted: Callable[..., Any]
) -> None:
    server = scripted("modern")
    with anyio.fail_after(10):
        async with (
            raw_http(server) as url,
            open_upstreams({"a": ServerConfig(url=url)}) as upstreams,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(8):
                tasks.start_soon(upstreams["a"].request, "x")
    assert server.methods.count("server/discover") == 1
    assert server.methods.count("x") == 8


async def test_the_era_is_remembered_for_reconnects(
    raw_http: Serve, scripted: Callable[..., Any], free_tcp_port: int
) -> None:
    server = scripted("legacy")
    config = ServerConfig(url=f"http://127.0.0.1:{free_tcp_port}/mcp")
    with anyio.fail_after(10):
        async with open_upstreams({"a": config}) as upstreams:
            with Connects(upstreams["a"]) as connects:
                for _ in range(2):
                    with pytest.raises(ServerUnavailableError):
                        await upstreams["a"].request("x")
                    async with raw_http(server, free_tcp_port):
                        await connects.next()
    assert server.methods == ["server/discover", "initialize", "initialize"]


async def test_a_server_may_come_back_in_another_era(
    raw_http: Serve, scripted: Callable[..., Any], free_tcp_port: int
) -> None:
    config = ServerConfig(url=f"http://127.0.0.1:{free_tcp_port}/mcp")
    with anyio.fail_after(10):
        async with open_upstreams({"a": config}) as upstreams:
            upstream = upstreams["a"]
            with Connects(upstream) as connects:
                for era in ("legacy", "modern", "legacy"):
                    with pytest.raises(ServerUnavailableError):
                        await upstream.request("x")
                    async with raw_http(scripted(era), free_tcp_port):
                        await connects.next()
                        assert await upstream.request("x") == {"method": "x"}
                        assert upstream.status.era == era


async def test_no_more_requests_are_under_way_than_allowed(
    raw_http: Serve, scripted: Callable[..., Any]
) -> None:
    release = anyio.Event()
    server = scripted("modern", release)
    with anyio.fail_after(10):
        async with raw_http(server) as url:
            config = ServerConfig(url=url, max_concurrency=2)
            async with open_upstreams({"a": config}) as ups, anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(ups["a"].request, "x")
                await server.busy.wait()
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(ServerTimeoutError):
                    await ups["a"].request("waits for a slot", timeout=0.1)
                release.set()
    assert server.most == 2
    assert server.methods.count("x") == 5
    assert "waits for a slot" not in server.methods


async def test_a_caller_waits_for_a_connection_no_longer_than_its_timeout(
    raw_http: Serve,
) -> None:
    async def never(*_: Any) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with raw_http(never) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with pytest.raises(ServerTimeoutError, match=r"did not connect within 0\.1 s"):
                await ups["a"].request("x", timeout=0.1)


async def test_a_caller_that_gives_up_does_not_stop_the_connecting(
    raw_http: Serve, scripted: Callable[..., Any]
) -> None:
    with anyio.fail_after(10):
        server = scripted("modern")
        async with raw_http(server) as url, open_upstreams({"a": ServerConfig(url=url)}) as ups:
            with Connects(ups["a"]) as connects:
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await ups["a"].connect()
                await connects.next()
                assert ups["a"].status.state == "up"
