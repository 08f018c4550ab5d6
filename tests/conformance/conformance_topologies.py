"""The everything server, directly and behind gateways: what the suite's server scenarios run on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream

EVERYTHING = Path(__file__).with_name("everything.py")
START_SECONDS = 30.0
STOP_SECONDS = 10.0
Entry = dict[str, Any]


class StartError(Exception):
    """A server or a gateway did not come up."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one topology is built: what is closed with it, and where its logs go."""

    stack: AsyncExitStack
    logs: Path

    async def everything(self) -> str:
        """Start the everything server over HTTP; return its URL."""
        command = [sys.executable, str(EVERYTHING), "--port", "0"]
        output = await self._start(command, "upstream")
        return await _read_until(output, self.logs / "upstream.log", lambda text: text.strip())

    async def gateway(self, config: dict[str, Any], name: str = "gateway") -> str:
        """Start a gateway on a free port; return its URL."""
        file = self.logs / f"{name}.yaml"  # JSON is YAML
        await anyio.Path(file).write_text(json.dumps(config, indent=2))
        command = [sys.executable, "-m", "plugway", "-c", str(file), "serve"]
        output = await self._start([*command, "--port", "0", "--no-reload", "--json"], name)
        log = self.logs / f"{name}.log"
        return await _read_until(output, log, lambda text: str(json.loads(text)["url"]))

    async def _start(self, command: list[str], name: str) -> ByteReceiveStream:
        entered = _process(command, self.logs / f"{name}.log")
        return await self.stack.enter_async_context(entered)


@asynccontextmanager
async def _process(command: list[str], log: Path) -> AsyncGenerator[ByteReceiveStream]:
    with log.open("wb") as errors:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stderr=errors, env={**os.environ, "NO_COLOR": "1"}
        )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            with anyio.move_on_after(STOP_SECONDS) as patience:
                await process.wait()
            if patience.cancelled_caught:
                process.kill()
            await process.aclose()


async def _read_until(output: ByteReceiveStream, log: Path, parse: Callable[[str], str]) -> str:
    """Read until a process has said on its standard output where it listens."""
    said = ""
    try:
        with anyio.fail_after(START_SECONDS):
            while True:
                said += (await output.receive()).decode()
                if said.endswith("\n"):
                    try:
                        return parse(said)
                    except json.JSONDecodeError:
                        continue
    except (anyio.EndOfStream, TimeoutError):
        reason = (await anyio.Path(log).read_text()).strip().splitlines()
        text = reason[-1] if reason else "it said nothing"
        raise StartError(f"did not start: {text} (see {log})") from None


def _over_http(url: str) -> Entry:
    return {"url": url, "prefix": ""}


async def direct(stage: Stage) -> str:
    return await stage.everything()


async def http(stage: Stage) -> str:
    everything = _over_http(await stage.everything())
    return await stage.gateway({"mcpServers": {"everything": everything}})


async def second(stage: Stage) -> str:
    everything = _over_http(await stage.everything())
    crm = {"command": sys.executable, "args": ["-m", "plugway.demo.crm"]}
    return await stage.gateway({"mcpServers": {"everything": everything, "crm": crm}})


async def stdio(stage: Stage) -> str:
    everything = {"command": sys.executable, "args": [str(EVERYTHING)], "prefix": ""}
    return await stage.gateway({"mcpServers": {"everything": everything}})


async def chained(stage: Stage) -> str:
    everything = _over_http(await stage.everything())
    behind = await stage.gateway({"mcpServers": {"everything": everything}}, "gateway-behind")
    return await stage.gateway({"mcpServers": {"behind": _over_http(behind)}}, "gateway-in-front")


async def virtual(stage: Stage) -> str:
    servers = {"everything": _over_http(await stage.everything())}
    selection = {"fixtures": {"servers": ["everything"]}}
    url = await stage.gateway({"mcpServers": servers, "virtualServers": selection})
    return f"{url}/fixtures"


Build = Callable[[Stage], Awaitable[str]]
TOPOLOGIES: dict[str, Build] = {
    build.__name__: build for build in (direct, http, second, stdio, chained, virtual)
}


@asynccontextmanager
async def running(name: str, logs: Path) -> AsyncGenerator[str]:
    """Build a topology, yield the URL to test, and take all down again; raises `StartError`."""
    await anyio.Path(logs).mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        yield await TOPOLOGIES[name](Stage(stack, logs))
