"""Who follows a resource goes on to, whatever becomes of its server meanwhile."""

import anyio
import pytest
from followed import Server, generation_of

import plugway.downstream.subscriptions as subscriptions_module
from plugway.dispatch.dispatcher import Dispatcher
from plugway.downstream.subscriptions import Subscriptions
from plugway_hookspecs import ServerUnavailableError


async def test_a_resource_is_followed_again_and_then_told_of_where_its_server_was_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriptions_module, "RETRY_SECONDS", 0.01)
    server, told = Server("a"), anyio.Event()
    subscriptions = Subscriptions(Dispatcher(generation_of(server), server_info={}))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            server.errors = [None, ServerUnavailableError("it is down", server="a")]
            stop = await subscriptions.follow(
                "m://x", "a", "m://x", None, updated=lambda uri: told.set(), over=lambda uri: None
            )
            server.end.set()
            await told.wait()
            assert (server.errors, len(server.watching)) == ([], 1)
            stop()


async def test_a_resource_is_followed_with_the_server_that_a_reload_puts_there() -> None:
    old, new, told = Server("a"), Server("a"), anyio.Event()
    dispatcher = Dispatcher(generation_of(old), server_info={})
    subscriptions = Subscriptions(dispatcher)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            stop = await subscriptions.follow(
                "m://x", "a", "m://x", None, updated=lambda _: told.set(), over=lambda _: None
            )
            subscriptions.take_over()
            await anyio.wait_all_tasks_blocked()
            assert (len(old.watching), told.is_set()) == (1, False)
            dispatcher.generation = generation_of(new)
            subscriptions.take_over()
            await told.wait()
            assert (len(old.watching), len(new.watching)) == (0, 1)
            stop()
