"""The thread that writes the audit file: whatever lines are there go into it with one write.

The event loop only adds lines to a list; while one write is under way, the next lines gather.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

import anyio

from plugway.audit.entries import refusals_entry, withheld
from plugway.audit.file import AuditFile, explain

RETRY_SECONDS = 1.0
"""How long the writer waits after a failure, unless there is something new to write."""
DRAIN_SECONDS = 5.0
"""How long what is left at shutdown may take."""

log = logging.getLogger(__name__)


class Batch:
    """Lines that are written together, and those who wait for it."""

    __slots__ = ("_timer", "_tried", "given_up", "lines", "written")

    def __init__(self, patience: float, give_up: Callable[[], None]) -> None:
        """Begin without lines, in the event loop; call `give_up` after `patience` seconds."""
        self.lines: list[bytes] = []
        self.written = 0
        """How many of the lines are in the file, once they were tried."""
        self.given_up = False
        """Whether its answers were withheld before its lines were tried."""
        self._tried = anyio.Event()
        # one for all: a timeout of its own is most of what a request would pay here
        self._timer = asyncio.get_running_loop().call_later(patience, give_up)

    async def wait(self) -> None:
        """Wait until the lines were tried, or were given up."""
        await self._tried.wait()

    def release(self) -> None:
        """Let those who wait go on; in the event loop."""
        self._timer.cancel()
        self._tried.set()


class Writer:
    """Takes lines from the event loop, where it is made; everything private is the thread's."""

    def __init__(
        self, file: AuditFile, *, patience: float, retry_after: float = RETRY_SECONDS
    ) -> None:
        """Start the thread, which owns the file from now on; `patience` is a batch's (s)."""
        self.failure = ""
        """Why nothing can be written at the moment; empty when all is well."""
        self.waiting = 0
        """How many lines were not tried yet."""
        self._refused = self._refused_since = 0
        self._owed: list[bytes] = []
        self._file = file
        self._patience = patience
        self._retry_after = retry_after
        self._loop = asyncio.get_running_loop()
        self._change = threading.Condition()
        self._gathering: Batch | None = None
        self._under_way: Batch | None = None
        self._stopping = False
        # a daemon: a disk that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._work, name="plugway-audit", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> tuple[Batch, int]:
        """Add a line; returns the batch to wait for, and the line's number in it."""
        with self._change:
            if self._gathering is None:
                self._gathering = Batch(self._patience, self._give_up)
                self._loop.call_soon(self._wake)  # when all that are ready now had their turn
            batch = self._gathering
            batch.lines.append(line)
            self.waiting += 1
            return batch, len(batch.lines) - 1

    def refuse(self) -> None:
        """Count a request that is refused; a line will tell how many there were."""
        with self._change:
            self._refused_since = self._refused_since or time.time_ns()
            self._refused += 1
        self._wake()

    async def progress(self) -> None:
        """Wait until lines that are waiting now were tried."""
        with self._change:
            batch = self._under_way or self._gathering
        if batch is not None:
            await batch.wait()

    def stop(self) -> None:
        """Write what is left, for at most `DRAIN_SECONDS`, and close the file; blocks."""
        with self._change:
            self._stopping = True
        self._wake()
        self._thread.join(DRAIN_SECONDS)
        if left := self.waiting + len(self._owed) + self._refused:
            log.error("audit: the gateway stopped with %d lines that it could not write", left)

    def _give_up(self) -> None:
        """Refuse requests while the disk hangs; the thread ends that, when it comes back."""
        with self._change:
            self.failure = f"no write came back within {self._patience:g} s"
            batches = [self._under_way, self._gathering]
        log.error("audit: %s: %s, so requests are refused", self._file.path, self.failure)
        for batch in batches:
            if batch is not None:
                batch.given_up = True
                batch.release()

    def _wake(self) -> None:
        with self._change:
            self._change.notify()

    def _work(self) -> None:
        try:
            while self._await_work():
                self._try()
            if self._owed:
                self._try()
            self._file.close()
        finally:
            self.failure = "its writer has ended"
            self._tell(self._under_way)
            self._tell(self._gathering)

    def _await_work(self) -> bool:
        """Wait for something to write, or to try again; False when there will be nothing more."""
        with self._change:
            while not (self._gathering or (self._refused and not self._owed)):
                if self._stopping:
                    return False
                if not self._change.wait(self._retry_after if self._owed else None):
                    return True
            return True

    def _try(self) -> None:
        with self._change:
            batch, self._gathering = self._gathering, None
            self._under_way = batch
            if self._refused and not self._owed:
                self._owed.append(refusals_entry(self._refused, self._refused_since))
                self._refused = self._refused_since = 0
        fresh = [] if batch is None else batch.lines
        if batch is not None and batch.given_up:
            fresh = [withheld(line) for line in fresh]
        self._owed += fresh
        failure = self._append()
        late = min(len(self._owed), len(fresh))
        if late:
            self._owed[-late:] = map(withheld, self._owed[-late:])
        with self._change:
            self.waiting -= len(fresh)
            self.failure = failure
            self._under_way = None
        if batch is not None:
            batch.written = len(fresh) - late
        self._tell(batch)

    def _append(self) -> str:
        """Write what is owed; returns what went wrong, which is logged when it begins and ends."""
        try:
            self._file.append(self._owed)
        except OSError as error:
            failure = explain(error)
            if failure != self.failure:
                what = "audit: can't write to %s, so requests are refused until it can: %s"
                log.error(what, self._file.path, failure)  # noqa: TRY400 - the sentence says it
            return failure
        if self.failure:
            what = "audit: %s is written again; %d requests were refused meanwhile"
            log.warning(what, self._file.path, self._refused)
        return ""

    def _tell(self, batch: Batch | None) -> None:
        if batch is not None:
            with contextlib.suppress(RuntimeError):  # nobody is there any more to be told
                self._loop.call_soon_threadsafe(batch.release)
