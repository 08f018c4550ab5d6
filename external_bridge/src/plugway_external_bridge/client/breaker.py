"""A circuit breaker: when a plugin server hangs, callers learn it at once instead of one by one."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from plugway_hookspecs import ServerError, ServerUnavailableError

FAILURES = 5
"""Calls in a row without an answer after which no more are sent for a while."""
COOL_DOWN = 10.0
"""Seconds until one call is let through to see whether the server is back."""
PATIENCE = 1.0
"""Seconds after which a call that its caller gave up counts as one without an answer."""


class Breaker:
    """Watches the calls to one server.

    The gateway's connection already fails fast while a server is down and being reconnected. It
    can't for a server that accepts requests and then says nothing: each call would wait for its own
    timeout before failing closed, and the gateway would be as slow as that server. Such calls are
    mostly cancelled from above (the plugin's timeout, the request's deadline, a client that has
    had enough), hence `PATIENCE`. A JSON-RPC error is an answer.
    """

    def __init__(
        self,
        server: str,
        *,
        failures: int = FAILURES,
        cool_down: float = COOL_DOWN,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._server = server
        self._limit = failures
        self._cool_down = cool_down
        self._clock = clock
        self._failed = 0
        self._retry_at = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused at this moment."""
        if self._failed < self._limit:
            return False
        return self._probing or self._clock() < self._retry_at

    @contextmanager
    def watch(self) -> Generator[None]:
        """Watch one call; raises `ServerUnavailableError` at once while calls are refused."""
        if self.is_open:
            message = f"server {self._server!r} gave no answer {self._failed} times in a row"
            raise ServerUnavailableError(message, server=self._server)
        probing = self._failed >= self._limit
        self._probing = self._probing or probing
        started = self._clock()
        try:
            yield
        except ServerUnavailableError:
            self._count_failure()
            raise
        except ServerError:
            self._failed = 0
            raise
        except BaseException:
            if self._clock() - started >= PATIENCE:
                self._count_failure()
            raise
        else:
            self._failed = 0
        finally:
            if probing:
                self._probing = False

    def _count_failure(self) -> None:
        self._failed += 1
        self._retry_at = self._clock() + self._cool_down
