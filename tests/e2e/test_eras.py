"""What servers ask of clients, in all eight combinations of eras and transports."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from eras import (
    ALL_EIGHT,
    FOUR,
    ROOTS,
    Serve,
    Stage,
    called,
    elicitation,
    sampling,
    staged,
    url_elicitation,
)
from mcp import Client
from mcp.shared.exceptions import MCPError

Opened = Callable[..., AbstractAsyncContextManager[tuple[Stage, Client]]]

eight = pytest.mark.parametrize("combination", ALL_EIGHT, ids="-".join)
over_http = pytest.mark.parametrize("combination", FOUR, ids="-".join)


async def by_message(_context: Any, params: Any) -> types.ElicitResult:
    """Answer a question with what it says."""
    if params.mode == "url":
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content={"name": params.message})


async def by_text(_context: Any, params: Any) -> types.CreateMessageResult:
    text = params.messages[0].content.text
    content = types.TextContent(type="text", text=f"says {text}")
    return types.CreateMessageResult(role="assistant", content=content, model="m")


async def one_root(_context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root.model_validate({"uri": "file:///home"})])


ANSWERS: dict[str, Any] = {
    "elicitation_callback": by_message,
    "sampling_callback": by_text,
    "list_roots_callback": one_root,
}
SAID = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "says hi"}}


@pytest.fixture
def opened(serve_http: Serve, tmp_path: Path, combination: tuple[str, str, str]) -> Opened:
    """Open a gateway and a client of it; in the end nothing is left of the client."""
    front, back, transport = combination

    @asynccontextmanager
    async def open_both(
        answers: dict[str, Any] = ANSWERS, **options: Any
    ) -> AsyncGenerator[tuple[Stage, Client]]:
        with anyio.fail_after(60):
            async with staged(serve_http, tmp_path, back, transport, **options) as stage:
                async with stage.client(front, **answers) as client:
                    yield stage, client
                await stage.left_empty()

    return open_both


async def ask(client: Client, *rounds: dict[str, Any]) -> Any:
    """Have the server ask some rounds of questions; return what it was answered."""
    result: Any = await client.call_tool(**called("ask", rounds=list(rounds)))
    assert not result.is_error, result
    return result.structured_content["rounds"]


def answers_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return answers without what the SDK fills in."""
    dropped = {"resultType", "_meta"}
    return {
        key: {name: value for name, value in answer.items() if name not in dropped}
        for key, answer in given.items()
    }


@eight
async def test_a_server_is_answered_whatever_it_asks(opened: Opened) -> None:
    asked = {
        "form": elicitation("who"),
        "url": url_elicitation("go"),
        "model": sampling("hi"),
        "roots": ROOTS,
    }
    want = {
        "form": {"action": "accept", "content": {"name": "who"}},
        "url": {"action": "accept"},
        "model": SAID,
        "roots": {"roots": [{"uri": "file:///home"}]},
    }
    async with opened() as (_, client):
        for key, question in asked.items():
            (given,) = await ask(client, {key: question})
            assert answers_of(given) == {key: want[key]}
        (given,) = await ask(client, asked)  # all at once
        assert answers_of(given) == want
        first, second = await ask(client, {"a": elicitation("1")}, {"b": elicitation("2")})
        assert (first["a"]["content"], second["b"]["content"]) == ({"name": "1"}, {"name": "2"})
        prompt: Any = await client.get_prompt("up__ask")
        assert '{"name": "get"}' in prompt.messages[0].content.text
        resource: Any = await client.read_resource("up+memo://ask")
        assert '{"name": "read"}' in resource.contents[0].text


@eight
async def test_each_answer_reaches_its_own_call(opened: Opened) -> None:
    got: dict[str, Any] = {}

    async with opened() as (_, client):

        async def one(name: str) -> None:
            (given,) = await ask(client, {"q": elicitation(name)})
            got[name] = given["q"]["content"]["name"]

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(one, f"n{number}")
    assert got == {name: name for name in got}
    assert len(got) == 4


@over_http
async def test_decline_and_cancel_are_answers(opened: Opened) -> None:
    async def refuse(_context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action=params.message)

    async with opened({"elicitation_callback": refuse}) as (_, client):
        for action in ("decline", "cancel"):
            (given,) = await ask(client, {"q": elicitation(action)})
            assert answers_of(given) == {"q": {"action": action}}


async def refused(
    combination: tuple[str, str, str], client: Client, question: Any, capability: str
) -> None:
    """Expect that a server can't ask this: it reads so where it pushes, else the client does."""
    if combination[1] == "legacy":
        (given,) = await ask(client, {"q": question})
        assert given["q"]["error"] == -32601
        return
    with pytest.raises(MCPError) as caught:
        await ask(client, {"q": question})
    assert caught.value.code == -32021
    assert caught.value.error.data == {"requiredCapabilities": {capability: {}}}


@eight
async def test_a_client_is_not_asked_what_it_does_not_offer(
    opened: Opened, combination: tuple[str, str, str]
) -> None:
    asked: list[Any] = []

    async def look(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params)
        return types.ElicitResult(action="accept")

    async with opened({"elicitation_callback": look}) as (stage, client):
        await refused(combination, client, sampling("hi"), "sampling")
        async with stage.client(combination[0]) as mute:
            await refused(combination, mute, elicitation("who"), "elicitation")
    assert not asked


@over_http
async def test_what_a_server_may_ask_is_the_operators_choice(
    opened: Opened, combination: tuple[str, str, str]
) -> None:
    async with opened(asks=["roots"]) as (stage, client):
        (given,) = await ask(client, {"q": ROOTS})
        assert given["q"]["roots"]
        await refused(combination, client, elicitation("who"), "elicitation")
        declared = [event for event in stage.events if event.startswith("declared")]
        assert not any("elicitation" in event for event in declared)


@over_http
async def test_a_clients_error_ends_the_question(
    opened: Opened, combination: tuple[str, str, str]
) -> None:
    front, back, _ = combination

    async def fail(_context: Any, _params: Any) -> types.ErrorData:
        return types.ErrorData(code=-32603, message="no idea")

    async with opened({"elicitation_callback": fail}) as (stage, client):
        if (front, back) == ("legacy", "legacy"):
            (given,) = await ask(client, {"q": elicitation("who")})
            assert given["q"] == {"error": -32603, "message": "no idea"}
            return
        with pytest.raises(MCPError) as caught:  # a modern client gives up by itself
            await ask(client, {"q": elicitation("who")})
        assert (caught.value.code, caught.value.message) == (-32603, "no idea")
        parks = stage.gateway.dispatcher.generation.parks
        assert len(parks) == int(combination[:2] == ("modern", "legacy"))
        for park in list(parks._parks.values()):  # pyright: ignore[reportPrivateUsage]
            park.scope.deadline = anyio.current_time()  # ten minutes later
