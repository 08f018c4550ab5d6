"""Ending in good order: what is under way is finished, and the plugins get to shut down."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from threading import Thread

import anyio
from anyio.abc import TaskStatus

INTERRUPTED = 128 + signal.SIGINT


async def serve_until_signal(serve: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> int:
    """Serve, and call `stop` on SIGINT or SIGTERM; returns the process's exit code."""
    caught: list[signal.Signals] = []

    async def watch(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                caught.append(number)
                stop()

    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            await tasks.start(watch)
        await serve()
        tasks.cancel_scope.cancel()
    return INTERRUPTED if signal.SIGINT in caught else 0


@contextmanager
def endable_input() -> Generator[Callable[[], None]]:
    """Put a pipe in the place of standard input, and yield what ends it.

    A thread that waits for a silent client can't be interrupted; one that reads from our own pipe
    can. The thread that is left reading the client's end is a daemon.
    """
    client, (reading, writing) = os.dup(0), os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    pipe = os.fdopen(writing, "wb", buffering=0)

    def copy() -> None:
        try:
            while chunk := os.read(client, 65536):
                pipe.write(chunk)
        except (OSError, ValueError):
            return  # nobody listens any more
        pipe.close()

    Thread(target=copy, daemon=True).start()
    yield pipe.close
