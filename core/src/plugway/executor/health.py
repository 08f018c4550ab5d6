"""Whether a plugin with `on_error: disable` is called: a circuit breaker, shared by its steps."""

from collections.abc import Callable
from time import monotonic


class Health:
    """A plugin that failed rests; then one call is its trial, and the others wait for the outcome.

    Calls that were under way when it failed change nothing: only the trial brings it back.
    """

    __slots__ = ("_clock", "_trying", "_until")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Start healthy; `clock` gives the time in seconds."""
        self._clock = clock
        self._until: float | None = None
        self._trying = False

    @property
    def rests(self) -> bool:
        """Whether a call would be refused now."""
        return self._until is not None and (self._trying or self._until > self._clock())

    def admit(self) -> bool | None:
        """Ask for a call: False for an ordinary one, True for the trial, None for none at all."""
        if self._until is None:
            return False
        if self._trying or self._until > self._clock():
            return None
        self._trying = True
        return True

    def fail(self, rest: float, *, trial: bool) -> None:
        """Say that a call failed: the plugin rests for `rest` seconds from now on."""
        self._until = self._clock() + rest
        if trial:
            self._trying = False

    def end_trial(self, *, recovered: bool) -> None:
        """Say that the trial went well, or that it was given up and the next call is the trial."""
        self._trying = False
        if recovered:
            self._until = None
