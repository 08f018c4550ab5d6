"""One of the requests that a server may be asked at the same time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio


class Slot:
    """A place among them, for a block; it can be left and taken again meanwhile."""

    def __init__(self, slots: anyio.Semaphore) -> None:
        self._slots = slots
        self._taken = False
        self._left = 0
        self._over = False

    @asynccontextmanager
    async def left(self) -> AsyncGenerator[None]:
        """Let others have the place for a block; several at the same time leave it once."""
        self._left += 1
        self._give_back()
        try:
            yield
        finally:
            self._left -= 1
            if not self._left and not self._over:
                await self._take()

    async def _take(self) -> None:
        """Wait for a place, which may be left again by the time that there is one."""
        await self._slots.acquire()
        if self._taken or self._left or self._over:
            self._slots.release()
        else:
            self._taken = True

    def _give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._slots.release()

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over = True
        self._give_back()
