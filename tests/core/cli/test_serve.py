"""`plugway serve`: as a process, over both transports, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

Plugway = Callable[..., Any]
SECONDS = 30

TALKATIVE = """
import os
import subprocess
from plugway_hookspecs import Plugin, hookimpl

print("on import")

class Talkative(Plugin):
    @hookimpl
    def plugin_startup(self, host):
        print("on startup")
        subprocess.run(["echo", "from a child"], check=True)

    @hookimpl
    def tool_pre_invoke(self, payload):
        print("on a call")
        os.write(1, b"without Python's knowledge")

    @hookimpl
    def plugin_shutdown(self):
        print("on shutdown")
"""


@contextmanager
def serving(*arguments: str, **options: Any) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "plugway", "serve", *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, text=True, **pipes, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children(process: subprocess.Popen[str]) -> list[int]:
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in listing.read_text().split()]


def snippet(process: subprocess.Popen[str]) -> Any:
    """Read standard output up to the end of the snippet for clients."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return json.loads(text[text.index("{") :])
    raise AssertionError(text)


def wait_for_children(process: subprocess.Popen[str]) -> list[int]:
    """Read standard output up to the first server's line; return the servers' processes."""
    assert process.stdout is not None
    for line in process.stdout:
        if "✓" in line:
            return children(process)
    raise AssertionError("no server came up")


async def test_the_snippet_that_is_printed_connects_a_client(
    configure: Any, shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": shop}, "gateway": {"port": 0}})
    with serving() as process, anyio.fail_after(SECONDS):
        found = await anyio.to_thread.run_sync(snippet, process)
        entry = found["mcpServers"]["plugway"]
        assert entry["type"] == "http"
        async with Client(entry["url"]) as client:
            result = await client.call_tool("shop__delete", {"number": 1})
            assert result.content[0].text == "1 deleted"  # type: ignore[union-attr]


def test_json_is_one_document_about_where_it_serves(process: Plugway, configure: Any) -> None:
    configure({})
    with serving("--port", "0", "--path", "/here", "--json") as running:
        assert running.stdout is not None
        text = ""
        for line in running.stdout:
            text += line
            if line == "}\n":
                break
        document = json.loads(text)
        assert document["url"].endswith("/here")
        assert (document["servers"], document["plugins"]) == (0, 0)
        running.send_signal(signal.SIGTERM)
        rest, errors = running.communicate(timeout=SECONDS)
    assert rest == ""
    assert errors == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_in_good_order_and_leaves_no_child(
    configure: Any, stdio_shop: dict[str, Any], number: signal.Signals, code: int
) -> None:
    configure({"mcpServers": {"shop": stdio_shop}})
    with serving("--port", "0") as process:
        started = wait_for_children(process)
        assert started
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)
        assert (process.returncode, errors) == (code, "")
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


async def test_a_signal_ends_it_while_a_client_listens(
    configure: Any, shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": shop}})
    with serving("--port", "0") as process, anyio.fail_after(SECONDS):
        found = await anyio.to_thread.run_sync(snippet, process)
        async with Client(found["mcpServers"]["plugway"]["url"], mode="legacy") as client:
            await client.list_tools()
            process.send_signal(signal.SIGTERM)
            _, errors = await anyio.to_thread.run_sync(process.communicate)
        assert (process.returncode, errors) == (0, "")


def test_a_port_that_is_taken_is_one_sentence_before_anything_is_started(
    plugway: Plugway, configure: Any, dying: dict[str, Any]
) -> None:
    configure({"mcpServers": {"dying": dying}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = plugway("serve", "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"plugway: can't listen on 127.0.0.1, port {port}: address already in use; "
        "choose another with --port\n"
    )


def test_beyond_this_machine_a_token_is_needed(plugway: Plugway, configure: Any) -> None:
    configure({})
    done = plugway("serve", "--host", "0.0.0.0", "--port", "0")
    assert (done.code, done.out) == (2, "")
    assert "set `token`" in done.err


@pytest.mark.parametrize(("allowed", "refusal"), [([], 406), (["gw.example:*"], 421)])
async def test_on_all_addresses_the_snippet_works_and_hosts_are_checked_once_they_are_named(
    configure: Any, shop: dict[str, Any], allowed: list[str], refusal: int
) -> None:
    gateway = {"token": "t0ken", "host": "0.0.0.0", "allowed_hosts": allowed}
    configure({"mcpServers": {"shop": shop}, "gateway": gateway})
    bearer = {"Authorization": "Bearer t0ken"}
    async with httpx2.AsyncClient(headers=bearer) as http:
        with serving("--port", "0") as process, anyio.fail_after(SECONDS):
            entry = (await anyio.to_thread.run_sync(snippet, process))["mcpServers"]["plugway"]
            async with Client(streamable_http_client(entry["url"], http_client=http)) as client:
                assert (await client.list_tools()).tools
            for host, status in (("gw.example:80", 406), ("evil.example", refusal)):
                headers = {"Host": host, "Accept": "text/plain"}
                assert (await http.get(entry["url"], headers=headers)).status_code == status


def test_the_token_is_never_printed(configure: Any) -> None:
    configure({"gateway": {"token": "the-secret-token", "port": 0}})
    with serving() as process:
        found = snippet(process)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=SECONDS)
    headers = found["mcpServers"]["plugway"]["headers"]
    assert headers == {"Authorization": "Bearer <gateway.token>"}
    assert "the-secret-token" not in rest + errors


def test_a_guard_that_is_missing_is_no_gateway(plugway: Plugway, configure: Any) -> None:
    configure({"plugins": [{"name": "guard", "kind": "there_is_none"}]})
    done = plugway("serve", "--port", "0")
    assert (done.code, done.out) == (1, "")
    assert "plugway: guard: plugin kind 'there_is_none': is not installed" in done.err


def test_what_is_odd_about_a_configuration_is_noted_first(plugway: Plugway, configure: Any) -> None:
    when = [{"agents": ["a"]}, {"tools": ["b"]}]
    configure({"plugins": [{"name": "guard", "kind": "deny_lst", "when": when}]})
    first, *_ = plugway("serve").err.splitlines()
    assert first == (
        "note: the plugin 'guard' has a condition that never matches: agents: the gateway has no "
        "agent operations yet"
    )


def test_over_stdio_nothing_but_the_protocol_reaches_standard_output(
    configure: Any, install: Any, shop: dict[str, Any]
) -> None:
    site = install("talkative_plugin", TALKATIVE, kind="talkative", attribute="Talkative")
    plugins = [{"name": "talk", "kind": "talkative"}]
    configure({"mcpServers": {"shop": shop}, "plugins": plugins})
    with serving("--stdio", env={**os.environ, "PYTHONPATH": str(site)}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        version = "2025-11-25"
        info = {"clientInfo": {"name": "raw", "version": "0"}, "capabilities": {}}
        hello = {"protocolVersion": version, **info}
        call = {"name": "shop__delete", "arguments": {"number": 1}}
        messages: list[dict[str, Any]] = [
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": call},
        ]
        answers: list[Any] = []
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            process.stdin.flush()
            if "id" in message:
                answers.append(json.loads(process.stdout.readline()))
        rest, errors = process.communicate(timeout=SECONDS)
    assert answers[1]["result"]["content"][0]["text"] == "1 deleted"
    assert rest == ""
    for said in ("on import", "on startup", "from a child", "on a call", "on shutdown"):
        assert said in errors
    assert process.returncode == 0


async def test_the_official_client_starts_it_over_stdio(
    configure: Any, shop: dict[str, Any]
) -> None:
    path = configure({"mcpServers": {"shop": shop}}).absolute()
    arguments = ["-m", "plugway", "-c", str(path), "serve", "--stdio"]
    with anyio.fail_after(SECONDS):
        server = StdioServerParameters(command=sys.executable, args=arguments)
        async with Client(server) as client:
            tools = await client.list_tools()
    assert "shop__find" in {tool.name for tool in tools.tools}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_over_stdio_a_signal_ends_it_although_the_client_is_silent(
    configure: Any, stdio_shop: dict[str, Any], number: signal.Signals, code: int
) -> None:
    configure({"mcpServers": {"shop": stdio_shop}})
    with serving("--stdio") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(SECONDS) == code
        assert process.stdout.read() == ""


def test_ctrl_c_during_a_call_ends_it_and_leaves_no_child(
    configure: Any, stdio_shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": stdio_shop}})
    command = [sys.executable, "-m", "plugway", "call", "shop__wait", "-a", "file=reached"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.mkfifo("reached")
        Path("reached").read_text()  # returns when the tool has opened it too
        (started,) = children(process)  # type: ignore[arg-type]
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, errors) == (130, b"", b"plugway: interrupted\n")
    assert not Path(f"/proc/{started}").exists()
