"""Notice when a configuration, or a file that it refers to, has another content."""

import hashlib
import logging
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.to_thread
from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

from plugway.config.references import MAX_FILE_BYTES, referenced_files

POLL_SECONDS = 1.0
"""How often to look although nothing was reported: not every file system reports changes."""
SETTLE_SECONDS = 0.1
"""How long a content must stay the same: some editors write a file in pieces."""

State = dict[Path, str]
"""The files, with a hash of what is in each; empty where one can't be read."""

log = logging.getLogger(__name__)


def state(file: Path) -> State:
    """Read a configuration file and what it refers to with `${file:...}`."""
    content = _read(file)
    others = referenced_files(content.decode(errors="replace"), file.parent)
    found = {file: content} | {other: _read(other) for other in others}
    return {path: hashlib.sha256(data).hexdigest() if data else "" for path, data in found.items()}


def _read(path: Path) -> bytes:
    if not path.is_file():  # reading a pipe would empty it
        return b""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError:
        return b""


async def watch(file: Path, seen: State, changed: Callable[[], None]) -> None:
    """Call `changed` whenever the state of `file` is another than the one `seen` last."""
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set_when_cancelled, stop)
        while True:
            await _until_other(file, seen, stop)
            seen = await _settled(file)
            changed()


async def _set_when_cancelled(stop: anyio.Event) -> None:
    """Let the watcher's thread end at once; cancellation would wait for it."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


async def _until_other(file: Path, seen: State, stop: anyio.Event) -> None:
    """Wait until the files have another content.

    Their folders are watched, not the files: editors and Kubernetes put new files in their place.
    """
    while await anyio.to_thread.run_sync(state, file) == seen:
        folders = await anyio.to_thread.run_sync(_folders, seen)
        events = awatch(
            *folders,
            watch_filter=None,
            stop_event=stop,
            rust_timeout=int(POLL_SECONDS * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        try:
            async with aclosing(events):
                async for _ in events:
                    if await anyio.to_thread.run_sync(state, file) != seen:
                        return
        except OSError as error:  # the folder has gone, or the system has no watches left
            log.debug("can't watch: %s; looking every %g s", error, POLL_SECONDS)
            await anyio.sleep(POLL_SECONDS)


def _folders(files: State) -> set[Path]:
    """Return the folders in which the files appear, and in which they really are."""
    found = {folder for file in files for folder in (file.absolute().parent, file.resolve().parent)}
    return {folder for folder in found if folder.is_dir()}


async def _settled(file: Path) -> State:
    last = await anyio.to_thread.run_sync(state, file)
    while True:
        await anyio.sleep(SETTLE_SECONDS)
        now = await anyio.to_thread.run_sync(state, file)
        if now == last:
            return now
        last = now
