"""Who hears of which resource, where clients of several endpoints have names of their own."""

from collections.abc import Callable

import anyio
import pytest
from followed import Server, generation_of
from mcp.server.connection import Connection

from plugway.dispatch.dispatcher import Dispatcher
from plugway.downstream import subscriptions as module
from plugway.downstream.sessions import Session
from plugway.downstream.streams import Stream
from plugway.downstream.subscriptions import Subscriptions
from plugway.jsonrpc import TOO_MANY, RpcError
from plugway_hookspecs import Client, Principal, ServerError
from plugway_hookspecs.context import ANONYMOUS


def session_of(subscriptions: Subscriptions) -> Session:
    connection = Connection.from_envelope("2025-11-25", None, None)
    return Session(connection, subscriptions, Client("c", "1", "2025-11-25", "http", {}))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def test_equal_uris_of_two_servers_are_two_and_other_names_of_one_are_one() -> None:
    a, b = Server("a"), Server("b")
    subscriptions = Subscriptions(Dispatcher(generation_of(a, b), server_info={}))
    heard: list[tuple[str, str]] = []

    async def follow(uri: str, server: str, who: str) -> Callable[[], None]:
        return await subscriptions.follow(
            *(uri, server, "m://x", None),
            updated=lambda uri: heard.append((who, uri)),
            over=lambda uri: heard.append((who, f"over: {uri}")),
        )

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            of_a = await follow("m://x", "a", "at /mcp/a")
            of_b = await follow("m://x", "b", "at /mcp/b")
            whole = await follow("a+m://x", "a", "at /mcp")
            assert (len(subscriptions), len(a.watching), len(b.watching)) == (2, 1, 1)
            a.watching[0]("m://x")
            assert heard == [("at /mcp/a", "m://x"), ("at /mcp", "a+m://x")]
            heard.clear()
            of_a()
            a.watching[0]("m://x")
            b.watching[0]("m://x")
            assert heard == [("at /mcp", "a+m://x"), ("at /mcp/b", "m://x")]
            whole()
            of_b()
            assert len(subscriptions) == 0


async def test_who_follows_what_a_server_takes_back_can_follow_it_again() -> None:
    a = Server("a")
    subscriptions = Subscriptions(Dispatcher(generation_of(a), server_info={}))
    session, stream = session_of(subscriptions), Stream(subscriptions, None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            for client in (session, stream):
                await client.add("m://x", "a", "m://x", ANONYMOUS)
            assert (len(subscriptions), len(a.watching)) == (1, 1)
            a.refusal = ServerError("no more", server="a", code=-32602)
            a.end.set()
            await until(lambda: not len(subscriptions))
            a.refusal = None
            for client in (session, stream):
                await client.add("m://x", "a", "m://x", ANONYMOUS)
                assert len(a.watching) == 1
                client.close()
                await until(lambda: not a.watching)
            assert len(subscriptions) == 0


async def test_a_server_that_is_missing_for_a_moment_is_followed_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    a, again = Server("a"), Server("a")
    dispatcher = Dispatcher(generation_of(a), server_info={})
    subscriptions = Subscriptions(dispatcher)
    heard: list[str] = []
    over: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            for uri in ("m://x", "m://y"):
                await subscriptions.follow(
                    uri, "a", uri, None, updated=heard.append, over=over.append
                )
            dispatcher.generation = generation_of()
            a.end.set()
            await until(lambda: bool(caplog.messages))
            dispatcher.generation = generation_of(again)
            await until(lambda: len(again.watching) == 2)
            assert (sorted(heard), over) == (["m://x", "m://y"], [])
            assert len(caplog.messages) == 1
            monkeypatch.setattr(module, "MISSING_SECONDS", 0.05)
            dispatcher.generation = generation_of()
            again.end.set()
            await until(lambda: len(over) == 2)
            assert len(subscriptions) == 0
            assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 2


async def test_who_waits_for_the_end_of_a_session_that_is_over_is_told_at_once() -> None:
    session = session_of(Subscriptions(Dispatcher(generation_of(), server_info={})))
    told: list[str] = []
    session.on_close(lambda: told.append("before"))
    take_back = session.on_close(lambda: told.append("never"))
    take_back()
    take_back()
    assert told == []
    session.close()
    take_back = session.on_close(lambda: told.append("after"))
    take_back()
    assert told == ["before", "after"]


async def test_no_session_and_no_user_follows_what_there_is_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_FOLLOWED_IN_SESSION", 2)
    monkeypatch.setattr(module, "MAX_FOLLOWED_BY_ONE", 3)
    subscriptions = Subscriptions(Dispatcher(generation_of(Server("a")), server_info={}))
    ann, bob = Principal("ann", "t"), Principal("bob", "t")

    async def add(client: Session | Stream, uri: str, who: Principal) -> str:
        try:
            await client.add(uri, "a", uri, who)
        except RpcError as error:
            return error.message if error.code == TOO_MANY else repr(error)
        return ""

    in_session = "At most 2 resources can be subscribed to in one session; "
    by_one = "At most 3 resources can be subscribed to by one user; "
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            one, other = session_of(subscriptions), session_of(subscriptions)
            stream = Stream(subscriptions, None)
            for uri in ("m://1", "m://1", "m://2"):
                assert await add(one, uri, ann) == ""
            assert (await add(one, "m://3", ann)).startswith(in_session)
            assert await add(other, "m://1", ann) == ""
            for client in (other, stream):
                assert (await add(client, "m://3", ann)).startswith(by_one)
            assert await add(stream, "m://3", bob) == ""
            for number in range(9):  # who is not known may be many
                assert await add(stream, f"n://{number}", ANONYMOUS) == ""
            one.remove("m://1")
            assert await add(stream, "m://4", ann) == ""
            for client in (one, other, stream):
                client.close()
            for uri in ("m://1", "m://2"):
                assert await add(session_of(subscriptions), uri, ann) == ""
            tasks.cancel_scope.cancel()
