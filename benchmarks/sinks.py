"""What the sinks of the record cost a request: the same dispatcher without and with each of them.

    uv run python benchmarks/sinks.py

In-process: one server in memory, ten plugins that say nothing. Interleaved; medians and ratios.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from plugway.audit.ledger import open_ledger
from plugway.config import AuditConfig, Config
from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.testing.memory import MemoryServer
from plugway.tracing import chain_spans
from plugway_hookspecs import Client, hookimpl

ROUNDS, CALLS = 9, 2000
SINKS = ("none", "audit", "audit, fsync", "spans")


class NoOp:
    @hookimpl
    async def tool_pre_invoke(self) -> None:
        return None


class Server(MemoryServer):
    name = "s"
    capabilities: Mapping[str, Any] = {"tools": {}}

    async def request(self, method: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}
        return {"content": [{"type": "text", "text": "ok"}]}


class Plugins:
    def __init__(self) -> None:
        self.chains = compile_chains([(f"p{i}", NoOp(), Policy()) for i in range(10)])

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]


class Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@asynccontextmanager
async def dispatching(sink: str, folder: Path) -> AsyncGenerator[Dispatcher]:
    server = Server()
    config = Config()
    if sink.startswith("audit"):
        sync = "always" if "fsync" in sink else "never"
        file = folder / f"{sync}.jsonl"
        config = Config(audit=AuditConfig(file=file, sync=sync))
    async with open_ledger(config) as ledger:
        members = [Member(server, "s", 5)]
        generation = Generation(
            Catalog(members),
            {"s": server},
            Plugins(),
            Federation(members, None, lambda name: ""),
            request_timeout=60,
            max_payload_bytes=1_000_000,
        )
        dispatcher = Dispatcher(generation, server_info={}, ledger=ledger)
        if sink == "spans":
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=100_000))
            listener = chain_spans("0", provider)
            assert listener is not None
            dispatcher.listen(listener)
        yield dispatcher


async def measure(dispatcher: Dispatcher, at_once: int) -> tuple[float, float]:
    """Return microseconds per request: of the clock, and of the processor in all threads."""
    request = Request("tools/call", {"name": "s__a", "arguments": {}}, Client("bench"), modern=True)

    async def work() -> None:
        for _ in range(CALLS // at_once):
            await dispatcher.handle(request)

    began, used = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)
    passed, used = time.perf_counter() - began, time.process_time() - used
    return passed / CALLS * 1e6, used / CALLS * 1e6


def show(sink: str, at_once: int, times: list[tuple[float, float]], base: Any) -> None:
    cells = [f"{sink:<14}{at_once:>8}"]
    for column in (0, 1):
        own = [each[column] for each in times]
        ratios = [a / b[column] for a, b in zip(own, base, strict=True)]
        cells.append(f"{statistics.median(own):>10.1f}{statistics.median(ratios):>8.2f}")
    print("".join(cells))


async def main() -> None:
    print(f"CPython {sys.version.split()[0]}, {ROUNDS} rounds of {CALLS} requests, medians")
    print(f"{'sink':<14}{'at once':>8}{'µs':>10}{'ratio':>8}{'CPU µs':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for at_once in (1, 16, 64):
            times: dict[str, list[tuple[float, float]]] = {sink: [] for sink in SINKS}
            for _ in range(ROUNDS):
                for sink in SINKS:
                    async with dispatching(sink, Path(folder)) as dispatcher:
                        times[sink].append(await measure(dispatcher, at_once))
            for sink in SINKS:
                show(sink, at_once, times[sink], times["none"])


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
