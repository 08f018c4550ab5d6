"""Why a request got no answer, and the errors that say so.

plugway_hookspecs.PlugwayError
 ├─ ServerUnavailableError      (contract) no answer                           .server
 │   └─ ServerTimeoutError      no answer in time                              .timeout
 ├─ NoAnswerError               internal: a connection's word for no answer    .fault
 └─ ConnectFailedError          internal: no connection came about             .fault .silent
                                                                               .refused .unspoken
"""

from dataclasses import dataclass

from plugway_hookspecs import PlugwayError, ServerUnavailableError


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer.

    `reason` continues a sentence that begins with the server's name; `hint` says what to do about
    it. `unsent` means that the server can't have processed the request, so that it may be sent
    again. `status` is the HTTP status, where there was one.
    """

    reason: str
    hint: str = ""
    unsent: bool = False
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


class ServerTimeoutError(ServerUnavailableError):
    """An MCP server did not answer within `timeout` seconds; it may have done the work."""

    def __init__(self, message: str, *, server: str, timeout: float) -> None:
        super().__init__(message, server=server)
        self.timeout = timeout


class NoAnswerError(PlugwayError):
    """A connection got no answer to one request; the upstream puts the server's name to it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class ConnectFailedError(PlugwayError):
    """No connection came about.

    `silent` means that the server died or kept silent, `refused` that it answered and declined:
    either may mean that it speaks the protocol of the other era. `unspoken` says that it does.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        silent: bool = False,
        refused: bool = False,
        unspoken: bool = False,
    ) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.silent = silent
        self.refused = refused
        self.unspoken = unspoken
