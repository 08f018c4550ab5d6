"""A server in memory, in the place of an upstream: for tests and measurements of the gateway."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import anyio

from plugway.dispatch.exchange import Caller, Session
from plugway_hookspecs.frozen import EMPTY


class MemoryServer:
    """Always there, never changes, asks nobody anything; subclasses say what it answers.

    With a `request` it is a `plugway.federation.member.Source` and what the dispatcher sends
    requests to (`plugway.dispatch.routing.UpstreamCalls`).
    """

    name = "s"
    capabilities: Mapping[str, Any] = EMPTY

    extensions: Sequence[str] | None = None

    async def connect(self) -> None:
        """Be there."""

    def link(self, caller: Caller | None) -> Hashable:  # noqa: ARG002
        """Return what all clients share."""
        return self

    def refuses(self, tool: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Refuse nothing."""
        return ""

    def asks(self, caller: Caller | None) -> Mapping[str, Any]:  # noqa: ARG002
        """Ask nothing."""
        return EMPTY

    def pushes(self, caller: Caller | None) -> bool:  # noqa: ARG002
        """Ask nothing."""
        return False

    def needs_roots(self, caller: Caller | None) -> bool:  # noqa: ARG002
        """Ask nothing."""
        return False

    async def watch(
        self,
        uris: Sequence[str],  # noqa: ARG002
        caller: Caller | None,  # noqa: ARG002
        updated: Callable[[str], None],  # noqa: ARG002
        started: Callable[[], None],
    ) -> None:
        """Never change."""
        started()
        await anyio.sleep_forever()

    async def tell(self, session: Session, method: str) -> None:
        """Have no sessions."""

    async def set_level(self, session: Session, level: str) -> None:
        """Have no sessions."""

    def on_list_changed(
        self,
        listener: Callable[[str, Any], None],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Never change."""
        return lambda: None
