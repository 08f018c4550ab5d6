"""What is remembered of streams: bounds, and what may be sent again."""

from typing import Any

import pytest
from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter

from plugway.downstream.events import EVENT_COST, Events


def notification(size: int = 0) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_python(
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * size}}
    )


def response(request_id: Any = 1, **result: Any) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_python(
        {"jsonrpc": "2.0", "id": request_id, "result": result}
    )


def store(most: int = 100, session: int = 10**6, total: int = 10**6) -> Events:
    events = Events(most=most, session_bytes=session, total_bytes=total)
    events.enter(None, None)
    return events


async def replayed(events: Events, after: str) -> tuple[str | None, list[str | None]]:
    sent: list[str | None] = []

    async def send(message: EventMessage) -> None:
        sent.append(message.event_id)

    return await events.replay_events_after(after, send), sent


async def test_what_followed_on_the_stream_is_sent_again_and_nothing_else() -> None:
    events = store()
    start = await events.store_event("1", None)
    other = await events.store_event("2", None)
    first = await events.store_event("1", notification())
    await events.store_event("2", notification())
    second = await events.store_event("1", notification())
    assert await replayed(events, start) == ("1", [first, second])
    assert await replayed(events, first) == ("1", [second])
    assert await replayed(events, second) == ("1", [])
    assert (await replayed(events, other))[0] == "2"


async def test_a_stream_that_has_ended_is_not_gone_on_with() -> None:
    events = store()
    start = await events.store_event("1", None)
    answer = await events.store_event("1", response())
    await events.store_event("1", None)  # the id is used again
    again = await events.store_event("1", response())
    assert await replayed(events, start) == (None, [answer])
    assert await replayed(events, answer) == (None, [])
    assert await replayed(events, again) == (None, [])


async def test_what_comes_while_something_is_sent_again_is_sent_as_well() -> None:
    events = store()
    start = await events.store_event("1", None)
    first = await events.store_event("1", notification())
    sent: list[str | None] = []

    async def send(message: EventMessage) -> None:
        if not sent:
            await events.store_event("1", response())
        sent.append(message.event_id)

    assert await events.replay_events_after(start, send) is None
    assert len(sent) == 2
    assert sent[0] == first


async def test_messages_are_sent_again_as_they_were() -> None:
    events = store()
    start = await events.store_event("1", None)
    original = response(1, big=2**80, nothing=None, deep=[{"é": [1.5, True]}])
    await events.store_event("1", original)
    sent: list[EventMessage] = []

    async def send(message: EventMessage) -> None:
        sent.append(message)

    await events.replay_events_after(start, send)
    assert [each.message for each in sent] == [original]


@pytest.mark.parametrize("event_id", ["", "x", "1", "../../etc", "é"])
async def test_an_unknown_event_has_no_stream(event_id: str) -> None:
    events = store()
    await events.store_event("1", notification())
    assert await replayed(events, event_id) == (None, [])


async def test_sessions_don_t_see_each_other_s_events() -> None:
    events = store()
    mine = await events.store_event("1", None)
    await events.store_event("1", notification())
    events.enter(None, None)
    theirs = await events.store_event("1", None)
    assert await replayed(events, mine) == (None, [])
    assert await replayed(events, theirs) == ("1", [])


async def test_the_oldest_events_of_a_session_go_first() -> None:
    events = store(most=3)
    ids = [await events.store_event("1", notification()) for _ in range(5)]
    assert len(events.current) == 3
    assert [each in events.current for each in ids] == [False, False, True, True, True]
    assert events.size == events.current.size


async def test_the_bytes_of_a_session_are_bounded() -> None:
    events = store(session=4 * (EVENT_COST + 1100))
    ids = [await events.store_event("1", notification(1000)) for _ in range(9)]
    assert len(events.current) == 4
    assert ids[-1] in events.current
    huge = await events.store_event("1", notification(100_000))
    assert huge not in events.current  # nor what came before: nothing may be left out
    assert (len(events.current), events.size) == (0, 0)


async def test_the_bytes_of_all_sessions_are_bounded_and_the_oldest_go_first() -> None:
    events = store(total=4 * (EVENT_COST + 1100))
    first = events.current
    for _ in range(3):
        await events.store_event("1", notification(1000))
    events.enter(None, None)
    second = events.current
    for _ in range(3):
        await events.store_event("1", notification(1000))
    assert (len(first), len(second)) == (1, 3)
    assert events.size == first.size + second.size


async def test_nothing_is_kept_of_a_session_that_is_over() -> None:
    events = store()
    start = await events.store_event("1", None)
    events.current.close()
    assert events.size == 0
    assert await events.store_event("1", response()) != start
    assert (len(events.current), events.size) == (0, 0)
