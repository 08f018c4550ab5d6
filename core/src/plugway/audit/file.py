"""The audit file itself: opened by one gateway at a time, appended to, put aside when it is full.

Everything here blocks; the writer's thread calls it.
"""

import errno
import logging
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from plugway.config import AuditConfig

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

# O_NONBLOCK: a named pipe that nobody reads would block until somebody does
_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)

_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EFBIG: "set `max_bytes`, or raise the limit for the size of files",
    errno.ENOENT: "make its folder",
    errno.EACCES: "give the gateway's user the right to write there",
    errno.EPERM: "give the gateway's user the right to write there",
    errno.EROFS: "make the file system writable",
    errno.EWOULDBLOCK: "give every gateway a file of its own",
}


def explain(error: OSError) -> str:
    """Say in one sentence what is wrong with the file, and what to do."""
    what = (error.strerror or type(error).__name__).lower()
    if error.errno == errno.EWOULDBLOCK:
        what = "another gateway writes to it"
    advice = _ADVICE.get(error.errno or 0)
    return f"{what}: {advice}" if advice else what


def probe(path: Path) -> None:
    """Raise the `OSError` that opening the file would; nothing is made, changed or locked."""
    try:
        opened = os.open(path, _FLAGS)
    except FileNotFoundError:
        folder = path.resolve().parent
        if not folder.is_dir():
            raise
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        return
    try:
        _demand_regular(os.fstat(opened))
    finally:
        os.close(opened)


class AuditFile:
    """A file that lines are appended to; `OSError` is all that its methods raise."""

    def __init__(self, path: Path, settings: AuditConfig) -> None:
        """Open the file and lock it; what a crash left half-written gets its end of line."""
        self.path = path.resolve()
        self._max_bytes = settings.max_bytes
        self._keep = settings.keep
        self._sync = settings.sync == "always"
        self._size = 0
        self._limit: int | None = None
        self._torn = False
        self._file = self._open()

    def close(self) -> None:
        """Close the file, which unlocks it."""
        os.close(self._file)

    def append(self, lines: list[bytes]) -> None:
        """Write lines; those that are in the file are taken out of the list, even on an error."""
        if not self._in_place():
            self._reopen()
            log.warning("audit: %s was taken away; lines go into a new one", self.path)
        while lines:
            part = self._fitting(lines)
            if not part:
                self._turn_over()
            else:
                self._write(lines, len(part))

    def _write(self, lines: list[bytes], count: int) -> None:
        start = b"\n" if self._torn else b""
        data = start + b"".join(lines[:count])
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:] if written else data)
            if self._sync:
                os.fsync(self._file)
        except OSError:
            if written < len(data):  # after a failed fsync nobody knows what is on the disk
                # the next write begins with the end of line that the last one may lack
                del lines[: data.count(b"\n", len(start), written + 1)]
            raise
        else:
            del lines[:count]
        finally:
            self._size += written
            if written:
                self._torn = data[written - 1 : written] != b"\n"

    def _fitting(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Return the lines that go into this file, before it is time for the next one."""
        if self._limit is None:
            return lines
        room = self._limit - self._size
        for number, line in enumerate(lines):
            room -= len(line)
            if room < 0 and (number or self._size):
                return lines[:number]
        return lines

    def _turn_over(self) -> None:
        """Put the file aside and go on with a new one; where that fails, go on with this one."""
        try:
            self._shift()
        except OSError as error:
            self._limit = self._size + (self._max_bytes or 0)
            what = explain(error)
            log.error("audit: %s grows past max_bytes, it can't be put aside: %s", self.path, what)  # noqa: TRY400 - the sentence says it
            return
        self._reopen()

    def _shift(self) -> None:
        names = [self.path, *(Path(f"{self.path}.{n}") for n in range(1, self._keep + 1))]
        free = next((i for i, name in enumerate(names) if not os.path.lexists(name)), self._keep)
        for number in range(free, 0, -1):
            names[number - 1].replace(names[number])

    def _in_place(self) -> bool:
        """Whether the open file is still the one that the path leads to."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        opened = self._open()
        os.close(self._file)
        self._file = opened

    def _open(self) -> int:
        opened = os.open(self.path, _FLAGS | os.O_CREAT, 0o600)
        try:
            self._take(opened)
        except OSError:
            os.close(opened)
            raise
        return opened

    def _take(self, opened: int) -> None:
        """Make an open file ours: locked, private, and ending with a whole line."""
        found = os.fstat(opened)
        _demand_regular(found)
        _lock(opened)
        if not os.path.samestat(found, self.path.stat()):  # put aside meanwhile, by its owner
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(opened, 0o600)
        size = os.fstat(opened).st_size
        if size and os.pread(opened, 1, size - 1) != b"\n":
            size += os.write(opened, b"\n")
        if self._sync:
            _sync_folder(self.path.parent)
        self._size, self._torn, self._limit = size, False, self._max_bytes


def _demand_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _lock(opened: int) -> None:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "it can't be locked on Windows")
    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """Bring a new name in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
