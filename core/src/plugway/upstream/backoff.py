"""How long to wait before the next attempt to connect."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with jitter; all times in seconds.

    A connection that is lost is made again at once, unless it was lost soon after it was made: a
    server that dies again and again is a failing server.
    """

    first: float = 0.5
    longest: float = 30.0
    stable: float = 30.0
    """How long a connection must have lasted to count as a good one."""
    _failures: int = 0
    _losses: int = 0

    def connected(self) -> None:
        """Note that an attempt succeeded."""
        self._failures = 0

    def failed(self) -> float:
        """Note that an attempt failed and return the delay before the next."""
        self._failures += 1
        return self._delay(self._failures)

    def lost(self, lasted: float) -> float:
        """Note that a connection was lost and return the delay before the next attempt."""
        self._losses = 0 if lasted >= self.stable else self._losses + 1
        return self._delay(self._losses - 1)

    def _delay(self, failures: int) -> float:
        if failures <= 0:
            return 0.0
        delay = min(self.first * 2.0 ** min(failures - 1, 32), self.longest)
        return delay * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not cryptography
