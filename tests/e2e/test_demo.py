"""The demo, as a new user runs it: five calls, five different fates, and nothing left behind."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process


@asynccontextmanager
async def demo(mark: str) -> AsyncGenerator[Process]:
    """Run the demo; whoever it starts has the mark."""
    environment = {**os.environ, "PLUGWAY_TEST": mark, "COLUMNS": "80"}
    command = [sys.executable, "-m", "plugway", "demo"]
    async with await anyio.open_process(command, env=environment, stderr=None) as process:
        yield process


async def test_the_demo_shows_every_kind_of_decision(
    tmp_path: Path, processes_with: Callable[[str], int]
) -> None:
    with anyio.fail_after(60):
        async with demo(str(tmp_path)) as process:
            assert process.stdout is not None
            output = b"".join([chunk async for chunk in process.stdout]).decode()
            assert await process.wait() == 0
        mark = f"PLUGWAY_TEST={tmp_path}"
        assert await anyio.to_thread.run_sync(processes_with, mark) == 0
    output = " ".join(output.split())  # however a terminal of 80 columns folds it
    untouched, masked, denied, denied_outside, answered = output.split("client speaks")[1:]
    assert "100.00 EUR = 109.00 USD" in untouched
    assert "modify" in masked
    assert "a***@example.com" in masked
    assert "ada.lovelace@example.com" not in output
    assert "no_deletes" in denied
    assert "Denied:" in denied
    assert "guard/project_names.mutate:request denied by rule" in denied_outside
    assert "Denied:" in denied_outside
    assert "respond" in answered
    assert "100.00 EUR = 109.00 USD" in answered
    assert "plugway init" in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, processes_with: Callable[[str], int], number: signal.Signals, code: int
) -> None:
    with anyio.fail_after(60):
        async with demo(str(tmp_path)) as process:
            assert process.stdout is not None
            await process.stdout.receive()
            process.send_signal(number)
            async for _ in process.stdout:
                pass
            assert await process.wait() == code
        mark = f"PLUGWAY_TEST={tmp_path}"
        assert await anyio.to_thread.run_sync(processes_with, mark) == 0
