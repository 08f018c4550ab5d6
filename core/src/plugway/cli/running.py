"""Run the asynchronous part of a command, so that a signal ends it in good order."""

import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(Exception):
    """A signal ended the run, and everything that ran is closed."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Interrupts:
    """What a signal does: it cancels the run, unless something gentler is set as `stop`."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        """Start with `cancel` as the way to stop."""
        self.stop = cancel
        self.caught: signal.Signals | None = None

    async def watch(self, *, task_status: TaskStatus[None]) -> None:
        """Wait for the first signal; a second one finds Python's own behaviour."""
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            async for number in signals:
                self.caught = number
                self.stop()
                return


async def _until_signal(main: Callable[[Interrupts], Awaitable[T]]) -> T:
    results: list[T] = []
    scope = anyio.CancelScope()
    interrupts = Interrupts(scope.cancel)
    try:
        with scope:
            async with anyio.create_task_group() as tasks:
                if sys.platform != "win32":
                    await tasks.start(interrupts.watch)
                results.append(await main(interrupts))
                scope.cancel()
    except Exception as error:
        if interrupts.caught is None:
            raise
        raise InterruptedRunError(interrupts.caught) from error
    if interrupts.caught is not None:
        raise InterruptedRunError(interrupts.caught)
    return results[0]


def run(main: Callable[[Interrupts], Awaitable[T]]) -> T:
    """Run `main` to its end; raises `InterruptedRunError` where a signal ended it."""
    options = {"use_uvloop": find_spec("uvloop") is not None}
    return anyio.run(_until_signal, main, backend_options=options)
