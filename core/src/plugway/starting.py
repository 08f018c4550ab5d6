"""Wait for the start of a task, and call the task off only as long as it has not started."""

from types import TracebackType
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Start(Generic[T]):
    """The start of a task that goes on after it, as the task (`with start:`) and its maker see it.

    `TaskGroup.start` would not do: asked in the loop turn in which the task starts, it still
    cancels the task.
    """

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._started: T | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Leave to the maker why the task did not start."""
        failed = self._started is None and isinstance(error, Exception)
        if failed:
            self._error, error, kind, trace = error, None, None, None
        self._over.set()
        return self._scope.__exit__(kind, error, trace) or failed

    async def last_call(self) -> None:
        """End the task here if it was called off; from here to `succeed` it must not await."""
        await anyio.lowlevel.checkpoint_if_cancelled()

    def succeed(self, started: T) -> None:
        """Have the maker go on with `started`; the task can't be called off any more."""
        self._started = started
        self._over.set()

    async def wait(self) -> T | None:
        """Return what the task started with, or None where its group was cancelled before that.

        Raises what the task raised. Cancelled, it calls the task off, and waits for its end.
        """
        try:
            await self._over.wait()
        finally:
            if self._started is None:
                self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._over.wait()
        if self._error is not None:
            raise self._error
        return self._started
