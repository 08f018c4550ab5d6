"""What the gateway's benchmark is made of: its echo server, its load generator, the command."""

import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from load import Ask, Client, WrongAnswerError, run_load
from mcp import Client as OfficialClient
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from processes import first_list, free_port, process

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ECHO = str(BENCHMARKS / "raw_echo.py")
SECONDS = 30
TEXT = "7".zfill(32)


@asynccontextmanager
async def echo_server(*options: str) -> AsyncGenerator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    with process([sys.executable, ECHO, str(port), *options]):
        with anyio.fail_after(SECONDS):
            await first_list(url, "modern", Ask())
        yield url


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_raw_echo_server_satisfies_the_official_client(mode: str) -> None:
    async with echo_server("--tools", "3") as url:
        pipe = stdio_client(StdioServerParameters(command=sys.executable, args=[ECHO]))
        for server, tools in ((url, 3), (pipe, 1)):
            with anyio.fail_after(SECONDS):
                async with OfficialClient(server, mode=mode) as client:
                    assert len((await client.list_tools()).tools) == tools
                    result = await client.call_tool("echo", {"text": "hello", "size": 8})
                    assert [block.model_dump()["text"] for block in result.content] == ["helloxxx"]


async def test_the_raw_echo_server_reports_progress_to_the_official_client() -> None:
    told: list[float] = []
    all_told = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        if len(told) == 3:
            all_told.set()

    async with echo_server() as url:
        with anyio.fail_after(SECONDS):
            async with OfficialClient(url, mode="legacy") as client:
                arguments = {"text": "hello", "progress": 3}
                await client.call_tool("echo", arguments, progress_callback=note)
                await all_told.wait()
    assert sorted(told) == [1, 2, 3]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_load_generator_takes_only_what_was_asked_for(era: str) -> None:
    async with echo_server("--tools", "3") as url:
        with anyio.fail_after(SECONDS):
            client = Client(url, era)
            right = [Ask("echo"), Ask("echo", size=100_000), Ask("echo", progress=2), Ask(tools=3)]
            figures = await run_load(client, right, 2, 0.2)
            assert figures.calls > 0
            assert (figures.failed, figures.reason) == (0, "")
            figures = await run_load(client, [Ask(tools=4)], 2, 0.2)
            assert figures.calls == 0
            assert figures.failed > 0


@pytest.mark.parametrize(
    "messages",
    [
        [{"id": 8, "result": {"content": [{"text": TEXT}]}}],
        [{"id": 7, "result": {"content": [{"text": "8".zfill(32)}]}}],
        [{"id": 7, "result": {"content": [{"text": TEXT + "x"}]}}],
        [{"id": 7, "result": {"content": [{"text": TEXT}], "isError": True}}],
        [{"id": 7, "error": {"code": -32603, "message": TEXT}}],
        [{"params": {"progress": 1}}, {"id": 7, "result": {"content": [{"text": TEXT}]}}],
    ],
)
def test_an_answer_that_is_another_requests_or_another_is_wrong(messages: list[Any]) -> None:
    Ask("echo").check(7, [{"id": 7, "result": {"content": [{"text": TEXT}]}}])
    with pytest.raises(WrongAnswerError):
        Ask("echo").check(7, messages)


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores, and reads /proc")
def test_the_quick_benchmark_measures_every_target_and_succeeds() -> None:
    command = [sys.executable, str(BENCHMARKS / "gateway.py"), "--quick", "--without", "nginx"]
    short = ["--rounds", "1", "--seconds", "0.1"]
    done = subprocess.run([*command, *short], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for target in ("direct", "plugway, no plugin", "plugway, 10 no-op"):
        assert len(re.findall(rf"^\| {target} +\|", done.stdout, re.MULTILINE)) == 2
    assert " 0 failures" in done.stdout
