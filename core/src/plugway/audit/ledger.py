"""What stands between a request and its answer: the line about it has to be written first."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import anyio
import anyio.to_thread

from plugway.audit.entries import request_entry
from plugway.audit.file import AuditFile, explain, probe
from plugway.audit.place import audit_path
from plugway.audit.writer import RETRY_SECONDS, Writer
from plugway.config import AuditConfig, Config
from plugway.errors import ConfigError
from plugway.jsonrpc import NOT_AUDITED, RpcError
from plugway_hookspecs import Operation


class Ledger:
    """Has every request written down; implements `plugway.dispatch.dispatcher.Ledger`."""

    def __init__(self, writer: Writer, settings: AuditConfig, patience: float) -> None:
        """Let a request wait for the disk for at most `patience` seconds, before and after."""
        self.writer = writer
        self._size = settings.queue
        self._waits = settings.when_full == "wait"
        self._patience = patience

    def entry(self, operation: Operation) -> "Entry":
        """Return the block that a request has to run in."""
        return Entry(self, operation)

    async def admit(self) -> None:
        """Let a new request in; raises `RpcError` where its line could not be written."""
        writer = self.writer
        if writer.waiting < self._size and not writer.failure:
            return
        if self._waits and not writer.failure:
            with anyio.move_on_after(self._patience):
                while writer.waiting >= self._size and not writer.failure:
                    await writer.progress()
        if writer.failure:
            writer.refuse()
            raise RpcError(NOT_AUDITED, f"Refused: nothing can be audited now; {_LOG}")
        if writer.waiting >= self._size:
            writer.refuse()
            raise RpcError(NOT_AUDITED, "Refused: the audit file is behind; try again later")

    async def keep(self, line: bytes) -> None:
        """Have a line written; raises `RpcError` where the answer must not go out."""
        batch, number = self.writer.add(line)
        await batch.wait()
        if number >= batch.written:
            message = f"The answer is withheld: it could not be audited; {_LOG}"
            raise RpcError(NOT_AUDITED, message)


_LOG = "the gateway's log says why"


class Entry:
    """The block in which one request runs; leaving it waits until the line is written."""

    __slots__ = ("_began", "_ledger", "_operation", "_started")

    def __init__(self, ledger: Ledger, operation: Operation) -> None:
        """Prepare; nothing happens before the block is entered."""
        self._ledger = ledger
        self._operation = operation

    async def __aenter__(self) -> None:
        """Raise `RpcError` where the request must not run."""
        self._began, self._started = time.time_ns(), time.perf_counter_ns()
        await self._ledger.admit()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Raise `RpcError` where the answer must not go out; who is cancelled gets none anyway."""
        known = error if isinstance(error, RpcError) else None
        cancelled = error is not known
        line = request_entry(
            self._operation,
            known,
            cancelled=cancelled,
            began_ns=self._began,
            duration_ns=time.perf_counter_ns() - self._started,
        )
        if cancelled:
            self._ledger.writer.add(line)
        else:
            await self._ledger.keep(line)


@asynccontextmanager
async def open_ledger(
    config: Config, *, retry_after: float = RETRY_SECONDS
) -> AsyncGenerator[Ledger | None]:
    """Open the audit file that is configured, if one is; on exit everything is written.

    Raises `ConfigError` where it can't be opened.
    """
    settings = config.audit
    if settings is None:
        yield None
        return
    path = audit_path(config, settings)
    try:
        file = await anyio.to_thread.run_sync(AuditFile, path, settings)
    except OSError as error:
        raise _unopened(config, path, error) from None
    patience = config.gateway.request_timeout
    writer = Writer(file, patience=patience, retry_after=retry_after)
    try:
        yield Ledger(writer, settings, patience)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.stop)


def audit_fault(config: Config) -> ConfigError | None:
    """Say why the audit file could not be opened; that another gateway has it open is no fault."""
    if config.audit is None:
        return None
    path = audit_path(config, config.audit)
    try:
        probe(path)
    except OSError as error:
        return _unopened(config, path, error)
    return None


def _unopened(config: Config, path: Path, error: OSError) -> ConfigError:
    return config.error(f"{str(path)!r} can't be opened: {explain(error)}", "audit", "file")
