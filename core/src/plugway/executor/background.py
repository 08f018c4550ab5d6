"""Background plugins: a bounded queue behind the chains, drained when the gateway stops."""

import logging
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from plugway.executor.failing import recover, refuse_coroutine, rest_of
from plugway.executor.steps import Step
from plugway.foreign import about, describe, is_failure
from plugway_hookspecs import Operation, Payload

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""How long the work that is queued at shutdown may take."""

CALL_SECONDS = 60.0
"""How long one call may take; nobody waits for it, but others stand behind it."""

QUIET_SECONDS = 60.0
"""How long the log says nothing more of dropped calls, once it has said so."""

Work = tuple[Step, Payload, Operation]


class Background:
    """Takes calls without waiting; what does not fit is dropped and counted.

    What waits is counted by calls: it may hold as many payloads, each up to `max_payload_bytes`.
    """

    def __init__(self, size: int, workers: int = 1, clock: Callable[[], float] = monotonic) -> None:
        """Make room for `size` calls that wait, and run `workers` at the same time."""
        self.dropped = 0
        self._clock = clock
        self._untold = ""
        self._quiet_until = -math.inf
        self._size = size
        self._workers = workers
        self._under_way = 0
        self._queue: MemoryObjectSendStream[Work] | None = None

    def offer(self, step: Step, payload: Payload, operation: Operation) -> bool:
        """Queue one call, and say whether there was room for it; never blocks."""
        if self._queue is None:
            self._drop(1, "the gateway is stopping")
            return False
        try:
            self._queue.send_nowait((step, payload, operation))
        except anyio.WouldBlock:
            self._drop(1, "the queue is full")
            return False
        return True

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        self._untold = why
        if self._clock() >= self._quiet_until:
            self._tell()

    def _tell(self) -> None:
        """Log what was dropped since it was last said."""
        if self._untold:
            log.warning("background calls dropped, %s: %d so far", self._untold, self.dropped)
            self._quiet_until = self._clock() + QUIET_SECONDS
            self._untold = ""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work until the block ends, however it ends; then drain for at most `DRAIN_SECONDS`."""
        send, receive = anyio.create_memory_object_stream[Work](self._size)
        scope = anyio.CancelScope(shield=True)  # what is queued is done though the gateway stops
        failure: Exception | None = None
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._work, receive, scope)
                self._queue = send
                try:
                    yield
                except Exception as error:  # noqa: BLE001 - the task group would wrap it
                    failure = error
                finally:
                    self._queue = None
                    send.close()
                    scope.deadline = anyio.current_time() + DRAIN_SECONDS
            if left := receive.statistics().current_buffer_used + self._under_way:
                self._drop(left, "the gateway is stopping")
            self._tell()
        if failure is not None:
            raise failure

    async def _work(
        self, receive: MemoryObjectReceiveStream[Work], scope: anyio.CancelScope
    ) -> None:
        with scope:
            async with anyio.create_task_group() as workers:
                for _ in range(self._workers):
                    workers.start_soon(self._serve, receive)

    async def _serve(self, receive: MemoryObjectReceiveStream[Work]) -> None:
        async for step, payload, operation in receive:
            self._under_way += 1
            await _call(step, payload, operation)
            self._under_way -= 1  # one that is cut off stays: it is lost like those in the queue


async def _call(step: Step, payload: Payload, operation: Operation) -> None:
    health = step.policy.health
    trial = health.admit() if step.disables else False
    if trial is None:
        return
    try:
        with anyio.fail_after(CALL_SECONDS):
            answer: Any = step.call(payload, *step.view_of(operation))
            if step.awaits:
                answer = await answer
            refuse_coroutine(answer, step)
    except BaseException as error:  # foreign code
        if not is_failure(error, scoped=True):  # or one plugin could end the worker of all
            if trial:
                health.end_trial(recovered=False)
            raise
        what = describe(error), about(operation), rest_of(step)
        log.error(  # noqa: TRY400
            "background plugin %r failed in %s: %s, in %s%s",
            *(step.scope.plugin, step.scope.hook, *what),
        )
        if step.disables:
            health.fail(step.policy.retry_after, trial=trial)
    else:
        if trial:
            recover(step)
