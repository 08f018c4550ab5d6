"""A time limit that does not run while somebody else has to answer: a person, usually."""

from collections.abc import Generator
from contextlib import contextmanager
from math import inf

import anyio


class Limit:
    """The time that a request may take, without the time that its client takes to answer."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        """Bound what `scope` cancels at its deadline."""
        self._scope = scope
        self._pauses = 0
        self._left = inf

    @property
    def deadline(self) -> float:
        """`anyio.current_time()` seconds at which it is up; infinite while it is stopped."""
        return self._scope.deadline

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Stop the clock for a block; several at the same time stop it once."""
        if not self._pauses:
            self._left = self._scope.deadline - anyio.current_time()
            self._scope.deadline = inf
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._scope.deadline = anyio.current_time() + self._left
