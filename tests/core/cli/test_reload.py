"""`plugway serve` takes over what changes in its configuration, and says so."""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from mcp import Client
from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

from plugway.cli.logs import write_logs
from plugway.cli.reloading import Reloads
from plugway.cli.running import Interrupts
from plugway.config import Config

SECONDS = 60
DENY = {"name": "no", "kind": "deny_list", "config": {"tools": ["shop__delete"]}}
PII = {"name": "pii", "kind": "pii_filter"}


@contextmanager
def serving(*arguments: str, **options: Any) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "plugway", "serve", *arguments]
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, text=True, **(pipes | options))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def url(process: subprocess.Popen[str]) -> str:
    """Read standard output up to the end of the snippet; return the endpoint."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            found: str = json.loads(text[text.index("{") :])["mcpServers"]["plugway"]["url"]
            return found
    raise AssertionError(text)


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that it logs about reloads."""
    assert process.stderr is not None
    return next(line.strip() for line in process.stderr if " plugway.cli.reloading: " in line)


def put(path: Path, config: dict[str, Any]) -> None:
    """Put a new file in the place of the old one, as editors do."""
    new = path.with_name("new")
    new.write_text(json.dumps(config))
    new.replace(path)


async def test_what_changes_in_the_file_holds_for_clients_that_are_connected(
    configure: Any, shop: dict[str, Any]
) -> None:
    start: dict[str, Any] = {"mcpServers": {"shop": shop}, "plugins": [PII]}
    path = configure(start)
    with serving("--port", "0") as process, anyio.fail_after(SECONDS):
        async with Client(await anyio.to_thread.run_sync(url, process)) as client:
            assert not (await client.call_tool("shop__delete", {"number": 1})).is_error
            put(path, {**start, "plugins": [PII, DENY], "gateway": {"path": "/other"}})
            log = await anyio.to_thread.run_sync(said, process)
            what = "plugins: added no, 1 kept; servers: 1 kept"
            assert log.endswith(f"reloaded plugway.yaml: {what}")
            log = await anyio.to_thread.run_sync(said, process)
            assert log.endswith("plugway.yaml: needs a restart: gateway.path")
            assert (await client.call_tool("shop__delete", {"number": 1})).is_error
            put(path, {**start, "plugins": [PII, {**DENY, "knd": "x"}]})
            log = await anyio.to_thread.run_sync(said, process)
            assert "not reloaded, everything goes on as before: plugway.yaml:1: plugins[1]" in log
            assert "unknown key; did you mean 'kind'?" in log
            put(path, {**start, "plugins": [PII, {**DENY, "kind": "there_is_none"}]})
            log = await anyio.to_thread.run_sync(said, process)
            assert "no: plugin kind 'there_is_none': is not installed" in log
            assert (await client.call_tool("shop__delete", {"number": 1})).is_error
            put(path, start)
            log = await anyio.to_thread.run_sync(said, process)
            assert log.endswith("plugins: removed no, 1 kept; servers: 1 kept")
            assert not (await client.call_tool("shop__delete", {"number": 1})).is_error
        process.send_signal(signal.SIGTERM)
        _, errors = await anyio.to_thread.run_sync(process.communicate)
        assert (process.returncode, errors) == (0, "")


def test_sighup_reloads_though_the_file_is_not_watched(configure: Any) -> None:
    path = configure({"plugins": [PII]})
    with serving("--port", "0", "--no-reload") as process:
        url(process)
        put(path, {"plugins": [PII, DENY]})
        process.send_signal(signal.SIGHUP)
        assert said(process).endswith("plugins: added no, 1 kept; servers: none")
        process.send_signal(signal.SIGHUP)
        assert said(process).endswith("reloaded plugway.yaml: nothing is different")
        path.unlink()
        process.send_signal(signal.SIGHUP)
        assert said(process).endswith("before: plugway.yaml: there is no such file")
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=SECONDS)[1] == ""


def test_it_ends_with_its_terminal(configure: Any) -> None:
    configure({"plugins": [PII]})
    ours, its = os.openpty()

    def control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    options = {"stdin": its, "start_new_session": True, "preexec_fn": control}
    with serving("--port", "0", **options) as process:
        os.close(its)
        url(process)
        os.close(ours)
        assert process.wait(SECONDS) == 0


def test_a_configuration_that_kubernetes_replaces_is_seen() -> None:
    for name, plugins in (("..one", [PII]), ("..two", [PII, DENY]), ("..three", [DENY])):
        Path(name).mkdir()
        Path(name, "plugway.yaml").write_text(json.dumps({"plugins": plugins}))

    def point_at(folder: str) -> None:
        Path("..new").symlink_to(folder)
        Path("..new").replace("..data")

    point_at("..one")
    Path("plugway.yaml").symlink_to("..data/plugway.yaml")
    with serving("--port", "0") as process:
        url(process)
        point_at("..two")
        assert said(process).endswith("plugins: added no, 1 kept; servers: none")
        point_at("..three")
        assert said(process).endswith("plugins: removed pii, 1 kept; servers: none")


def test_a_file_that_is_referred_to_is_watched_too_and_no_secret_is_logged(configure: Any) -> None:
    Path("secrets").mkdir()
    Path("secrets/word").write_text("first-secret")
    words = {"name": "no", "kind": "deny_list", "config": {"words": ["${file:secrets/word}"]}}
    configure({"plugins": [words]})
    with serving("--port", "0") as process:
        url(process)
        Path("secrets/word").write_text("second-secret")
        log = said(process)
        assert log.endswith("plugins: replaced no; servers: none")
        assert "secret" not in log
        Path("secrets/word").unlink()
        assert "secrets/word can't be read" in said(process)
        Path("secrets/word").write_text("second-secret")
        assert said(process).endswith("reloaded plugway.yaml: nothing is different")


def test_the_command_line_goes_on_winning_over_the_file(configure: Any) -> None:
    path = configure({"gateway": {"port": 1}})
    with serving("--port", "0") as process:
        url(process)
        put(path, {"gateway": {"port": 2, "request_timeout": 9}})
        assert said(process).endswith("servers: none; settings changed: request_timeout")
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=SECONDS)[1] == ""


def test_what_only_a_restart_takes_over_is_all_that_is_said(configure: Any) -> None:
    path = configure({"gateway": {"port": 1}})
    with serving("--port", "0") as process:
        url(process)
        put(path, {"gateway": {"port": 1, "path": "/other"}, "audit": {"file": "a.jsonl"}})
        assert said(process).endswith("plugway.yaml: needs a restart: gateway.path, audit")


async def test_a_log_in_the_watched_folder_does_not_feed_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_logs(logging.INFO, verbose=True)
    with anyio.fail_after(SECONDS):
        changes = awatch(".", watch_filter=None, rust_timeout=10, yield_on_timeout=True)
        async for found in changes:  # the first one comes when it watches
            if found:
                break
            await anyio.Path("plugway.log").write_text("a line")
        await changes.aclose()
    assert capsys.readouterr().err == ""


def test_over_stdio_it_reloads_as_well(configure: Any) -> None:
    path = configure({"plugins": [PII]})
    with serving("--stdio") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        process.stdout.readline()
        put(path, {"plugins": [DENY]})
        assert said(process).endswith("plugins: added no, removed pii; servers: none")
        out, errors = process.communicate(timeout=SECONDS)
        assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.parametrize("content", ["", " \n", "# nothing\n"])
def test_a_file_without_content_takes_no_plugin_away(configure: Any, content: str) -> None:
    path = configure({"plugins": [PII]})
    with serving("--port", "0") as process:
        url(process)
        path.write_text(content)
        assert "not reloaded" in said(process)


def test_ctrl_c_during_a_reload_ends_it(configure: Any, install: Any) -> None:
    source = """
import anyio
from pathlib import Path
from plugway_hookspecs import Plugin, hookimpl

class Slow(Plugin):
    @hookimpl
    async def plugin_startup(self):
        await anyio.Path("reached").write_text("")
        await anyio.sleep_forever()

    @hookimpl
    async def tool_pre_invoke(self):
        return None
"""
    site = install("slow_plugin", source, kind="slow", attribute="Slow")
    os.environ["PYTHONPATH"] = str(site)
    try:
        path = configure({"plugins": [PII]})
        os.mkfifo("reached")
        with serving("--port", "0") as process:
            url(process)
            put(path, {"plugins": [{"name": "slow", "kind": "slow"}]})
            Path("reached").read_text()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS)
            assert (process.returncode, errors) == (130, "")
    finally:
        del os.environ["PYTHONPATH"]


async def test_what_was_not_expected_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "plugway")
    gateway: Any = None  # it does not come to that
    secret = "s3cret"
    tried, scope = anyio.Event(), anyio.CancelScope()

    def load() -> Config:
        anyio.from_thread.run_sync(scope.cancel if tried.is_set() else tried.set)
        raise RuntimeError(secret)

    async def signals() -> AsyncGenerator[signal.Signals]:
        yield signal.SIGHUP
        await tried.wait()
        yield signal.SIGHUP

    with anyio.fail_after(5), scope:
        reloads = Reloads(Path("plugway.yaml"), load, None)
        await reloads.follow(gateway, signals(), Interrupts(scope.cancel))
    assert "not reloaded, everything goes on as before: reloading raised Runtime" in caplog.text
    assert "in load" in caplog.text
    assert "s3cret" not in caplog.text
