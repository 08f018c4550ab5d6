"""The demo's surroundings: servers in processes of their own, and the gateway's configuration."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

READY_SECONDS = 20.0

HOSTED = """\
plugins:
  - name: project_names
    kind: deny_list
    config:
      words: [Bluebird]
"""

GATEWAY = """\
mcpServers:
  crm:    {{command: "{python}", args: [-m, plugway.demo.crm]}}
  rates:  {{url: "http://127.0.0.1:{rates}/mcp"}}
  safety: {{url: "http://127.0.0.1:{safety}/mcp", expose: false}}

plugins:
  - {{name: pii, kind: pii_filter, priority: 10, config: {{mask: partial}}}}
  - {{name: no_deletes, kind: deny_list, priority: 20,
     config: {{tools: ["*__delete_*"]}}}}
  - {{name: guard, kind: external, server: safety, priority: 30}}
  - {{name: cache, kind: result_cache, priority: 40,
     config: {{tools: [rates__convert]}}}}
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was started for the demo."""

    config: Path
    text: str


@asynccontextmanager
async def surroundings() -> AsyncGenerator[Surroundings]:
    """Start the demo's HTTP server and its plugin host; stop both when the block ends.

    Raises `OSError` where one of them does not come up.
    """
    rates, safety = _free_port(), _free_port()
    with TemporaryDirectory(prefix="plugway-demo-") as folder:
        hosted, config = Path(folder, "hosted.yaml"), Path(folder, "plugway.yaml")
        text = GATEWAY.format(python=sys.executable, rates=rates, safety=safety)
        await anyio.Path(hosted).write_text(HOSTED)
        await anyio.Path(config).write_text(text)
        host = ["plugway", "-c", str(hosted), "host", "--port", str(safety)]
        async with (
            _process("plugway.demo.rates", str(rates)),
            _process(*host),
        ):
            await _listening(rates)
            await _listening(safety)
            yield Surroundings(config, text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncGenerator[None]:
    """Run `python -m module` until the block ends."""
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", module, *arguments]
    process = await anyio.open_process(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError), anyio.CancelScope(shield=True):
            process.terminate()
            with anyio.move_on_after(3) as patience:
                await process.wait()
            if patience.cancelled_caught:
                process.kill()
                await process.wait()


async def _listening(port: int) -> None:
    deadline = anyio.current_time() + READY_SECONDS
    while anyio.current_time() < deadline:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await anyio.sleep(0.05)
        else:
            await stream.aclose()
            return
    raise OSError(f"a demo server did not come up on port {port} within {READY_SECONDS:g} s")
