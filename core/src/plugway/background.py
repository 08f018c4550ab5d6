"""Background plugins: a bounded queue behind the chains, drained when the gateway stops."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from plugway.steps import Step
from plugway_hookspecs import Context, Operation, Payload

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""How long the work that is queued at shutdown may take."""


class Background:
    """Takes calls without waiting; what does not fit is dropped and counted."""

    def __init__(self, size: int) -> None:
        """Make room for `size` pieces of work."""
        self.dropped = 0
        self._send, self._receive = anyio.create_memory_object_stream[
            tuple[Step, Payload, Operation]
        ](size)

    def offer(self, step: Step, payload: Payload, operation: Operation) -> None:
        """Queue one call; never blocks."""
        try:
            self._send.send_nowait((step, payload, operation))
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.dropped += 1
            log.warning("background queue full: %d calls dropped so far", self.dropped)

    async def _work(self) -> None:
        async for step, payload, operation in self._receive:
            try:
                answer: Any = step.call(payload, Context(operation, step.scope))
                if step.awaits:
                    await answer
            except Exception as error:  # noqa: BLE001 - foreign code
                where = step.scope.plugin, step.scope.hook, type(error).__name__
                log.error("background plugin %r failed in %s: %s", *where)  # noqa: TRY400

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work until the block ends, then drain for at most `DRAIN_SECONDS`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._work)
            try:
                yield
            finally:
                self._send.close()
                tasks.cancel_scope.deadline = anyio.current_time() + DRAIN_SECONDS
        self._receive.close()
