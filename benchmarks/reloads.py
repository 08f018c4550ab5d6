"""A thousand reloads under traffic: how long one takes, what calls notice, what memory is left.

    uv run python benchmarks/reloads.py [--reloads 1000] [--callers 8]

The gateway runs in this process, with an echo server in another; callers go through the dispatcher.
Each reload adds, replaces, re-orders or drops some of ten plugins, and every tenth the server.
"""

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import time
from pathlib import Path

from measuring import describe, machine
from processes import first_list, free_port, process, rss_mb

from plugway.config import Config, parse
from plugway.dispatch.exchange import Request
from plugway.gateway import Gateway, open_gateway
from plugway_hookspecs import Client

HERE = Path(__file__).parent
WARM_UP = 100


def config(rng: random.Random, port: int, number: int) -> Config:
    names = rng.sample(range(10), rng.randint(5, 10))
    plugins = "".join(
        f"  - {{name: p{name}, kind: deny_list, config: {{words: [w{rng.randint(0, 1)}]}}}}\n"
        for name in names
    )
    server = f"{{url: 'http://127.0.0.1:{port}/mcp', timeout: {30 + number // 10}}}"
    return parse(f"mcpServers:\n  up: {server}\nplugins:\n{plugins}")


async def call_for_ever(gateway: Gateway, durations: list[float]) -> None:
    params = {"name": "up__echo", "arguments": {"text": "x" * 32}}
    while True:
        request = Request("tools/call", params, Client(), modern=True)
        started = time.perf_counter()
        await gateway.dispatcher.handle(request)
        durations.append((time.perf_counter() - started) * 1000)


async def main(reloads: int, callers: int) -> None:
    rng, port = random.Random(1), free_port()
    taken: list[float] = []
    durations: list[float] = []
    with process([sys.executable, str(HERE / "echo_server.py"), str(port)]):
        await first_list(f"http://127.0.0.1:{port}/mcp", "modern")
        async with open_gateway(config(rng, port, 0)) as gateway:
            await gateway.upstreams["up"].connect()
            tasks = [asyncio.create_task(call_for_ever(gateway, durations)) for _ in range(callers)]
            before = 0.0
            for number in range(reloads + WARM_UP):
                if number == WARM_UP:
                    gc.collect()
                    before = rss_mb(os.getpid())
                new = config(rng, port, number)
                started = time.perf_counter()
                await gateway.reload(new)
                taken.append((time.perf_counter() - started) * 1000)
                await asyncio.sleep(0.005)
                if failed := [task for task in tasks if task.done()]:
                    failed[0].result()
            gc.collect()
            after = rss_mb(os.getpid())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    print(describe(machine("mcp", "pluggy")))
    centiles = statistics.quantiles(durations, n=100)
    print(f"{reloads} reloads: median {statistics.median(taken):.1f} ms, most {max(taken):.0f} ms")
    print(
        f"{len(durations)} calls, none failed: p50 {centiles[49]:.1f} ms, p99 {centiles[98]:.1f} ms"
    )
    print(
        f"RSS {before:.1f} MB after {WARM_UP} reloads, {after:.1f} MB after {reloads} more: ",
        end="",
    )
    print(f"{after - before:+.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=8)
    options = parser.parse_args()
    asyncio.run(main(options.reloads, options.callers))
