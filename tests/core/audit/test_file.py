"""The file itself: who may write it, what a crash or a full disk leaves, how it is put aside."""

import errno
import logging
import os
import resource
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plugway.audit.file import AuditFile, explain, probe
from plugway.config import AuditConfig


def lines(first: int, last: int) -> list[bytes]:
    return [f'{{"n":{number}}}\n'.encode() for number in range(first, last)]


Open = Callable[..., AuditFile]


@pytest.fixture
def open_file(path: Path) -> Iterator[Open]:
    opened: list[AuditFile] = []

    def opens(**settings: Any) -> AuditFile:
        opened.append(AuditFile(path, AuditConfig(file=path, **settings)))
        return opened[-1]

    yield opens
    for file in opened:
        file.close()


@contextmanager
def room_for(size: int) -> Generator[None]:
    """Let no file grow over a size; Python ignores SIGXFSZ, so that writes fail with EFBIG."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nobody_else_may_read_the_file(open_file: Open, path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    open_file(max_bytes=1).append(lines(0, 2))
    for name in (path, Path(f"{path}.1")):
        assert name.stat().st_mode & 0o777 == 0o600


def test_lines_are_added_to_what_is_there(open_file: Open, path: Path) -> None:
    path.write_bytes(b'{"n":0}\n')
    open_file().append(lines(1, 3))
    assert path.read_bytes() == b"".join(lines(0, 3))


def test_what_a_crash_left_of_a_line_gets_an_end_when_the_file_is_opened(
    open_file: Open, path: Path
) -> None:
    path.write_bytes(b'{"n":0}\n{"n":')
    open_file()
    assert path.read_bytes() == b'{"n":0}\n{"n":\n'


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused(
    open_file: Open, path: Path, make: Callable[[Path], None]
) -> None:
    make(path)
    for opening in (open_file, lambda: probe(path)):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            opening()


def test_a_file_has_one_writer_at_a_time(open_file: Open, path: Path) -> None:
    open_file()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the sentence is what matters
        open_file()
    assert explain(caught.value) == (
        "another gateway writes to it: give every gateway a file of its own"
    )


def test_a_file_that_was_put_aside_leaves_the_new_one_locked(open_file: Open) -> None:
    open_file(max_bytes=1).append(lines(0, 3))
    with pytest.raises(BlockingIOError):
        open_file()


def test_a_full_file_is_put_aside_and_the_newest_are_kept(open_file: Open, path: Path) -> None:
    file = open_file(max_bytes=20, keep=2)
    for number in range(10):
        file.append(lines(number, number + 1))
    assert path.read_bytes() == b"".join(lines(8, 10))
    assert Path(f"{path}.1").read_bytes() == b"".join(lines(6, 8))
    assert Path(f"{path}.2").read_bytes() == b"".join(lines(4, 6))
    assert not Path(f"{path}.3").exists()


def test_lines_that_are_written_together_are_put_aside_no_later(
    open_file: Open, path: Path
) -> None:
    open_file(max_bytes=20, keep=9).append(lines(0, 10))
    assert all(Path(f"{path}.{n}").stat().st_size <= 20 for n in range(1, 5))
    kept = [Path(f"{path}.{n}").read_bytes() for n in (4, 3, 2, 1)]
    assert b"".join([*kept, path.read_bytes()]) == b"".join(lines(0, 10))


def test_a_file_that_is_in_the_way_moves_up(open_file: Open, path: Path) -> None:
    Path(f"{path}.1").write_text("older")
    Path(f"{path}.3").write_text("much older")
    open_file(max_bytes=8, keep=9).append(lines(0, 2))
    assert Path(f"{path}.1").read_bytes() == b'{"n":0}\n'
    assert Path(f"{path}.2").read_text() == "older"
    assert Path(f"{path}.3").read_text() == "much older"


def test_a_file_that_can_not_be_put_aside_goes_on(
    open_file: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path(f"{path}.1", "full").mkdir(parents=True)
    file = open_file(max_bytes=80, keep=1)
    file.append(lines(0, 10))
    file.append(lines(10, 18))
    assert path.read_bytes() == b"".join(lines(0, 18))
    (record,) = caplog.records
    assert "can't be put aside" in record.getMessage()


def test_lines_go_into_a_new_file_when_somebody_takes_the_file_away(
    open_file: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = open_file()
    file.append(lines(0, 1))
    path.rename(f"{path}.old")
    file.append(lines(1, 2))
    assert path.read_bytes() == b'{"n":1}\n'
    assert caplog.records[0].levelno == logging.WARNING


def test_after_its_folder_was_deleted_and_made_again_it_is_written_again(
    open_file: Open, path: Path
) -> None:
    file, waiting = open_file(), lines(0, 1)
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(FileNotFoundError):
        file.append(waiting)
    assert len(waiting) == 1
    path.parent.mkdir()
    file.append(waiting)
    assert path.read_bytes() == b'{"n":0}\n'


@pytest.mark.parametrize("room", range(8, 26))
def test_a_full_disk_loses_no_line_and_doubles_none(open_file: Open, path: Path, room: int) -> None:
    file, waiting = open_file(), lines(0, 5)
    with room_for(room):
        for _ in range(2):
            with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
                file.append(waiting)
        assert len(waiting) == 5 - (room + 1) // 8
    file.append(waiting)
    assert waiting == []
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if b"}" in line]
    assert whole == lines(0, 5)


def test_lines_that_did_not_reach_the_disk_itself_are_still_to_be_written(
    open_file: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, waiting = open_file(sync="always"), lines(0, 2)

    def breaks(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", breaks)
        with pytest.raises(OSError, match="Input/output"):
            file.append(waiting)
    assert len(waiting) == 2
    file.append(waiting)
    assert path.read_bytes() == b"".join(lines(0, 2) * 2)


@pytest.mark.parametrize(("sync", "times"), [("never", 0), ("always", 1)])
def test_lines_reach_the_disk_itself_with_one_fsync_where_that_is_asked_for(
    open_file: Open, monkeypatch: pytest.MonkeyPatch, sync: str, times: int
) -> None:
    file = open_file(sync=sync)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    file.append(lines(0, 9))
    assert len(synced) == times
