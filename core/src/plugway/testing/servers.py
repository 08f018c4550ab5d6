"""The servers of a configuration in a test: stand-ins, or errors that say how to give one."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from plugway_hookspecs import Server, ServerUnavailableError
from plugway_hookspecs.frozen import EMPTY

Answer = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]] | dict[str, Any]]
"""Takes method and params, and returns the result or raises `ServerError`."""


class StandIn:
    """A server that a function answers for; implements `plugway_hookspecs.Server`."""

    capabilities: Mapping[str, Any] = EMPTY

    def __init__(self, name: str, answer: Answer) -> None:
        """Answer requests to the server `name` with a function."""
        self.name = name
        self._answer = answer

    async def connect(self) -> None:
        """Do nothing: a function is always there."""

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ARG002 - a function takes the time it takes
    ) -> dict[str, Any]:
        """Return what the function answers."""
        answer = self._answer(method, params or {})
        return await answer if inspect.isawaitable(answer) else answer


class NotContacted:
    """A configured server that the test says nothing about."""

    capabilities: Mapping[str, Any] = EMPTY

    def __init__(self, name: str) -> None:
        """Stand for the server `name`."""
        self.name = name

    async def connect(self) -> None:
        """Raise `ServerUnavailableError`, which says what to do."""
        advice = f"give a stand-in, servers={{{self.name!r}: answer}}"
        message = f"a test contacts no server, and a plugin asks for {self.name!r}: {advice}"
        raise ServerUnavailableError(message, server=self.name)

    async def request(
        self,
        method: str,  # noqa: ARG002
        params: Mapping[str, Any] | None = None,  # noqa: ARG002
        *,
        timeout: float | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Raise `ServerUnavailableError` as `connect` does."""
        await self.connect()
        raise AssertionError


def stand_ins(
    configured: Mapping[str, object], given: Mapping[str, Server | Answer]
) -> dict[str, Server]:
    """Return what plugins get for the names of servers."""
    servers: dict[str, Server] = {name: NotContacted(name) for name in configured}
    for name, answer in given.items():
        servers[name] = StandIn(name, answer) if callable(answer) else answer
    return servers
