"""Who follows a resource goes on to, whatever becomes of its server meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest

import plugway.downstream.subscriptions as subscriptions_module
from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Caller
from plugway.downstream.subscriptions import Subscriptions
from plugway.executor.compiler import compile_chains
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import ServerUnavailableError


class Server(MemoryServer):
    """A server without requests."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        raise AssertionError


class NoChains:
    def chain(self, hook: str) -> Any:
        return compile_chains([])[hook]


def generation_of(*servers: Server) -> Generation:
    members = [Member(server, server.name, 5) for server in servers]
    return Generation(
        Catalog(members),
        {server.name: server for server in servers},
        NoChains(),
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
    )


class Unsteady(Server):
    """A server whose subscriptions end, and that is down when it is asked again."""

    def __init__(self) -> None:
        super().__init__("a")
        self.end = anyio.Event()
        self.asked = 0

    async def watch(
        self,
        uris: Sequence[str],
        caller: Caller | None,
        updated: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        self.asked += 1
        if self.asked == 2:
            raise ServerUnavailableError("it is down", server="a")
        started()
        await self.end.wait()
        self.end = anyio.Event()


async def test_a_resource_is_followed_again_and_then_told_of_where_its_server_was_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriptions_module, "RETRY_SECONDS", 0.01)
    server, told = Unsteady(), anyio.Event()
    subscriptions = Subscriptions(Dispatcher(generation_of(server), server_info={}))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            stop = await subscriptions.follow(
                "m://x", "a", "m://x", None, updated=lambda uri: told.set(), over=lambda uri: None
            )
            server.end.set()
            await told.wait()
            assert server.asked == 3
            stop()


class Watched(Server):
    """A server whose resources are followed for as long as anybody wants."""

    def __init__(self) -> None:
        super().__init__("a")
        self.watching = 0

    async def watch(
        self,
        uris: Sequence[str],
        caller: Caller | None,
        updated: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        self.watching += 1
        try:
            started()
            await anyio.sleep_forever()
        finally:
            self.watching -= 1


async def test_a_resource_is_followed_with_the_server_that_a_reload_puts_there() -> None:
    old, new, told = Watched(), Watched(), anyio.Event()
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
            assert (old.watching, told.is_set()) == (1, False)
            dispatcher.generation = generation_of(new)
            subscriptions.take_over()
            await told.wait()
            assert (old.watching, new.watching) == (0, 1)
            stop()
