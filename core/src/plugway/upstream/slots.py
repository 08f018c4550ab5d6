"""One of the requests that a server may be asked at the same time."""

from types import TracebackType
from typing import Self

import anyio


class Slot:
    """A place among them, for a block; it can be left and taken again meanwhile."""

    def __init__(self, slots: anyio.Semaphore) -> None:
        self._slots = slots
        self._taken = False

    async def take(self) -> None:
        """Wait for a place."""
        await self._slots.acquire()
        self._taken = True

    def give_back(self) -> None:
        """Let others have the place."""
        if self._taken:
            self._taken = False
            self._slots.release()

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()
