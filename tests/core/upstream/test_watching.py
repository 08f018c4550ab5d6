"""Resources that are followed on a connection which several share."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus

from plugway.config import ServerConfig
from plugway.upstream import open_upstreams
from plugway.upstream.calls import Call
from plugway.upstream.connection import Connection, Peer
from plugway.upstream.errors import Fault, ServerTimeoutError
from plugway.upstream.link import Link
from plugway.upstream.watching import follow
from plugway_hookspecs import ServerUnavailableError

URI = "m://x"


class Server:
    """A handshake-era server in memory, which answers what it is asked when the test says so.

    It is the connector and the connection in one.
    """

    stderr_tail = ""
    fault: Fault | None = None

    def __init__(self) -> None:
        self.peer = Peer("legacy", "2025-11-25", session=True)
        self.over = anyio.Event()
        self.asked: list[str] = []
        self.told = False
        """Whether it would tell of changes."""
        self.go_on = anyio.Event()

    @asynccontextmanager
    async def resources(self) -> AsyncGenerator[None]:
        yield

    async def serve(self, *, task_status: TaskStatus[Connection]) -> None:
        task_status.started(self)
        await self.over.wait()

    async def request(self, call: Call) -> dict[str, Any]:
        self.asked.append(call.method)
        go_on = self.go_on
        await go_on.wait()
        self.told = call.method == "resources/subscribe"
        return {}

    async def asked_for(self, method: str) -> None:
        while method not in self.asked:
            await anyio.lowlevel.checkpoint()

    async def hears(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def quiet(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def tell(self, method: str) -> None:
        raise AssertionError(method)


async def begin(tasks: anyio.abc.TaskGroup, server: Server) -> Link:
    link = Link("s", server, lambda _: None)
    tasks.start_soon(link.run)
    await link.connect()
    return link


async def test_who_comes_second_waits_until_the_server_has_agreed() -> None:
    server, started = Server(), list[str]()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            link = await begin(tasks, server)
            for name in ("first", "second"):
                tasks.start_soon(follow, link, [URI], print, lambda name=name: started.append(name))
            await anyio.wait_all_tasks_blocked()
            assert (started, server.asked) == ([], ["resources/subscribe"])
            server.go_on.set()
            await anyio.wait_all_tasks_blocked()
            assert (started, server.asked) == (["first", "second"], ["resources/subscribe"])
            tasks.cancel_scope.cancel()


async def test_who_comes_while_another_goes_is_told_of_changes() -> None:
    server, scope, stands, again = Server(), anyio.CancelScope(), anyio.Event(), anyio.Event()
    server.go_on.set()

    async def follow_for_a_while(link: Link) -> None:
        with scope:
            await follow(link, [URI], print, stands.set)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            link = await begin(tasks, server)
            tasks.start_soon(follow_for_a_while, link)
            await stands.wait()
            server.go_on = anyio.Event()
            scope.cancel()
            await server.asked_for("resources/unsubscribe")
            tasks.start_soon(follow, link, [URI], print, again.set)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert server.asked == ["resources/subscribe", "resources/unsubscribe"]
            server.go_on.set()
            await again.wait()
            assert server.told
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("era", "method"),
    [("legacy", "resources/subscribe"), ("modern", "subscriptions/listen")],
)
async def test_a_server_that_never_agrees_is_not_waited_for(era: Any, method: str) -> None:
    server = Server()
    server.peer = Peer(era, "")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            link = await begin(tasks, server)
            with pytest.raises(ServerTimeoutError, match=method) as caught:
                await follow(link, [URI], print, print, timeout=0.02)
            assert caught.value.timeout == 0.02
            assert server.asked == [method]
            assert not link.watched
            assert not link.busy
            tasks.cancel_scope.cancel()


async def test_a_client_is_told_that_a_server_has_not_agreed_in_its_time(
    line_program: Callable[[str], dict[str, Any]],
) -> None:
    config = ServerConfig(**line_program("ignore"), era="legacy", timeout=0.05)
    with anyio.fail_after(20):
        async with open_upstreams({"up": config}) as upstreams:
            await upstreams["up"].connect()
            with pytest.raises(ServerTimeoutError) as caught:
                await upstreams["up"].watch([URI], None, print, print)
    message = "server 'up' did not answer resources/subscribe within 0.05 s"
    assert str(caught.value) == message


async def test_a_server_that_ends_the_stream_at_once_has_not_agreed() -> None:
    server = Server()
    server.peer = Peer("modern", "")
    server.go_on.set()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            link = await begin(tasks, server)
            with pytest.raises(ServerUnavailableError, match="before it acknowledged it"):
                await follow(link, [URI], print, print)
            assert not link.watched
            tasks.cancel_scope.cancel()


class Agreeing(Server):
    """A server that agrees at once, and says so in the manner of its era."""

    async def request(self, call: Call) -> dict[str, Any]:
        if call.on_acknowledged is None:
            return {}
        call.on_acknowledged({"notifications": {"resourceSubscriptions": [URI]}})
        return await super().request(call)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_who_has_agreed_is_followed_for_longer_than_agreeing_may_take(era: Any) -> None:
    server, stands, over = Agreeing(), anyio.Event(), list[str]()
    server.peer = Peer(era, "")
    started: Callable[[], None] = stands.set

    async def follow_briefly(link: Link) -> None:
        await follow(link, [URI], print, started, timeout=0.02)
        over.append("over")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            link = await begin(tasks, server)
            tasks.start_soon(follow_briefly, link)
            await stands.wait()
            await anyio.sleep(0.1)
            assert not over
            tasks.cancel_scope.cancel()
