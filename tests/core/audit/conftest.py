"""Audit files, and a dispatcher with one server in memory to write into them."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plugway.audit.file import AuditFile
from plugway.audit.ledger import Ledger
from plugway.audit.writer import Writer
from plugway.config import AuditConfig
from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import Client, Principal

OK = {"content": [{"type": "text", "text": "the result"}]}


class Server(MemoryServer):
    """An MCP server in memory with the tool `a`."""

    name = "s"
    capabilities: Mapping[str, Any] = {"tools": {}}

    def __init__(self) -> None:
        self.calls = 0
        self.answer: Callable[[], Awaitable[dict[str, Any]]] | None = None

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        if method == "tools/list":
            return {"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}
        self.calls += 1
        return OK if self.answer is None else await self.answer()


class Plugins:
    def __init__(self, *plugins: object) -> None:
        named = [(f"p{number}", plugin, Policy()) for number, plugin in enumerate(plugins)]
        self.chains = compile_chains(named)

    def chain(self, hook: str) -> Chain[Any]:
        return self.chains[hook]


class Gateway:
    """A dispatcher whose requests are audited."""

    def __init__(self, ledger: Ledger, plugins: Plugins) -> None:
        self.server = Server()
        self.writer = ledger.writer
        members = [Member(self.server, "s", 5)]
        generation = Generation(
            Catalog(members),
            {"s": self.server},
            plugins,
            Federation(members, None, lambda name: ""),
            request_timeout=5,
            max_payload_bytes=10_000,
        )
        self.dispatcher = Dispatcher(generation, server_info={}, ledger=ledger)

    async def call(self, **params: Any) -> dict[str, Any]:
        request = Request(
            "tools/call",
            {"name": "s__a", "arguments": {"argument": "s3cret"}, **params},
            Client("test", "1.2", "2026-07-28", "http"),
            modern=True,
            principal=Principal("ann", "acme"),
        )
        return await self.dispatcher.handle(request)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "audit.jsonl"


@pytest.fixture
def audited(path: Path) -> Any:
    """Open an audited gateway; `file` is what writes, where it is not an `AuditFile` as it is."""

    @asynccontextmanager
    async def opened(
        *plugins: object,
        file: type[AuditFile] = AuditFile,
        patience: float = 5,
        retry_after: float = 0.01,
        **settings: Any,
    ) -> AsyncGenerator[Gateway]:
        config = AuditConfig(file=path, **settings)
        target = await anyio.to_thread.run_sync(file, path, config)
        writer = Writer(target, patience=patience, retry_after=retry_after)
        try:
            yield Gateway(Ledger(writer, config, patience), Plugins(*plugins))
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(writer.stop)

    return opened


@pytest.fixture
def entries(path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Read what is in the file; every line has to be whole."""
    return lambda: [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
