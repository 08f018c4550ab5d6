"""What a POST costs over HTTP, with our client and others: `python benchmarks/http1.py`.

aiohttp takes part where it is installed: `uv run --with aiohttp python benchmarks/http1.py`.
"""

import argparse
import asyncio
import importlib
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import uvloop
from measuring import Sample, describe, in_turns, machine, median, number, table

from plugway.http1 import Origin, Pool

BODY = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}'
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
}
TOGETHER = 16
Post = Callable[[], Awaitable[Any]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echo the body, with nothing between it and the server."""
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(port: int) -> None:
    import uvicorn

    options: Any = {"http": "httptools", "loop": "uvloop", "access_log": False}
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", **options)


@asynccontextmanager
async def ours(url: str) -> AsyncGenerator[Post]:
    pool = Pool(Origin.of(url))
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def post() -> None:
        response = await pool.send(b"POST", b"/mcp", headers, BODY)
        assert await response.read(1_000_000) == BODY

    try:
        yield post
    finally:
        pool.close()


@asynccontextmanager
async def of_httpx2(url: str) -> AsyncGenerator[Post]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(trust_env=False, limits=limits) as client:

        async def post() -> None:
            response = await client.post(url, content=BODY, headers=HEADERS)
            assert response.content == BODY

        yield post


@asynccontextmanager
async def of_aiohttp(url: str) -> AsyncGenerator[Post]:
    aiohttp: Any = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session:

        async def post() -> None:
            async with session.post(url, data=BODY, headers=HEADERS) as response:
                assert await response.read() == BODY

        yield post


def together(post: Post) -> Post:
    async def posts() -> None:
        await asyncio.gather(*(post() for _ in range(TOGETHER)))

    return posts


def row(name: str, one: Sample, many: Sample) -> list[str]:
    per = Sample(many.cpu / TOGETHER, many.wall / TOGETHER)
    figures = (one.cpu, one.wall, per.cpu, 1e6 / per.wall)
    return [name, *(number(each) for each in figures)]


async def measure(url: str, rounds: int) -> list[list[str]]:
    clients = {"plugway.http1": ours, "httpx2": of_httpx2}
    if importlib.util.find_spec("aiohttp"):
        clients["aiohttp"] = of_aiohttp
    async with AsyncExitStack() as stack:
        posts = [await stack.enter_async_context(client(url)) for client in clients.values()]
        works = [work for post in posts for work in (post, together(post))]
        found = [median(samples) for samples in await in_turns(works, rounds)]
    return [row(name, found[2 * at], found[2 * at + 1]) for at, name in enumerate(clients)]


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--asyncio", action="store_true", help="instead of uvloop")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port)])
    try:
        wait_for(port)
        work = measure(f"http://127.0.0.1:{port}/mcp", options.rounds)
        rows = asyncio.run(work) if options.asyncio else uvloop.run(work)
    finally:
        server.terminate()
        server.wait()
    print(describe(machine("httptools", "httpx2", "uvicorn", "uvloop")), end="\n\n")
    head = ["", "CPU µs", "wall µs", f"CPU µs, {TOGETHER} together", "calls/s"]
    print(table(head, rows))
    return None


if __name__ == "__main__":
    main()
