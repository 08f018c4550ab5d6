"""The audit file of whole gateways: killed, stopped, misconfigured."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from plugway.audit import read_audit
from plugway.audit.reading import put_aside
from plugway.config import load
from plugway.errors import ConfigError
from plugway.gateway import open_gateway

SECONDS = 30
MODERN = "2026-07-28"
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": MODERN,
    "Mcp-Method": "tools/call",
    "Mcp-Name": "features__echo",
}


@contextmanager
def serving(path: Path) -> Generator[tuple[subprocess.Popen[bytes], str]]:
    command = [sys.executable, "-m", "plugway", "-c", str(path), "serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        text = b""
        for line in process.stdout:
            text += line
            if line == b"}\n":
                break
        try:
            yield process, json.loads(text)["url"]
        finally:
            process.kill()


@pytest.fixture
def configure(tmp_path: Path, stdio_features: dict[str, Any]) -> Callable[..., Path]:
    def write(*, servers: bool = True, **audit: Any) -> Path:
        path = tmp_path / "plugway.yaml"
        config = {
            "mcpServers": {"features": stdio_features} if servers else {},
            "gateway": {"port": 0},
            "audit": {"file": "audit.jsonl", **audit},
        }
        path.write_text(json.dumps(config, indent=2))
        return path

    return write


class Caller:
    """Calls the gateway again and again, each time in a trace of its own, until it is gone."""

    def __init__(self, url: str, number: int) -> None:
        self.where = urlsplit(url)
        self.number = number
        self.answered: list[str] = []

    def run(self, enough: threading.Event) -> None:
        connection = HTTPConnection(self.where.hostname or "", self.where.port, timeout=SECONDS)
        with contextlib.suppress(OSError, HTTPException):
            while True:
                trace = f"{self.number:016x}{len(self.answered) + 1:016x}"
                self.call(connection, trace)
                self.answered.append(trace)
                if len(self.answered) == 30:
                    enough.set()
        connection.close()

    def call(self, connection: HTTPConnection, trace: str) -> None:
        meta = {**MODERN_META, "traceparent": f"00-{trace}-{'cd' * 8}-01"}
        params = {"name": "features__echo", "arguments": {"text": "x"}, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        connection.request("POST", self.where.path, json.dumps(message), HEADERS)
        assert b'"result"' in connection.getresponse().read()


def test_every_request_that_was_answered_before_a_kill_is_in_the_file(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    enough = threading.Event()
    with serving(configure()) as (process, url), ThreadPoolExecutor() as threads:
        callers = [Caller(url, number) for number in range(1, 9)]
        runs = [threads.submit(caller.run, enough) for caller in callers]
        assert enough.wait(SECONDS)
        process.kill()
        for run in runs:
            run.result()
    cut: list[bytes] = []
    entries = list(read_audit(tmp_path / "audit.jsonl", unreadable=cut.append))
    answered = {trace for caller in callers for trace in caller.answered}
    assert len(answered) >= 30
    assert answered <= {entry["trace"] for entry in entries}
    assert len(cut) <= 1


async def test_files_that_are_put_aside_under_load_lose_nothing(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    config = await anyio.to_thread.run_sync(load, configure(max_bytes=2000, keep=500))
    with anyio.fail_after(SECONDS):
        async with open_gateway(config) as gateway:

            async def work() -> None:
                async with Client(gateway.edge.server, cache=None) as client:
                    for _ in range(25):
                        await client.call_tool("features__echo", {"text": "x"})

            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(work)
    files = await anyio.to_thread.run_sync(put_aside, tmp_path / "audit.jsonl")
    assert len(files) > 10
    entries = [entry for file in files for entry in read_audit(file)]
    calls = [entry["id"] for entry in entries if entry["method"] == "tools/call"]
    assert len(calls) == len(set(calls)) == 200


async def test_a_file_that_can_not_be_opened_is_an_error_in_the_configuration(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    path = configure(file="none/audit.jsonl")
    config = await anyio.to_thread.run_sync(load, path)
    with pytest.raises(ConfigError) as caught:
        async with open_gateway(config):
            raise AssertionError
    target = str(tmp_path / "none" / "audit.jsonl")
    wanted = f"{target!r} can't be opened: no such file or directory: make its folder"
    assert caught.value.message == wanted
    assert re.fullmatch(rf"{re.escape(str(path))}:\d+: audit.file: .*", str(caught.value))
    line = (caught.value.line or 0) - 1
    assert '"file"' in (await anyio.Path(path).read_text()).splitlines()[line]


async def test_two_gateways_have_two_files(configure: Callable[..., Path]) -> None:
    config = await anyio.to_thread.run_sync(load, configure(servers=False))
    async with open_gateway(config):
        with pytest.raises(ConfigError, match="another gateway writes to it"):
            async with open_gateway(config):
                raise AssertionError
    async with open_gateway(config):
        pass


def test_a_trial_on_the_command_line_leaves_the_file_to_the_gateway(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    path = configure()
    command = [sys.executable, "-m", "plugway", "-c", str(path), "call", "features__echo"]
    with serving(path):
        done = subprocess.run([*command, "-a", "text=x"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "audit.jsonl").read_text() == ""
