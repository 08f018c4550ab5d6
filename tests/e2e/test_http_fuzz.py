"""Good requests with something done to them: whatever comes of it, no one else notices."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from bounds import at_most
from hypothesis import given
from hypothesis import strategies as st
from raw_sockets import (
    CHUNKED,
    HEADERS,
    MODERN,
    RawSocket,
    call_body,
    chunked,
    raw_call,
    raw_request,
    raw_socket,
)

from plugway.downstream.http import HttpServer, http_app

MOST = 2_000
"""Examples in the nightly profile: a gateway of the tests lives for a minute."""
THEIRS = "of the good one"
GOOD = [
    raw_call(1, mine=1),
    raw_call(1) + raw_call(2) + raw_call(3),
    raw_request(chunked(call_body()[:50], call_body()[50:]), *MODERN, CHUNKED, length=False),
    raw_call(1, b"Expect: 100-continue"),
    raw_call(1, b"Connection: Upgrade", b"Upgrade: h2c") + raw_call(2),
    raw_request(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}', *HEADERS),
    raw_request(start=b"GET /mcp HTTP/1.1", length=False) + raw_call(2),
    raw_request(start=b"GET /health HTTP/1.1", length=False),
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\r\n\r\n",
    b":",
    b"\xff",
    b"0\r\n\r\n",
    b"ffffffff\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999\r\n",
    CHUNKED + b"\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"CONNECT ",
    b"GET /",
    b"HTTP/1.1",
    b"HTTP/0.9",
    b'{"',
    b"X-A: " + b"a" * 70_000 + b"\r\n",
]


@st.composite
def sent_bytes(draw: st.DrawFn) -> list[bytes]:
    """Mutate good requests, and cut what comes of it into what is sent at once."""
    raw = b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.sampled_from([0, 0, 1, 2, 8, 100])))
        piece = draw(
            st.one_of(st.sampled_from(PIECES), st.binary(max_size=4), st.just(raw[start:]))
        )
        raw = raw[:start] + piece + raw[end:]
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=3)))
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


class Target:
    """A gateway, and a good client that keeps its connection."""

    def __init__(self, port: int, good: RawSocket) -> None:
        self.port = port
        self.good = good
        self._ids = count(1)

    async def ask(self) -> None:
        """Have the good client served, and nothing but served."""
        mark = f"{THEIRS} {next(self._ids)}"
        await self.good.send(raw_call(mark, mark=mark))
        answer = await self.good.answer()
        assert (answer.status, answer.json["id"], answer.echoed) == (200, mark, {"mark": mark})
        assert not self.good.unread

    async def attack(self, before: int, sent: list[bytes], resets: bool) -> bytes:
        """Send bytes behind good requests and between those of the good client.

        Returns what they were answered.
        """
        first = b"".join(raw_call(each, mark=each) for each in range(before))
        async with raw_socket(self.port) as bad:
            await bad.send(first + sent[0])
            for each in range(before):
                answer = await bad.answer()
                assert (answer.status, answer.json["id"], answer.echoed) == (
                    200,
                    each,
                    {"mark": each},
                )
            for piece in sent[1:]:
                if piece:
                    await bad.send(piece)
                await self.ask()
            if resets:
                await bad.reset()
                return b""
            await bad.half_close()
            answered = await bad.to_end()
        await self.ask()
        return answered


def assert_answers(raw: bytes) -> list[int]:
    """Read responses, of which the last may not be complete; return the statuses."""
    found: list[int] = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        if not end:
            break
        start, *lines = head.split(b"\r\n")
        assert start.startswith(b"HTTP/1.1 "), start
        found.append(int(start[9:12]))
        assert found[-1] < 500 or found[-1] in {501, 503, 505}, head
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        if fields.get(b"transfer-encoding") == b"chunked":
            while raw:
                size, _, raw = raw.partition(b"\r\n")
                raw = raw[int(size, 16) + 2 :]
                if size == b"0":
                    break
        elif found[-1] != 100 and not raw.startswith(b"HTTP/1.1 "):  # what follows a HEAD
            raw = raw[int(fields[b"content-length"]) :]
    return found


@asynccontextmanager
async def targeted(local_gateway: Any, fast_lane: bool) -> AsyncGenerator[Target]:
    lane = f"fast_lane: {str(fast_lane).lower()}"
    async with (
        local_gateway(f"mcpServers: {{up: {{command: x}}}}\ngateway: {{{lane}}}") as gateway,
        anyio.create_task_group() as tasks,
    ):
        app = http_app(gateway.edge, gateway.config.gateway, gateway.registry)
        server = HttpServer(app, "127.0.0.1", 0)
        tasks.start_soon(server.serve)
        await server.listening.wait()
        async with raw_socket(server.port) as good:
            target = Target(server.port, good)
            await target.ask()
            before = len(asyncio.all_tasks())
            yield target
            with anyio.fail_after(20):
                while len(asyncio.all_tasks()) > before or gateway.edge.streams:
                    await target.ask()
        server.stop()


@pytest.mark.parametrize("fast_lane", [True, False], ids=["fast", "slow"])
async def test_no_bytes_disturb_anybody(
    local_gateway: Any,
    caplog: pytest.LogCaptureFixture,
    fast_lane: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    seen: Counter[int] = Counter()
    async with targeted(local_gateway, fast_lane) as target:

        @at_most(MOST)
        @given(before=st.integers(0, 3), sent=sent_bytes(), resets=st.booleans())
        def law(before: int, sent: list[bytes], resets: bool) -> None:
            caplog.clear()
            answered = anyio.from_thread.run(target.attack, before, sent, resets)
            assert THEIRS.encode() not in answered
            seen.update(assert_answers(answered))
            for record in caplog.records:
                assert record.exc_info is None, record.getMessage()

        await anyio.to_thread.run_sync(law)
    assert {200, 400} <= seen.keys()
