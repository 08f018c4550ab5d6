"""Who hears of which resource, where clients of several endpoints have names of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Caller
from plugway.downstream.subscriptions import Subscriptions
from plugway.executor.compiler import compile_chains
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.testing.memory import MemoryServer


class Server(MemoryServer):
    """A server whose resources change when the test says so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watching: list[Callable[[str], None]] = []

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        raise AssertionError

    async def watch(
        self,
        uris: Sequence[str],
        caller: Caller | None,
        updated: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        self.watching.append(updated)
        started()
        try:
            await anyio.sleep_forever()
        finally:
            self.watching.remove(updated)


class NoChains:
    def chain(self, hook: str) -> Any:
        return compile_chains([])[hook]


async def test_equal_uris_of_two_servers_are_two_and_other_names_of_one_are_one() -> None:
    a, b = Server("a"), Server("b")
    members = [Member(server, server.name, 5) for server in (a, b)]
    generation = Generation(
        Catalog(members),
        {"a": a, "b": b},
        NoChains(),
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
    )
    subscriptions = Subscriptions(Dispatcher(generation, server_info={}))
    heard: list[tuple[str, str]] = []

    def note(who: str) -> Callable[[str], None]:
        return lambda uri: heard.append((who, uri))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriptions.tasks = tasks
            of_a = await subscriptions.follow("m://x", "a", "m://x", None, note("at /mcp/a"))
            of_b = await subscriptions.follow("m://x", "b", "m://x", None, note("at /mcp/b"))
            whole = await subscriptions.follow("a+m://x", "a", "m://x", None, note("at /mcp"))
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
