"""Clients and servers that do not keep to what was agreed: one clear error, nothing left behind."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
import pytest
from eras import ERAS, FOUR, Serve, Stage, called, elicitation, staged, until
from raw_clients import ACCEPT, RawHttp, RawPipe, answer_in, handshake, raw_http, raw_pipe

from plugway.config import parse

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ASKABLE: dict[str, Any] = {"elicitation": {"form": {}}}
YES = {"action": "accept", "content": {"name": "ann"}}
ASK = called("ask", rounds=[{"q": elicitation("who")}])


@asynccontextmanager
async def modern(
    serve: Serve, folder: Path, back: str, **options: Any
) -> AsyncGenerator[tuple[Stage, RawHttp]]:
    with anyio.fail_after(60):
        async with staged(serve, folder, back, "http", **options) as stage:
            async with raw_http(stage.url, MODERN, ASKABLE) as client:
                yield stage, client
            await stage.left_empty()


async def first_round(client: RawHttp) -> tuple[str, str]:
    """Return the state and the key of the one question."""
    result = (await client.ask("tools/call", ASK))["result"]
    assert result["resultType"] == "input_required"
    ((key, question),) = result["inputRequests"].items()
    assert question["params"]["message"] == "who"
    return result["requestState"], key


async def next_round(client: RawHttp, state: Any, answers: Any, call: Any = ASK) -> dict[str, Any]:
    sent = {**call, "requestState": state, "inputResponses": answers}
    return await client.ask("tools/call", sent)


def reason(response: dict[str, Any]) -> str:
    error = response["error"]
    assert error["code"] == -32602, response
    assert error["message"].startswith("Invalid requestState: ")
    return str(error["data"]["reason"])


@pytest.mark.parametrize("back", ERAS)
async def test_a_state_that_is_not_the_requests_own_leads_nowhere(
    serve_http: Serve, tmp_path: Path, back: str
) -> None:
    async with modern(serve_http, tmp_path, back) as (_, client):
        state, key = await first_round(client)
        changed = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
        for wrong in (changed, state[:-1], "", "v1.", "x" * 10_000):
            assert reason(await next_round(client, wrong, {key: YES})) == "not_ours"
        other = called("ask", rounds=[{"q": elicitation("who else")}])
        assert reason(await next_round(client, state, {key: YES}, other)) == "other_request"
        read = {"uri": "up+memo://ask", "requestState": state, "inputResponses": {key: YES}}
        assert reason(await client.ask("resources/read", read)) == "other_request"
        for malformed in (1, [state], {"a": state}):
            response = await next_round(client, malformed, {key: YES})
            assert response["error"]["code"] == -32602
        # none of that has spoiled it
        result = (await next_round(client, state, {key: YES}))["result"]
        assert result["structuredContent"]["rounds"][0]["q"]["content"] == {"name": "ann"}
        if back == "legacy":
            assert reason(await next_round(client, state, {key: YES})) == "replayed"


async def test_a_state_is_worth_nothing_once_its_time_is_over(
    serve_http: Serve, tmp_path: Path
) -> None:
    gateway = {"input_timeout": "200ms"}
    async with modern(serve_http, tmp_path, "legacy", gateway=gateway) as (stage, client):
        state, key = await first_round(client)
        # the server hears that nobody will answer
        await stage.happened("notifications/cancelled")
        await stage.left_empty()
        assert reason(await next_round(client, state, {key: YES})) in {"expired", "replayed"}


@pytest.mark.parametrize("back", ERAS)
async def test_answers_to_questions_that_nobody_asked_reach_nobody(
    serve_http: Serve, tmp_path: Path, back: str
) -> None:
    async with modern(serve_http, tmp_path, back) as (_, client):
        state, key = await first_round(client)
        answers = {key: YES, "nonesuch": {"action": "accept", "content": {"name": "eve"}}}
        result = (await next_round(client, state, answers))["result"]
        assert "eve" not in json.dumps(result)
        wrong: list[Any] = [1, "x", [], None]
        for answer in wrong:
            state, key = await first_round(client)
            response = await next_round(client, state, {key: answer})
            assert response["error"]["code"] == -32602
            await next_round(client, state, {key: YES})  # it can still be answered
        early = {**called("count", up_to=1), "inputResponses": {"q": YES}}
        result = (await client.ask("tools/call", early))["result"]
        assert result["structuredContent"] == {"counted": 1}


@pytest.mark.parametrize("version", [MODERN, LEGACY, "2024-11-05"])
async def test_batches_headers_and_versions_are_checked_in_every_era(
    serve_http: Serve, tmp_path: Path, version: str
) -> None:
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "dual", "http") as stage:
            async with raw_http(stage.url, version) as client:
                call = client.request("tools/call", called("count", up_to=1))
                batch = await client.post([call, call])
                assert batch.status_code == 400
                assert "error" in batch.json()
                right = client.headers(call)
                unknown = {**right, "mcp-protocol-version": "2099-01-01"}
                response = await client.post(call, unknown)
                assert response.status_code == 400
                assert response.json()["error"]["code"] in {-32022, -32020, -32602}
                twice = [*right.items(), ("mcp-protocol-version", "2025-06-18")]
                response = await client.post(call, twice)
                assert response.status_code == 400
                if version == MODERN:
                    for name, value in {"mcp-method": "tools/list", "mcp-name": "x"}.items():
                        response = await client.post(call, {**right, name: value})
                        assert response.status_code == 400
                        assert response.json()["error"]["code"] == -32020
                        response = await client.post(call, [*right.items(), (name, value)])
                        assert response.status_code == 400
                for broken in ({}, {"jsonrpc": "2.0"}, {"jsonrpc": "1.0", **call, "id": None}, 7):
                    response = await client.http.post(client.url, json=broken, headers=right)
                    assert response.status_code == 400
                assert "result" in answer_in(await client.post(call))
                if client.session:
                    await client.http.delete(client.url, headers={**ACCEPT, **client.session})
            await stage.left_empty()


async def test_a_handshake_for_an_unknown_version_gets_one_that_is_known(
    serve_http: Serve, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "dual", "http") as stage:
            async with raw_pipe(stage.gateway.edge, LEGACY) as client:
                assert "result" in await client.ask("tools/list")
            async with raw_http(stage.url, MODERN) as client:
                sent = {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "initialize",
                    "params": handshake("1999-01-01"),
                }
                response = await client.http.post(stage.url, json=sent, headers=ACCEPT)
                assert answer_in(response)["result"]["protocolVersion"] == LEGACY
                session = {"mcp-session-id": response.headers["mcp-session-id"]}
                await client.http.delete(stage.url, headers={**ACCEPT, **session})
            await stage.left_empty()


async def test_ids_that_are_reused_mix_nothing_up(serve_http: Serve, tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, "legacy", "http") as stage:
            async with raw_http(stage.url, MODERN) as client:
                got: dict[int, Any] = {}

                async def one(number: int) -> None:
                    sent = client.request("tools/call", called("count", up_to=number))
                    got[number] = answer_in(await client.post({**sent, "id": 7}))

                async with anyio.create_task_group() as tasks:
                    for number in range(1, 9):
                        tasks.start_soon(one, number)
                counted = {n: each["result"]["structuredContent"] for n, each in got.items()}
                assert counted == {n: {"counted": n} for n in range(1, 9)}
            async with raw_pipe(stage.gateway.edge, LEGACY) as pipe:
                await twice_on_a_pipe(pipe, stage)
            await stage.left_empty()


async def twice_on_a_pipe(pipe: RawPipe, stage: Stage) -> None:
    """Use the id of a request that is under way: the first one is still the one to cancel."""
    block = {"method": "tools/call", "params": called("block", key="a")}
    await pipe.send({"jsonrpc": "2.0", "id": 90, **block})
    await stage.happened("started a")
    await pipe.send({"jsonrpc": "2.0", "id": 90, "method": "ping"})
    answer = await pipe.receive()
    assert answer["id"] == 90
    cancelled = {"method": "notifications/cancelled", "params": {"requestId": 90}}
    await pipe.send({"jsonrpc": "2.0", **cancelled})
    assert "result" in await pipe.ask("ping")


@pytest.mark.parametrize("combination", FOUR, ids="-".join)
async def test_a_client_that_vanishes_in_the_middle_of_a_question_leaves_nothing(
    serve_http: Serve, tmp_path: Path, combination: tuple[str, str, str]
) -> None:
    front, back, transport = combination
    asked = anyio.Event()

    async def hang(_context: Any, _params: Any) -> types.ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    gateway = {"input_timeout": "300ms"}
    with anyio.fail_after(30):
        async with staged(serve_http, tmp_path, back, transport, gateway=gateway) as stage:
            async with (
                stage.client(front, elicitation_callback=hang) as client,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(lambda: client.call_tool(**ASK))
                await asked.wait()
                tasks.cancel_scope.cancel()
            await stage.left_empty()


@pytest.mark.parametrize("back", ERAS)
async def test_a_reload_keeps_what_is_parked(serve_http: Serve, tmp_path: Path, back: str) -> None:
    async with modern(serve_http, tmp_path, back) as (stage, client):
        state, key = await first_round(client)
        old = stage.upstream
        entry = {"url": old.config.url, "session_idle": "400ms", "timeout": 59}
        text = json.dumps({"mcpServers": {"up": entry}})
        await stage.gateway.reload(await anyio.to_thread.run_sync(parse, text))
        assert stage.upstream is not old
        result = (await next_round(client, state, {key: YES}))["result"]
        assert result["structuredContent"]["rounds"][0]["q"]["content"] == {"name": "ann"}
        await until(lambda: old.sessions == 0 and old.main.closed)


@pytest.mark.parametrize(("era", "back"), [("legacy", "legacy"), ("modern", "modern")])
async def test_bursts_of_notifications_starve_nobody(
    serve_http: Serve, tmp_path: Path, era: str, back: str
) -> None:
    heard: list[Any] = []
    n = 10_000

    async def on_message(message: Any) -> None:
        heard.append(message)

    async def accept(_context: Any, _params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept")

    with anyio.fail_after(60):
        async with staged(serve_http, tmp_path, back, "stdio") as stage:
            async with (
                stage.client(
                    era, message_handler=on_message, elicitation_callback=accept
                ) as client,
                stage.client("modern") as other,
            ):
                if era == "legacy":
                    await client.subscribe_resource(  # pyright: ignore[reportDeprecated]
                        "up+memo://one"
                    )
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(
                        lambda: client.call_tool(**called("touch", uri="memo://one", n=n))
                    )
                    tasks.start_soon(
                        lambda: client.call_tool(**called("change", what="tools", n=n))
                    )
                    tasks.start_soon(
                        lambda: client.call_tool(**called("log", levels=["error"], n=n // 5))
                    )
                    for _ in range(20):
                        counted: Any = await other.call_tool(**called("count", up_to=1))
                        assert counted.structured_content == {"counted": 1}
                assert len(heard) < 3 * n
                if era == "legacy":
                    await until(
                        lambda: (
                            {"ResourceUpdatedNotification", "ToolListChangedNotification"}
                            <= {type(each).__name__ for each in heard}
                        )
                    )
            await stage.left_empty()
