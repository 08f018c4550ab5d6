"""What a server sends besides answers, in the order in which it sends it."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from plugway.upstream.calls import Call, Calls
from plugway.upstream.inbox import Inbox


def ignore(method: str, params: Mapping[str, Any]) -> None:
    """Take a notification that is for no call."""


async def test_a_question_is_put_after_what_the_server_has_said_before_it() -> None:
    happened: list[str] = []
    reached, go_on = anyio.Event(), anyio.Event()

    async def progress(params: dict[str, Any]) -> None:
        reached.set()
        await go_on.wait()
        happened.append(params["message"])

    async def ask(method: str, _: Mapping[str, Any]) -> dict[str, Any]:
        happened.append(method)
        return {}

    calls = Calls()
    call = Call("tools/call", on_progress=progress, on_ask=ask)
    token = calls.add(call)
    call.open()
    inbox = Inbox(calls, ignore, one_client=True)
    said: dict[str, Any] = {"progressToken": token, "progress": 1, "message": "before"}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inbox.receive, "notifications/progress", said)
            await reached.wait()
            tasks.start_soon(inbox.answer, "elicitation/create", None)
            await anyio.lowlevel.checkpoint()
            go_on.set()
    assert happened == ["before", "elicitation/create"]


async def test_a_question_outlives_a_request_that_it_does_not_belong_to() -> None:
    put: list[str] = []
    asked, answered = anyio.Event(), anyio.Event()

    async def ask_in_vain(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
        put.append("later")
        asked.set()
        await anyio.sleep_forever()
        return {}

    async def ask(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
        put.append("earlier")
        answered.set()
        return {"action": "accept"}

    calls = Calls()
    earlier, later = Call("tools/call", on_ask=ask), Call("tools/call", on_ask=ask_in_vain)
    for call in (earlier, later):
        calls.add(call)
        call.open()
    inbox = Inbox(calls, ignore, one_client=True)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inbox.answer, "elicitation/create", None)
            await asked.wait()
            later.close()
            await answered.wait()
    assert put == ["later", "earlier"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"progress": 1, "x-new": [None]}, {"progress": 1, "x-new": [None]}),
        (
            {"progress": 0.5, "total": 2, "message": ""},
            {"progress": 0.5, "total": 2, "message": ""},
        ),
        ({"progress": 1, "total": None, "message": None}, {"progress": 1}),
        ({"progress": 1, "total": "2", "message": 3}, {"progress": 1}),
        ({"progress": "1"}, None),
        ({}, None),
    ],
)
async def test_progress_arrives_as_it_was_said_where_it_can_be_read(said: Any, heard: Any) -> None:
    found: list[Any] = []

    async def progress(params: dict[str, Any]) -> None:
        found.append(params)

    calls = Calls()
    call = Call("tools/call", on_progress=progress)
    token = calls.add(call)
    call.open()
    inbox = Inbox(calls, ignore, one_client=True)
    await inbox.receive("notifications/progress", {**said, "progressToken": token})
    assert found == ([] if heard is None else [heard])
