"""Reload the gateway that `serve` runs: when its configuration changes, and on SIGHUP."""

import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from plugway.cli.failures import EXPECTED, sentences
from plugway.cli.running import Interrupts
from plugway.cli.watching import State, watch
from plugway.config import Config
from plugway.foreign import describe, stack
from plugway.gateway import Gateway
from plugway.reloading import Changes

log = logging.getLogger(__name__)

Signals = AsyncIterator[signal.Signals] | None


@contextmanager
def hangups() -> Generator[Signals]:
    """Receive SIGHUP, where there is such a thing, instead of dying of it."""
    if sys.platform == "win32":
        yield None
        return
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        yield signals


@dataclass(frozen=True, slots=True)
class Reloads:
    """What makes a running gateway read its configuration again."""

    file: Path
    load: Callable[[], Config]
    """Reads the configuration as it is now."""
    seen: State | None
    """The state of the file that the gateway was started with; None not to watch it."""

    async def follow(self, gateway: Gateway, signals: Signals, interrupts: Interrupts) -> None:
        """Reload whenever there is reason to; never returns."""
        send, receive = anyio.create_memory_object_stream[None](1)

        def ask() -> None:
            with suppress(anyio.WouldBlock):  # one reload will do for both
                send.send_nowait(None)

        async with send, receive, anyio.create_task_group() as tasks:
            if self.seen is not None:
                tasks.start_soon(watch, self.file, self.seen, ask)
            if signals is not None:
                tasks.start_soon(_obey, signals, ask, interrupts)
            async for _ in receive:
                await self._reload(gateway)

    async def _reload(self, gateway: Gateway) -> None:
        try:
            config = await anyio.to_thread.run_sync(self.load)
            changes = await gateway.reload(config)
        except Exception as error:  # noqa: BLE001 - whatever it is, the gateway goes on
            expected = isinstance(error, EXPECTED)
            why = "; ".join(sentences(error)) if expected else f"reloading {describe(error)}"
            log.error("not reloaded, everything goes on as before: %s", why)  # noqa: TRY400
            log.debug("where it was not reloaded\n%s", stack(error))  # its text may quote a secret
            return
        self._tell(config, changes)

    def _tell(self, config: Config, changes: Changes) -> None:
        if changes or not changes.restart:
            log.info("reloaded %s: %s", self.file, changes or "nothing is different")
        for note in config.notes:
            log.info("note: %s", note)
        if changes.restart:
            log.warning("%s: needs a restart: %s", self.file, ", ".join(changes.restart))


async def _obey(
    signals: AsyncIterator[signal.Signals], ask: Callable[[], None], interrupts: Interrupts
) -> None:
    """Reload on SIGHUP; end when it says what it first meant, that the terminal is gone."""
    terminal = sys.stdin.isatty()
    async for _ in signals:
        if terminal and not sys.stdin.isatty():
            interrupts.stop()
        else:
            ask()
