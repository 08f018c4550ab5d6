"""Standard input and output as a protocol needs them: one can be ended, the other stays clean."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Thread

_CHUNK = 64 * 1024


@contextmanager
def stdout_goes_to(target: int) -> Generator[int]:
    """Point standard output at another descriptor; yields one of where it went before."""
    sys.stdout.flush()
    before = os.dup(1)
    os.dup2(target, 1)
    try:
        yield before
    finally:
        sys.stdout.flush()
        os.dup2(before, 1)
        os.close(before)


@contextmanager
def endable_stdin() -> Generator[Callable[[], None]]:
    """Put a pipe in the place of standard input; what is yielded ends it, as the client would.

    A thread that reads standard input can't be interrupted while the client is silent: the process
    would survive SIGTERM for as long as the client keeps it open.
    """
    client = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    Thread(target=_copy, args=(client, writing), daemon=True).start()
    yield lambda: _end(writing)


def _copy(source: int, target: int) -> None:
    while chunk := os.read(source, _CHUNK):
        while chunk:
            chunk = chunk[os.write(target, chunk) :]
    _end(target)


def _end(pipe: int) -> None:
    """Close the pipe but keep its number taken, so that a late write can't hit another file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, pipe, inheritable=False)
    os.close(nowhere)
