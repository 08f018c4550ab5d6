"""The gateway on standard input and output, fed by hand."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": "first",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "0"},
    },
}


class Raw:
    """A client that writes what it is told to, one line at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin = process.stdin
        self.stdout = BufferedByteReceiveStream(process.stdout)

    async def write(self, line: bytes) -> None:
        await self.stdin.send(line + b"\n")

    async def answer_to(self, message: dict[str, Any]) -> dict[str, Any]:
        await self.write(json.dumps(message).encode())
        while True:
            line = await self.stdout.receive_until(b"\n", 1 << 20)
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == message["id"]:
                return answer


@asynccontextmanager
async def gateway(folder: Path, server: dict[str, Any]) -> AsyncGenerator[Raw]:
    path = anyio.Path(folder / "plugway.yaml")
    await path.write_text(json.dumps({"mcpServers": {"up": server}}))
    command = [sys.executable, "-m", "plugway", "-c", str(path), "serve", "--stdio"]
    async with await anyio.open_process(command, stderr=None) as process:
        raw = Raw(process)
        assert "result" in await raw.answer_to(INITIALIZE)
        await raw.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        yield raw
        await raw.stdin.aclose()
        assert await process.wait() == 0


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"jsonrpc": "2.0", "id": 5, "method": 7}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"jsonrpc": "2.0", "id": 6, "method": "no/such"}',
    ],
    ids=range(7),
)
async def test_a_line_that_is_no_request_does_not_disturb_the_next_one(
    tmp_path: Path, stdio_features: dict[str, Any], line: bytes
) -> None:
    call = {"name": "up__add", "arguments": {"a": 1, "b": 2}}
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
    with anyio.fail_after(30):
        async with gateway(tmp_path, stdio_features) as raw:
            await raw.write(line)
            answer = await raw.answer_to(message)
            assert answer["result"]["structuredContent"] == {"result": 3}


async def test_closing_standard_input_ends_the_gateway_and_its_servers(
    tmp_path: Path, stdio_features: dict[str, Any], processes_with: Callable[[str], int]
) -> None:
    mark = f"PLUGWAY_TEST={tmp_path}"
    marked = {**stdio_features, "env": {"PLUGWAY_TEST": str(tmp_path)}}
    call = {"name": "up__add", "arguments": {"a": 1, "b": 2}}
    message = {"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": call}
    with anyio.fail_after(30):
        async with gateway(tmp_path, marked) as raw:
            assert "result" in await raw.answer_to(message)
            assert await anyio.to_thread.run_sync(processes_with, mark) == 1
        assert await anyio.to_thread.run_sync(processes_with, mark) == 0
