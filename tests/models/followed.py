"""A server in memory whose resources clients follow, and what a gateway answers from with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from plugway.dispatch.exchange import Caller
from plugway.executor.compiler import compile_chains
from plugway.federation.catalog import Catalog, Member
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway.testing.memory import MemoryServer
from plugway_hookspecs import PlugwayError


class Server(MemoryServer):
    """A server whose resources change when the test says so; it answers no requests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watching: list[Callable[[str], None]] = []
        """Who is to be told of changes."""
        self.end = anyio.Event()
        """Set to end what is watched; there is another one for what is watched after that."""
        self.errors: list[PlugwayError | None] = []
        """What becomes of the next tries to watch; those that are beyond the list succeed."""
        self.refusal: PlugwayError | None = None
        """Raised when what is watched ends."""

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
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.watching.append(updated)
        started()
        try:
            await self.end.wait()
        finally:
            self.watching.remove(updated)
        if not self.watching:
            self.end = anyio.Event()
        if self.refusal is not None:
            raise self.refusal


class NoChains:
    """No plugins."""

    def chain(self, hook: str) -> Any:
        return compile_chains([])[hook]


def generation_of(*servers: Server) -> Generation:
    """Return what requests are answered from with these servers, and no plugins."""
    members = [Member(server, server.name, 5) for server in servers]
    return Generation(
        Catalog(members),
        {server.name: server for server in servers},
        NoChains(),
        Federation(members, None, lambda name: ""),
        request_timeout=5,
        max_payload_bytes=10_000,
    )
