"""Limits of the HTTP side, sessions that end, and streams that are resumed."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from starlette.types import ASGIApp, Receive, Scope, Send

from plugway.downstream.http import BearerGate

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MODERN = "2026-07-28"


class Gate:
    """What a server's calls wait for, where they say so."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.release = anyio.Event()
        self.waiting = self.left = 0

    async def pause(self, arguments: Any) -> None:
        if arguments.get("wait"):
            self.waiting += 1
            self.reached.set()
            try:
                await self.release.wait()
            finally:
                self.left += 1


def errors(response: Any, code: int) -> str:
    """Return the message of a JSON-RPC error that belongs to no request."""
    body = response.json()
    assert (body["jsonrpc"], body.get("id"), body["error"]["code"]) == ("2.0", None, code)
    for word in ("Traceback", "pydantic", "site-packages"):
        assert word not in response.text
    return str(body["error"]["message"])


def tasks() -> int:
    """Count the tasks, but for one that sse-starlette keeps for as long as the loop runs."""
    return sum("_shutdown_watcher" not in repr(task.get_coro()) for task in asyncio.all_tasks())


async def message_on(events: AsyncIterator[dict[str, str]]) -> dict[str, str]:
    """Return the next event that is no mark."""
    async for event in events:
        if event["data"]:
            return event
    raise AssertionError("the stream has ended")


def wait(request_id: Any = 7) -> dict[str, Any]:
    params = {"name": "up__echo", "arguments": {"wait": True}}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


async def test_an_idle_session_ends_and_leaves_nothing(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served("session_idle: 1s") as gateway:
            before = tasks()
            clients = [gateway.client() for _ in range(5)]
            async with AsyncExitStack() as streams:
                for client in clients:
                    await client.open()
                    await streams.enter_async_context(client.stream())
                    assert (await client.call()).status_code == 200
                assert gateway.events.sessions == len(gateway.gateway.edge.sessions) == 5
                assert gateway.events.size > 0
            while gateway.events.sessions or tasks() > before:
                await checkpoint()
            gc.collect()
            assert gateway.events.size == len(gateway.gateway.edge.sessions) == 0
            response = await clients[0].call()
            assert response.status_code == 404
            assert errors(response, -32600) == "Session not found"
            assert (await clients[0].open()).status_code == 404  # the old id is of no use
            assert (await gateway.client().open()).status_code == 200


async def test_an_open_stream_keeps_a_session_alive(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served("session_idle: 1s") as gateway:
            listening, other = gateway.client(), gateway.client()
            await other.open()
            await listening.open()
            async with listening.stream() as (response, _):
                assert response.status_code == 200
                while gateway.events.sessions > 1:
                    await checkpoint()
                assert (await other.call()).status_code == 404
                assert (await listening.call()).status_code == 200


async def test_one_session_too_many_is_refused_until_another_ends(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served("max_sessions: 2") as gateway:
            first, second, third = (gateway.client() for _ in range(3))
            await first.open()
            await second.open()
            response = await third.open()
            assert response.status_code == 503
            assert errors(response, -32603) == "Too many open sessions"
            assert (await first.call()).status_code == 200
            ended = await first.http.delete(first.url, headers=first.headers)
            assert ended.status_code == 200
            assert (await third.open()).status_code == 200
            assert gateway.events.sessions == 2


async def test_a_request_that_opens_no_session_takes_no_place(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served("max_sessions: 1") as gateway:
            client = gateway.client()
            for _ in range(3):
                response = await client.call()
                assert response.status_code == 400
                assert errors(response, -32600) == "Bad Request: Missing session ID"
            assert (await client.open()).status_code == 200


async def test_one_request_too_many_is_refused_until_another_is_answered(served: Serve) -> None:
    gate = Gate()
    with anyio.fail_after(20):
        async with served("max_streams: 1", gate.pause) as gateway:
            client = gateway.client()
            await client.open()
            async with client.stream(wait()) as (_, events):
                await gate.reached.wait()
                response = await client.call(8)
                assert response.status_code == 503
                assert response.headers["retry-after"] == "1"
                assert errors(response, -32603).startswith("1 requests are open")
                health = await client.http.get(client.url.replace("/mcp", "/health"))
                assert health.status_code == 200
                gate.release.set()
                assert [event async for event in events]
            while (response := await client.call(8)).status_code == 503:
                await checkpoint()
            assert response.status_code == 200


async def test_a_request_is_answered_on_the_stream_that_is_resumed(served: Serve) -> None:
    gate = Gate()
    with anyio.fail_after(20):
        async with served(pause=gate.pause) as gateway:
            client = gateway.client()
            await client.open()
            async with client.stream(wait()) as (_, events):
                mark = await anext(events)
                await gate.reached.wait()
            assert (mark["data"], mark["retry"]) == ("", "1000")
            async with client.stream(Last_Event_ID=mark["id"]) as (response, events):
                assert response.status_code == 200
                assert response.headers["content-type"].startswith("text/event-stream")
                gate.release.set()
                answer = await message_on(events)
            message = json.loads(answer["data"])
            assert (message["id"], message["result"]["structuredContent"]) == (7, {"wait": True})

            # and once more after it has been answered: the stream ends with the answer
            async with client.stream(Last_Event_ID=mark["id"]) as (_, events):
                again = [event for event in [event async for event in events] if event["data"]]
            assert again == [answer]


async def test_what_a_client_missed_while_it_was_away_is_sent_when_it_is_back(
    served: Serve,
) -> None:
    changed = "notifications/{}/list_changed".format
    with anyio.fail_after(20):
        async with served() as gateway:
            client, announce = gateway.client(), gateway.gateway.edge.sessions.announce
            await client.open()
            async with client.stream() as (_, events):
                announce(changed("tools"))
                seen = await anext(events)
            announce(changed("prompts"))
            await client.call()
            async with client.stream(Last_Event_ID=seen["id"]) as (_, events):
                missed = await message_on(events)
                announce(changed("resources"))
                live = await message_on(events)
    methods = [json.loads(event["data"])["method"] for event in (seen, missed, live)]
    assert methods == [changed("tools"), changed("prompts"), changed("resources")]


async def test_a_stream_that_can_t_be_resumed_is_refused(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served("replay_events: 2") as gateway:
            mine, theirs = gateway.client(), gateway.client()
            ids: list[str] = []
            for client in (mine, theirs):
                await client.open()
                async with client.stream(wait() | {"method": "tools/list"}) as (_, events):
                    ids.append((await anext(events))["id"])
            for event_id in (ids[1], "made-up", ids[0][:-1] + "0"):
                async with mine.stream(Last_Event_ID=event_id) as (response, _):
                    await response.aread()
                    assert response.status_code == 400
                    assert errors(response, -32600).startswith("The stream can't be resumed")
            await mine.call(8)  # with which the first events are forgotten
            async with mine.stream(Last_Event_ID=ids[0]) as (response, _):
                assert response.status_code == 400
            async with theirs.stream(Last_Event_ID=ids[1]) as (response, events):
                assert response.status_code == 200
                assert [json.loads(event["data"])["id"] async for event in events] == [7]
            mine.headers["mcp-session-id"] = "0" * 32
            async with mine.stream(Last_Event_ID=ids[1]) as (response, _):
                assert response.status_code == 404


async def test_a_session_serves_only_who_made_it(served: Serve) -> None:
    def two_tokens(app: ASGIApp) -> ASGIApp:
        first, second = (BearerGate(app, token, frozenset()) for token in "ab")

        async def by_token(scope: Scope, receive: Receive, send: Send) -> None:
            is_first = (b"authorization", b"Bearer a") in scope.get("headers", ())
            await (first if is_first else second)(scope, receive, send)

        return by_token

    with anyio.fail_after(20):
        async with served(wrap=two_tokens) as gateway:
            client = gateway.client()
            client.headers["authorization"] = "Bearer a"
            await client.open()
            async with client.stream(wait() | {"method": "tools/list"}) as (_, events):
                mark = await anext(events)
            thief = gateway.client()
            thief.headers = {**client.headers, "authorization": "Bearer b"}
            responses = [
                await thief.call(9),
                await thief.http.delete(thief.url, headers=thief.headers),
            ]
            async with thief.stream(Last_Event_ID=mark["id"]) as (response, _):
                await response.aread()
                responses.append(response)
            for response in responses:
                assert response.status_code == 404
                assert errors(response, -32600) == "Session not found"
            assert (await client.call(9)).status_code == 200


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_body_that_is_too_large_is_refused(served: Serve, era: str) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    with anyio.fail_after(20):
        async with served("max_payload_bytes: 20000") as gateway:
            client = gateway.client()
            await client.open()
            headers = client.request(0, {})["headers"]
            if era == "modern":
                headers["mcp-protocol-version"] = MODERN
            for content in (b" " * 20_001, chunks()):
                response = await client.http.post(client.url, content=content, headers=headers)
                assert response.status_code == 413
                assert errors(response, 413).endswith("at most 20000 bytes are allowed")
            assert (await client.call()).status_code == 200


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("authorization", -32600),
        ("content-type", -32600),
        ("last-event-id", -32600),
        ("mcp-session-id", -32600),
        ("mcp-protocol-version", -32020),
        ("origin", -32600),
    ],
)
async def test_a_header_that_decides_something_may_be_there_once(
    served: Serve, name: str, code: int
) -> None:
    with anyio.fail_after(20):
        async with served() as gateway:
            client = gateway.client()
            await client.open()
            request = client.request(wait() | {"method": "tools/list"}, {})
            headers = list(request["headers"].items())
            twice = [(name.title(), request["headers"].get(name, "x")), (name, "y")]
            response = await client.http.post(
                client.url,
                content=request["content"],
                headers=[item for item in headers if item[0] != name] + twice,
            )
            assert response.status_code == 400
            assert errors(response, code) == f"The header {name} is there more than once"
            assert (await client.call()).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b"null", -32600),
    ],
    ids=range(8),
)
async def test_what_is_no_message_gets_a_clear_error(served: Serve, body: bytes, code: int) -> None:
    with anyio.fail_after(20):
        async with served() as gateway:
            client = gateway.client()
            await client.open()
            headers = client.request(0, {})["headers"]
            response = await client.http.post(client.url, content=body, headers=headers)
            assert response.status_code == 400
            assert errors(response, code)
            assert (await client.call()).status_code == 200


@pytest.mark.parametrize(("first", "second"), [(7, 7), (7, "7"), ("a", "a")])
async def test_an_id_that_is_in_use_can_t_be_used_again(
    served: Serve, first: Any, second: Any
) -> None:
    gate = Gate()
    with anyio.fail_after(20):
        async with served(pause=gate.pause) as gateway:
            client, other = gateway.client(), gateway.client()
            await client.open()
            await other.open()
            async with client.stream(wait(first)) as (_, events):
                await gate.reached.wait()
                response = await client.call(second)
                assert response.status_code == 400
                assert (
                    errors(response, -32600) == f"The id {str(first)!r} is in use: another "
                    "request has it"
                )
                assert (await other.call(second)).status_code == 200
                gate.release.set()
                answers = [json.loads(each["data"]) async for each in events if each["data"]]
            assert [answer["id"] for answer in answers] == [first]
            assert (await client.call(second)).status_code == 200


async def test_no_request_can_pass_for_the_stream_of_a_session(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served() as gateway:
            client = gateway.client()
            await client.open()
            async with client.stream():
                response = await client.call("_GET_stream")
                assert response.status_code == 400


async def test_a_request_that_was_refused_uses_up_no_id(served: Serve) -> None:
    with anyio.fail_after(20):
        async with served() as gateway:
            client = gateway.client()
            await client.open()
            assert (await client.post(wait(), accept="text/html")).status_code == 406
            assert (await client.call(7)).status_code == 200


async def test_a_client_that_vanishes_leaves_no_task_and_no_session(served: Serve) -> None:
    gate = Gate()
    with anyio.fail_after(20):
        async with served("session_idle: 1s", gate.pause) as gateway:
            before = tasks()
            for number in range(5):
                client = gateway.client()
                await client.open()
                async with client.stream(), client.stream(wait(number)):
                    while gate.waiting <= number:
                        await checkpoint()
            while gateway.events.sessions or tasks() > before:
                await checkpoint()
            assert gate.left == 5
            gc.collect()
            assert gateway.events.size == len(gateway.gateway.edge.sessions) == 0


async def test_a_request_that_is_cancelled_may_be_resumed_to_its_end(served: Serve) -> None:
    gate = Gate()
    with anyio.fail_after(20):
        async with served(pause=gate.pause) as gateway:
            client = gateway.client()
            await client.open()
            async with client.stream(wait()) as (_, events):
                mark = await anext(events)
                await gate.reached.wait()
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
            await client.post(cancel | {"params": {"requestId": 7}})
            async with client.stream(Last_Event_ID=mark["id"]) as (_, events):
                end = await message_on(events)
            assert json.loads(end["data"])["error"]["code"] == -32800
            assert gate.left == 1
            assert (await client.call(7)).status_code == 200
