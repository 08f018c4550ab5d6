"""`plugway host` as a process: what it says, what it serves, how it ends."""

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client, StdioServerParameters

from plugway.config import ServerConfig
from plugway.upstream import open_upstreams
from plugway_hookspecs import Deny, Operation, ToolCall

Manager = Callable[..., AbstractAsyncContextManager[Any]]

HOSTING = Path(__file__).parent / "servers" / "hosting.py"
COMMAND = [sys.executable, str(HOSTING)]


@asynccontextmanager
async def running(*arguments: str) -> AsyncGenerator[tuple[Process, BufferedByteReceiveStream]]:
    command = [*COMMAND, *arguments]
    async with await anyio.open_process(command, stdin=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            yield process, BufferedByteReceiveStream(process.stderr)
        finally:
            if process.returncode is None:
                process.kill()


async def line(stream: BufferedByteReceiveStream) -> str:
    return (await stream.receive_until(b"\n", 10_000)).decode()


@pytest.mark.parametrize("dialect", ["interceptors", "contextforge"])
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_plugins_are_served_over_stdio_whatever_they_print(
    era: str, dialect: str, run_plugins: Manager, as_server: Callable[[Client], Any]
) -> None:
    config = {"server": "peer", "dialect": dialect}
    external = {"name": "remote", "kind": "external", "config": config}
    parameters = StdioServerParameters(command=sys.executable, args=[str(HOSTING), "--stdio"])
    with anyio.fail_after(20):
        async with (
            Client(parameters, mode=era, cache=None) as client,
            run_plugins({}, external, servers={"peer": as_server(client)}) as gateway,
        ):
            chain = gateway.chain("tool_pre_invoke")
            changed = await chain(ToolCall("echo", {"a": 1}), Operation("1", "tools/call"))
            denied = await chain(ToolCall("forbidden"), Operation("2", "tools/call"))
    assert changed.payload == ToolCall("echo", {"a": 1, "n": 2**60 + 1})
    assert denied.verdict == Deny("no", "mine", details={"n": 2**60 + 1})


async def test_it_says_what_it_serves_and_where() -> None:
    with anyio.fail_after(20):
        async with running("--port", "0") as (_, stderr):
            said = await line(stderr)
            url = said.strip().partition(" at ")[2]
            async with Client(url, cache=None) as client:
                tools = await client.list_tools()
    assert said.startswith("serving guard at http://127.0.0.1:")
    assert [tool.name for tool in tools.tools] == [
        "get_plugin_configs",
        "get_plugin_config",
        "invoke_hook",
    ]


async def test_the_configuration_is_named_as_for_every_other_command(tmp_path: Path) -> None:
    config = tmp_path / "plugins.yaml"
    config.write_text("plugins: [{name: masked, kind: pii_filter}]\n")
    command = [sys.executable, "-m", "plugway", "host", "-c", str(config), "--port", "0"]
    with anyio.fail_after(20):
        async with await anyio.open_process(command, stdin=None) as process:
            assert process.stderr is not None
            said = await line(BufferedByteReceiveStream(process.stderr))
            process.terminate()
    assert said.startswith("serving masked at ")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("arguments", [["--stdio"], ["--port", "0"]])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it_after_the_plugins_have_shut_down(
    number: signal.Signals, code: int, arguments: list[str]
) -> None:
    with anyio.fail_after(20):
        async with running(*arguments) as (process, stderr):
            if "--stdio" in arguments:
                await answered(process)
            else:
                await line(stderr)
            process.send_signal(number)
            assert await process.wait() == code
            rest = "".join([stderr.buffer.decode(), *[item.decode() async for item in stderr]])
    assert "shut down" in rest
    assert "Traceback" not in rest


async def answered(process: Process) -> None:
    """Wait until a host on standard input and output has answered a first request."""
    assert process.stdin is not None
    assert process.stdout is not None
    message = '{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    await process.stdin.send(message.encode())
    await process.stdout.receive()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines"),
        (["--token-env", "NO_SUCH_VARIABLE"], "'NO_SUCH_VARIABLE' is not set or empty"),
    ],
)
async def test_what_can_not_be_served_is_one_sentence(arguments: list[str], message: str) -> None:
    with anyio.fail_after(20):
        result = await anyio.run_process([*COMMAND, *arguments], check=False)
    assert result.returncode == 1
    assert message in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_gateways_own_connection_carries_both_dialects(
    era: str, run_plugins: Manager
) -> None:
    command = {"command": sys.executable, "args": [str(HOSTING), "--stdio"], "era": era}
    plugins = [
        {"name": dialect, "kind": "external", "config": {"server": "peer", "dialect": dialect}}
        for dialect in ("interceptors", "contextforge")
    ]
    with anyio.fail_after(20):
        async with (
            open_upstreams({"peer": ServerConfig.model_validate(command)}) as servers,
            run_plugins({}, *plugins, servers=servers) as gateway,
        ):
            for plugin in ("interceptors", "contextforge"):
                payload = ToolCall("echo", {"a": 1}, extra={"x": 1})
                operation = Operation("1", "tools/call")
                outcome = await gateway.run(plugin, "tool_pre_invoke", payload, operation)
                assert outcome.payload == payload.replace(arguments={"a": 1, "n": 2**60 + 1})
