"""Read the audit file back, while a gateway writes it or after one was killed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from plugway.jsonvalues import is_object

POLL_SECONDS = 0.2

Unreadable = Callable[[bytes], None]


def read_audit(path: Path, *, unreadable: Unreadable | None = None) -> Iterator[dict[str, Any]]:
    """Return what each line of an audit file says, oldest first.

    Lines that a crash or a full disk left half-written are skipped, and given to `unreadable`.
    Raises `OSError` where the file can't be read.
    """
    with path.open("rb") as file:
        for line in file:
            yield from _parse(line, unreadable)


def put_aside(path: Path) -> list[Path]:
    """Return the files that belong to one that was put aside from time to time, oldest first."""
    older: list[Path] = []
    while (name := Path(f"{path}.{len(older) + 1}")).is_file():
        older.append(name)
    return [*reversed(older), path]


def follow_audit(
    path: Path, *, unreadable: Unreadable | None = None, pause: Callable[[], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Return what each line says, for ever: those that are there, then new ones as they come.

    Goes on with the next file when the gateway puts one aside. `pause` waits between two looks.
    """
    pause = pause or (lambda: time.sleep(POLL_SECONDS))
    file, line = path.open("rb"), b""
    try:
        while True:
            following = _following(file, path)  # before the last look: this one grows no more then
            while part := file.readline():
                line += part
                if line.endswith(b"\n"):
                    yield from _parse(line, unreadable)
                    line = b""
            if following is None:
                pause()
                continue
            if line:
                yield from _parse(line, unreadable)
            file.close()
            file, line = following.open("rb"), b""
    finally:
        file.close()


def _following(file: BinaryIO, path: Path) -> Path | None:
    """Return the file after an open one; None while the open one is the newest."""
    mine = os.fstat(file.fileno())
    newer: Path | None = None
    for name in reversed(put_aside(path)):
        try:
            if os.path.samestat(mine, name.stat()):
                return newer
        except FileNotFoundError:  # put aside at this moment: look again
            return None
        newer = name
    return newer


def _parse(line: bytes, unreadable: Unreadable | None) -> Iterator[dict[str, Any]]:
    try:
        said = orjson.loads(line)
    except ValueError:
        said = None
    if is_object(said):  # whole: no part of an object is one
        yield said
    elif unreadable is not None:
        unreadable(line)
