"""Programs: how they start, how they misbehave, how they end."""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from plugway.config import ServerConfig
from plugway.upstream import ServerTimeoutError, open_upstreams
from plugway_hookspecs import ServerError, ServerUnavailableError

Program = Callable[[str], dict[str, Any]]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def say(*lines: str, **more: Any) -> dict[str, Any]:
    return call("say", lines=lines, **more)


OK = '{"jsonrpc":"2.0","id":ID,"result":{"ok":true}}'


async def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, be it that nobody has reaped it yet."""
    try:
        stat = await anyio.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("treatment", ["refuse", "ignore", "die", "hang"])
async def test_a_legacy_program_is_found_whatever_it_does_with_an_unknown_method(
    line_program: Program, treatment: str
) -> None:
    config = ServerConfig(**line_program(treatment), connect_timeout=1.5)
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as upstreams:
            upstream = upstreams["old"]
            await upstream.connect()
            assert upstream.status.era == "legacy"
            assert upstream.status.protocol_version == "2025-06-18"
            assert upstream.status.server_info["x-unknown"] == [None]
            assert upstream.capabilities["x-unknown"] is None
            result = await upstream.request("tools/call", call("echo", a=1))
    assert result["arguments"] == {"a": 1}


async def test_a_modern_program_that_must_be_legacy_is_reported(line_program: Program) -> None:
    config = ServerConfig(**line_program("refuse"), era="modern")
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as upstreams:
            with pytest.raises(ServerUnavailableError, match="refused to connect: no server/disc"):
                await upstreams["old"].connect()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"jsonrpc":"2.0","id":ID,"result":[1]}', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":ID,"result":"text"}', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":"ID","result":null}', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":ID}', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":ID,"error":"text"}', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":ID,"result":{', "not JSON-RPC"),
        ('{"jsonrpc":"2.0","id":ID,"result":{"x":"BYTE"}}', "not JSON-RPC"),
    ],
)
async def test_a_bad_answer_costs_its_own_request_only(
    line_program: Program, line: str, reason: str
) -> None:
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"bad": config}) as upstreams:
            upstream = upstreams["bad"]
            waiting = anyio.Event()

            async def sibling() -> None:
                waiting.set()
                await upstream.request("tools/call", say())

            async with anyio.create_task_group() as tasks:
                await upstream.connect()
                tasks.start_soon(sibling)
                await waiting.wait()
                with pytest.raises(ServerUnavailableError, match=reason):
                    await upstream.request("tools/call", say(line))
                assert await upstream.request("tools/call", say(OK)) == {"ok": True}
                tasks.cancel_scope.cancel()


async def test_what_is_no_message_is_passed_over(
    line_program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    noise = ["Starting...", "", "{}", "[]", "null", "BYTE", '{"jsonrpc":"2.0","id":99,"result":{}}']
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10), caplog.at_level(logging.WARNING):
        async with open_upstreams({"loud": config}) as upstreams:
            upstream = upstreams["loud"]
            assert await upstream.request("tools/call", say(*noise, OK)) == {"ok": True}
            assert await upstream.request("tools/call", say(*noise, OK)) == {"ok": True}
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "standard output" in warnings[0]


async def test_a_message_that_is_too_long_is_refused_and_not_kept(
    line_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugway.upstream.stdio.MAX_MESSAGE_BYTES", 1_000_000)
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"long": config}) as upstreams:
            upstream = upstreams["long"]
            with pytest.raises(ServerUnavailableError, match="too long"):
                await upstream.request("tools/call", say(long=5_000_000))
            result = await upstream.request("tools/call", say(long=900_000))
    assert len(result["x"]) == 900_000


async def test_an_answer_that_never_comes_is_a_timeout(line_program: Program) -> None:
    config = ServerConfig(**line_program("refuse"), timeout=0.1)
    with anyio.fail_after(10):
        async with open_upstreams({"mute": config}) as upstreams:
            await upstreams["mute"].request("tools/call", say(OK), timeout=5)
            with pytest.raises(
                ServerTimeoutError, match=r"did not answer tools/call within 0\.1 s"
            ):
                await upstreams["mute"].request("tools/call", say())


async def test_a_program_that_stops_reading_holds_nobody_longer_than_the_timeout(
    line_program: Program, impatient: None
) -> None:
    config = ServerConfig(**line_program("hang"), era="legacy")
    with anyio.fail_after(4):
        async with open_upstreams({"stuck": config}) as upstreams:
            upstream = upstreams["stuck"]
            await upstream.connect()

            async def one() -> None:
                with pytest.raises(ServerTimeoutError):
                    await upstream.request("unknown", {"x": "x" * 1_000_000}, timeout=0.2)

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(one)


@pytest.mark.parametrize(("one_client", "heard"), [(True, [1]), (False, [])])
async def test_log_messages_without_a_clear_owner_are_dropped(
    line_program: Program, one_client: bool, heard: list[int]
) -> None:
    seen: list[Any] = []

    async def on_log(params: dict[str, Any]) -> None:
        seen.append(params["data"])

    def log(data: int) -> str:
        return f'{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{data}}}}}'

    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}, one_client=one_client) as upstreams:
            upstream = upstreams["old"]
            await upstream.request("tools/call", say(log(1), OK), on_log=on_log)
            async with anyio.create_task_group() as tasks:
                silent = partial(upstream.request, "tools/call", say(), on_log=on_log)
                tasks.start_soon(silent)
                await anyio.wait_all_tasks_blocked()
                await upstream.request("tools/call", say(log(2), OK), on_log=on_log)
                tasks.cancel_scope.cancel()
    assert seen == heard


async def test_params_that_cannot_be_encoded_cost_nobody_else_anything(
    line_program: Program,
) -> None:
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as upstreams:
            upstream = upstreams["old"]
            with pytest.raises(ServerError, match="can't be sent") as info:
                await upstream.request("tools/call", call("echo", text="\ud800"))
            assert info.value.code == -32602
            assert await upstream.request("tools/call", say(OK)) == {"ok": True}


async def test_a_program_gets_only_the_environment_that_it_is_meant_to_have(
    line_program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLUGWAY_TEST_SECRET", "hidden")
    monkeypatch.setenv("PLUGWAY_TEST_SHARED", "shared")
    config = ServerConfig(
        **line_program("refuse"),
        env={"PLUGWAY_TEST_OWN": "own"},
        inherit_env=["PLUGWAY_TEST_SHARED", "PLUGWAY_TEST_UNSET"],
        cwd=tmp_path,
    )
    with anyio.fail_after(10):
        async with open_upstreams({"env": config}) as upstreams:
            result = await upstreams["env"].request("tools/call", call("environment"))
    ours = {k: v for k, v in result["environment"].items() if k.startswith("PLUGWAY_TEST")}
    assert ours == {"PLUGWAY_TEST_OWN": "own", "PLUGWAY_TEST_SHARED": "shared"}
    assert result["environment"]["PATH"] == os.environ["PATH"]
    assert result["cwd"] == str(tmp_path)


async def test_standard_error_is_kept_at_its_end_and_logged(
    line_program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    config = ServerConfig(**line_program("refuse"))
    words = "\n".join(f"line {number}" for number in range(100)) + "\n" + "x" * 10_000 + "\nend"
    with anyio.fail_after(10), caplog.at_level(logging.DEBUG, "plugway.upstream.noisy"):
        async with open_upstreams({"noisy": config}) as upstreams:
            upstream = upstreams["noisy"]
            await upstream.request("tools/call", say(OK, stderr=words))
            while not upstream.status.stderr_tail.endswith("\nend"):
                await checkpoint()
            tail = upstream.status.stderr_tail
    assert len(tail) <= 4096
    assert len(tail.splitlines()) <= 20
    assert "line 99" in [record.getMessage() for record in caplog.records]


async def test_a_program_never_blocks_on_its_standard_error(line_program: Program) -> None:
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"noisy": config}) as upstreams:
            answer = say(OK, stderr="x" * 1_000_000)
            assert await upstreams["noisy"].request("tools/call", answer) == {"ok": True}
            assert await upstreams["noisy"].request("tools/call", answer) == {"ok": True}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give programs less time to end by themselves."""
    monkeypatch.setattr("plugway.upstream.process.EXIT_TIMEOUT", 0.2)
    monkeypatch.setattr("plugway.upstream.process.KILL_TIMEOUT", 0.2)


def script(body: str) -> ServerConfig:
    return ServerConfig(command=sys.executable, args=["-c", body])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ServerConfig(command="plugway-no-such-command"),
            "'plugway-no-such-command' was not found on PATH; install it or give a full path",
        ),
        (
            ServerConfig(command=sys.executable, cwd=Path("/no/such/folder")),
            "could not be started: its folder '/no/such/folder' is not there",
        ),
        (ServerConfig(command="/etc"), "command '/etc' may not be executed"),
        (script("from mcp.server.fastmcp import FastMCP"), 'pin it with `--with "mcp<2"`'),
        (script("import no_such_package.x"), "Python package with the module 'no_such_package'"),
        (
            script("raise OSError(98, 'Address already in use')"),
            "the address that the program listens on is taken",
        ),
        (script("print('hello')\nprint('world')"), "standard output"),
        (script("pass"), "exited with code 0 before it answered"),
        (script("import os; os.abort()"), "was ended by signal 6 before it answered"),
        (script("import sys; sys.exit(3)"), "exited with code 3 before it answered"),
    ],
)
async def test_a_program_that_does_not_come_up_is_explained(
    config: ServerConfig, message: str
) -> None:
    with anyio.fail_after(10):
        async with open_upstreams({"broken": config}) as upstreams:
            with pytest.raises(ServerUnavailableError) as info:
                await upstreams["broken"].connect()
            status = upstreams["broken"].status
    assert message in info.value.message
    assert info.value.server == "broken"
    assert "\n" not in info.value.message
    assert status.state == "down"
    assert status.error.startswith("server 'broken' ")
    assert status.retry_in


async def test_closing_leaves_no_process_behind(line_program: Program, impatient: None) -> None:
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"parent": config}) as upstreams:
            result = await upstreams["parent"].request("tools/call", call("child"))
            assert len(result["pids"]) == 2
        assert [await is_gone(pid) for pid in result["pids"]] == [True, True]


async def test_cancellation_leaves_no_process_behind(
    line_program: Program, impatient: None
) -> None:
    config = ServerConfig(**line_program("hang"), era="legacy")
    pids: list[int] = []
    started = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def gateway() -> None:
                async with open_upstreams({"parent": config}) as upstreams:
                    result = await upstreams["parent"].request("tools/call", call("child"))
                    pids.extend(result["pids"])
                    started.set()
                    await upstreams["parent"].request("hang")

            tasks.start_soon(gateway)
            await started.wait()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert [await is_gone(pid) for pid in pids] == [True, True]


async def test_requests_fail_at_once_when_everything_is_closed(line_program: Program) -> None:
    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as upstreams:
            await upstreams["old"].connect()
        with pytest.raises(ServerUnavailableError, match="the gateway closed its connections"):
            await upstreams["old"].request("tools/call", say(OK))
        assert upstreams["old"].status.state == "down"


async def test_a_flood_of_progress_does_not_pile_up(
    line_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugway.upstream.inbox.MAX_UNDELIVERED", 3)
    seen: list[float] = []
    flooded = anyio.Event()

    async def on_progress(params: dict[str, Any]) -> None:
        await flooded.wait()
        seen.append(params["progress"])

    def progress(number: int) -> str:
        params = f'{{"progressToken":ID,"progress":{number}}}'
        return f'{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}'

    config = ServerConfig(**line_program("refuse"))
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as ups, anyio.create_task_group() as tasks:

            async def one() -> None:
                call = say(*map(progress, range(50)), OK)
                await ups["old"].request("tools/call", call, on_progress=on_progress)

            await ups["old"].connect()
            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            await ups["old"].request("tools/call", say(OK))  # answered after the flood
            flooded.set()
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    "params",
    [
        '{"progressToken":ID,"progress":"1"}',
        '{"progressToken":ID,"progress":true}',
        '{"progressToken":ID}',
        '{"progressToken":99,"progress":1}',
        '{"progressToken":null,"progress":1}',
        '{"progressToken":true,"progress":1}',
        "{}",
    ],
)
async def test_progress_that_makes_no_sense_is_passed_over(
    line_program: Program, params: str
) -> None:
    async def on_progress(*_: Any) -> None:
        pytest.fail("delivered")

    line = f'{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}'
    config = ServerConfig(**line_program("refuse"), era="legacy")
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as ups:
            call = say(line, OK)
            assert await ups["old"].request("tools/call", call, on_progress=on_progress)


async def test_a_program_may_ping(line_program: Program) -> None:
    ping = '{"jsonrpc":"2.0","id":"p","method":"ping"}'
    config = ServerConfig(**line_program("refuse"), era="legacy")
    with anyio.fail_after(10):
        async with open_upstreams({"old": config}) as upstreams:
            await upstreams["old"].request("tools/call", say(ping, OK))
            heard = await upstreams["old"].request("tools/call", call("heard"))
    assert heard["answers"] == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


async def test_a_program_that_closes_its_input_is_done_with(
    line_program: Program, impatient: None
) -> None:
    config = ServerConfig(**line_program("refuse"), era="legacy")
    with anyio.fail_after(10):
        async with open_upstreams({"deaf": config}) as upstreams:
            await upstreams["deaf"].request("tools/call", call("deafen"))
            with pytest.raises(ServerUnavailableError, match="closed the connection"):
                await upstreams["deaf"].request("tools/call", call("echo"))
            assert await upstreams["deaf"].request("tools/call", call("echo"))
