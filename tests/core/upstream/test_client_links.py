"""The links of clients: who gets which, how many there are, and when they are closed."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked as settled
from eras import until

from plugway.config import ServerConfig
from plugway.dispatch.exchange import Caller
from plugway.upstream import Upstream, open_upstreams
from plugway.upstream.clients import MAX_TOLD_BYTES
from plugway.upstream.link import Link
from plugway.upstream.pool import Pool
from plugway_hookspecs import ServerUnavailableError

ASKABLE: dict[str, Any] = {"elicitation": {}}
Raw = Callable[[Any], AbstractAsyncContextManager[str]]


class Session:
    """A client's session that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.closing: dict[object, Callable[[], None]] = {}
        self.asked: list[str] = []
        self.slow: anyio.Event | None = None

    async def ask(self, server: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(method)
        if self.slow is not None:
            await self.slow.wait()
        return {"server": server, "method": method}

    async def tell(self, method: str, params: Mapping[str, Any] | None) -> None:
        if self.slow is not None:
            await self.slow.wait()
        self.told.append((method, params))

    def on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self.closing[token] = callback
        return lambda: self.closing.pop(token, None) and None

    def close(self) -> None:
        while self.closing:
            self.closing.popitem()[1]()


def caller(session: Session | None = None, capabilities: Any = ASKABLE) -> Caller:
    return Caller(capabilities, session)


@asynccontextmanager
async def opened(entry: dict[str, Any], **options: Any) -> AsyncGenerator[Upstream]:
    with anyio.fail_after(20):
        async with open_upstreams({"up": ServerConfig(**{**entry, **options})}) as upstreams:
            await upstreams["up"].connect()
            yield upstreams["up"]


@pytest.fixture
def program(line_program: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A program of the handshake era that starts at once."""
    return line_program("refuse")


async def test_a_session_has_one_link_of_its_own_and_loses_it_when_it_ends(
    program: dict[str, Any],
) -> None:
    async with opened(program) as upstream:
        one, other = Session(), Session()
        links = [upstream.link(caller(session)) for session in (one, one, other)]
        assert links[0] is links[1]
        assert len({*links, upstream.main}) == 3
        assert upstream.sessions == 2
        await upstream.request("tools/call", {"name": "t"}, caller=caller(one))
        one.close()
        one.close()
        assert upstream.sessions == 1
        await settled()
        with pytest.raises(ServerUnavailableError):
            await links[0].connect()
        other.close()
        assert upstream.sessions == 0


async def test_a_session_that_outlives_many_links_keeps_nothing_of_them(
    program: dict[str, Any],
) -> None:
    session = Session()
    for _ in range(3):  # as reloads do
        async with opened(program, session_idle=0.02) as upstream:
            for _ in range(2):
                assert upstream.link(caller(session)) is not upstream.main
                assert len(session.closing) == 1
                await until(lambda: upstream.sessions == 0)
                assert session.closing == {}
            upstream.link(caller(session))
        assert session.closing == {}


async def test_clients_that_can_be_asked_nothing_share_the_main_link(
    program: dict[str, Any],
) -> None:
    async with opened(program) as upstream:
        for each in (None, caller(capabilities={}), caller(Session(), {"tasks": {}})):
            assert upstream.link(each) is upstream.main
            assert not upstream.pushes(each)
        assert upstream.sessions == 0


async def test_what_may_be_asked_is_worked_out_once_for_each_client_and_permission() -> None:
    configs = {
        "all": ServerConfig(command="x"),
        "some": ServerConfig(command="x", asks=["roots", "sampling"]),
        "same": ServerConfig(command="x", asks=["sampling", "roots"]),
    }
    upstreams = {name: Upstream(name, config) for name, config in configs.items()}
    one = caller(capabilities={"elicitation": {}, "roots": {}, "x": {}})
    asks = {name: upstream.asks(one) for name, upstream in upstreams.items()}
    assert asks == {
        "all": {"elicitation": {}, "roots": {}},
        "some": {"roots": {}},
        "same": {"roots": {}},
    }
    assert asks["some"] is asks["same"]
    for name, upstream in upstreams.items():
        assert upstream.asks(one) is asks[name]
        assert upstream.asks(replace(one, roots={"roots": []})) is asks[name]
        assert upstream.asks(caller()) is not asks[name]


async def test_beyond_the_limit_clients_share_the_main_link(
    program: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(program, max_sessions=1) as upstream:
        one, other = Session(), Session()
        own = upstream.link(caller(one))
        assert upstream.link(caller(other)) is upstream.main
        assert upstream.link(caller()) is upstream.main
        assert "max_sessions" in caplog.text
        result = await upstream.request("tools/call", {"name": "t"}, caller=caller(other))
        assert result["content"] == []
        one.close()
        assert upstream.link(caller(other)) not in {own, upstream.main}


async def test_a_session_that_ends_while_its_link_connects_leaves_nothing(
    line_program: Callable[[str], dict[str, Any]],
) -> None:
    async with opened(line_program("refuse")) as upstream:
        session = Session()
        failed: list[ServerUnavailableError] = []

        async def call() -> None:
            try:
                await upstream.request("tools/call", {"name": "t"}, caller=caller(session))
            except ServerUnavailableError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not upstream.sessions:
                await anyio.lowlevel.checkpoint()
            session.close()
        assert len(failed) == 1
        assert upstream.sessions == 0


async def test_idle_links_are_closed_and_those_in_use_are_not(program: dict[str, Any]) -> None:
    async with opened(program, session_idle=0.02) as upstream:
        idle, busy = Session(), Session()
        await upstream.request("tools/call", {"name": "t"}, caller=caller(idle))
        link = upstream.link(caller(busy))
        link.watched["x:y"] = [lambda _: None]
        await until(lambda: upstream.sessions == 1)
        assert upstream.link(caller(busy)) is link
        link.watched.clear()
        await until(lambda: upstream.sessions == 0)
        again = await upstream.request("tools/call", {"name": "t"}, caller=caller(idle))
        assert again["content"] == []


async def test_a_link_is_not_taken_for_idle_while_its_server_waits_for_the_client(
    program: dict[str, Any],
) -> None:
    async with opened(program, session_idle=0.01) as upstream:
        session = Session()
        session.slow = anyio.Event()
        lines = [
            '{"jsonrpc":"2.0","id":ID,"result":{}}',
            '{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}',
        ]
        call = {"name": "say", "arguments": {"lines": lines}}
        await upstream.request("tools/call", call, caller=caller(session))
        await until(lambda: bool(session.asked))
        for _ in range(20):
            await anyio.sleep(0.005)  # far longer than links may be idle
        assert upstream.sessions == 1
        session.slow.set()
        await until(lambda: upstream.sessions == 0)


async def test_a_link_is_not_taken_for_idle_while_it_connects(
    scripted: Any, raw_http: Callable[..., AbstractAsyncContextManager[str]]
) -> None:
    release, slow = anyio.Event(), False
    server = scripted("legacy")

    async def answer(method: str, headers: dict[str, str], message: Any) -> bytes:
        if slow:
            await release.wait()
        reply: bytes = await server(method, headers, message)
        return reply.replace(b"connection: close", b"connection: close\r\nmcp-session-id: s")

    async with raw_http(answer) as url, opened({"url": url}, session_idle=0.01) as upstream:
        slow = True
        results: list[Any] = []

        async def call() -> None:
            call = {"name": "t"}
            results.append(await upstream.request("tools/call", call, caller=caller(Session())))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not upstream.sessions:
                await anyio.lowlevel.checkpoint()
            for _ in range(20):
                await anyio.sleep(0.005)  # far longer than links may be idle
            release.set()
        assert results == [{"method": "tools/call"}]


async def test_a_client_that_reads_slowly_is_told_only_so_much(
    program: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    note = '{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"n":1}}'
    change = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
    updated = '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:y"}}'
    async with opened(program) as upstream:
        session = Session()
        session.slow = anyio.Event()
        answer = '{"jsonrpc":"2.0","id":ID,"result":{}}'
        lines = [*[note] * 3000, change, updated, answer]
        call = {"name": "say", "arguments": {"lines": lines}}
        await upstream.request("tools/call", call, caller=caller(session))
        session.slow.set()
        await settled()
        assert 1000 <= len(session.told) <= 1001
        assert {method for method, _ in session.told} == {"notifications/elicitation/complete"}
        assert caplog.text.count("floods a client") == 1
        session.close()
        await settled()


async def test_what_waits_for_a_client_that_reads_slowly_is_bounded_in_bytes(
    program: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def note(letter: str, size: int) -> str:
        params = f'{{"n":"{letter * size}"}}'
        return (
            f'{{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{params}}}'
        )

    async with opened(program) as upstream:
        session = Session()

        async def say(*lines: str) -> list[str]:
            session.slow, session.told = anyio.Event(), []
            answer = '{"jsonrpc":"2.0","id":ID,"result":{}}'
            call = {"name": "say", "arguments": {"lines": [*lines, answer]}}
            await upstream.request("tools/call", call, caller=caller(session))
            session.slow.set()
            await settled()
            return [f"{params['n'][0]}{len(params['n'])}" for _, params in session.told]

        large, half = MAX_TOLD_BYTES + 1, MAX_TOLD_BYTES // 2 - 100
        assert await say(note("a", large)) == [f"a{large}"]
        assert not caplog.messages
        told = await say(note("a", half), note("b", half), *[note("c", half)] * 3, note("d", 1))
        assert told == [f"a{half}", f"b{half}", "d1"]
        assert caplog.text.count("floods a client") == 1
        assert await say(note("a", half), note("b", half)) == [f"a{half}", f"b{half}"]


class Made:
    """Makes links up to a limit; none of them is ever connected."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.links: list[Any] = []

    def __call__(self) -> Any:
        if len(self.links) >= self.limit:
            return None
        self.links.append(object())
        return self.links[-1]


def keep(link: Link) -> None:
    """Leave a link open, and in its pool, though a request on it was given up."""


async def test_a_pool_grows_as_far_as_it_may_and_then_has_requests_take_turns() -> None:
    made = Made(2)
    pool = Pool(made, keep)
    order: list[int] = []
    most = 0
    busy: set[Link] = set()

    async def use(number: int) -> None:
        nonlocal most
        async with pool.lend() as link:
            assert link not in busy
            busy.add(link)
            most = max(most, len(busy))
            await anyio.lowlevel.checkpoint()
            busy.remove(link)
            order.append(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(use, number)
    assert most == len(made.links) == 2
    assert order == sorted(order)  # first come, first served


async def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    pool = Pool(Made(1), keep)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks, pool.lend():
            for _ in range(3):
                tasks.start_soon(pool.lend().__aenter__)
            await settled()
            tasks.cancel_scope.cancel()
        async with pool.lend() as link:
            assert link is not None


async def test_a_link_that_is_closed_is_lent_to_nobody_any_more() -> None:
    pool = Pool(Made(2), keep)
    with anyio.fail_after(5):
        async with pool.lend() as first:
            pool.drop(first)
            pool.drop(first)
            async with pool.lend() as second:
                assert second is not first
        assert pool.first is second


async def test_a_pool_without_room_stands_for_nothing() -> None:
    assert Pool(Made(0), keep).first is None


async def test_clients_without_a_session_take_turns_at_a_program(
    program: dict[str, Any],
) -> None:
    async with opened(program, max_sessions=2) as upstream:

        async def ask(_method: str, _params: Mapping[str, Any]) -> dict[str, Any]:
            return {}

        async def call() -> None:
            params = {"name": "t", "arguments": {"a": 1}}
            result = await upstream.request("tools/call", params, caller=caller(), on_ask=ask)
            assert result["arguments"] == {"a": 1}

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call)
        assert upstream.sessions == 2


async def test_cancelling_while_waiting_for_a_link_leaves_the_turn_to_others(
    program: dict[str, Any],
) -> None:
    async with opened(program, max_sessions=1) as upstream:

        async def ask(_method: str, _params: Mapping[str, Any]) -> dict[str, Any]:
            return {}

        async def call(arguments: Any) -> None:
            params = {"name": "say", "arguments": arguments}
            await upstream.request("tools/call", params, caller=caller(), on_ask=ask)

        silent: dict[str, Any] = {"lines": []}
        answered = {"lines": ['{"jsonrpc":"2.0","id":ID,"result":{}}']}
        async with anyio.create_task_group() as holding:
            holding.start_soon(call, silent)  # never answered
            await settled()
            async with anyio.create_task_group() as waiting:
                for _ in range(5):
                    waiting.start_soon(call, answered)
                await settled()
                waiting.cancel_scope.cancel()
            holding.cancel_scope.cancel()
        await call(answered)


async def test_a_server_hears_that_a_request_is_given_up_before_its_link_is_closed(
    scripted: Any, raw_http: Callable[..., AbstractAsyncContextManager[str]]
) -> None:
    server = scripted("legacy")
    asked, heard = anyio.Event(), list[Any]()

    async def answer(method: str, headers: dict[str, str], message: Any) -> bytes:
        name = message["method"] if message else ""
        if name == "tools/call":
            asked.set()
            await anyio.sleep_forever()
        if name == "notifications/cancelled":
            await anyio.sleep(0.1)  # far longer than links may be idle
            heard.append(message["params"]["reason"])
        reply: bytes = await server(method, headers, message)
        return reply.replace(b"connection: close", b"connection: close\r\nmcp-session-id: s")

    async def ask(_method: str, _params: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async with raw_http(answer) as url, opened({"url": url}, session_idle=0.01) as upstream:
        async with anyio.create_task_group() as tasks:
            call = partial(upstream.request, "tools/call", {"name": "t"}, caller=caller())
            tasks.start_soon(partial(call, on_ask=ask))
            await asked.wait()
            assert upstream.sessions == 1
            tasks.cancel_scope.cancel()
        await until(lambda: upstream.sessions == 0)
        assert heard == ["the caller gave up"]
