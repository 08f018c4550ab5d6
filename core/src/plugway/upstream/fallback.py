"""Find out which HTTP transport a server speaks, where its configuration leaves that open.

A POST of `initialize` that is answered with 400, 404 or 405, and no JSON-RPC, may have met a server
of the old HTTP+SSE transport (2025-11-25, basic/transports, backwards compatibility).
"""

from plugway.config import ServerConfig
from plugway.upstream.errors import ConnectFailedError

_NO_POST = frozenset({400, 404, 405})


class Fallback:
    """Which of the two it is; `sse` may change after a failure to connect."""

    def __init__(self, config: ServerConfig) -> None:
        """Begin with what the configuration says, and streamable HTTP where it says nothing."""
        self.sse = config.type == "sse"
        self._undecided = config.type is None and config.url is not None and config.era != "modern"
        self._failure: ConnectFailedError | None = None

    def turn(self, failure: ConnectFailedError) -> str:
        """Turn to HTTP+SSE if that is worth an attempt at once; returns its era, or nothing."""
        if not self._undecided or self.sse or failure.fault.status not in _NO_POST:
            return ""
        self.sse, self._failure = True, failure
        return "legacy"

    def settle(self) -> bool:
        """Keep to the transport, which has connected; returns whether it says the era as well."""
        self._failure = None
        return self.sse

    def give_up(self, failure: ConnectFailedError) -> ConnectFailedError:
        """Begin anew next time, unless the server is just away; returns the failure to report."""
        first, self._failure = self._failure or failure, None
        if self._undecided and (first is not failure or failure.refused):
            self.sse = False
        return first
