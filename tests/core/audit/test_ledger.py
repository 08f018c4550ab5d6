"""No answer without a line: slow disks, full queues, failures, cancelled requests."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from plugway.audit.file import AuditFile
from plugway.jsonrpc import NOT_AUDITED, RpcError
from plugway_hookspecs import Operation, ToolCall, hookimpl

Entries = Callable[[], list[dict[str, Any]]]


class Slow(AuditFile):
    """A file on a disk that waits until a test lets it go on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.writes: list[int] = []

    def append(self, lines: list[bytes]) -> None:
        self.asked.release()
        assert self.go.acquire(timeout=5)
        self.writes.append(len(lines))
        super().append(lines)

    async def is_asked(self) -> None:
        assert await anyio.to_thread.run_sync(lambda: self.asked.acquire(timeout=5))


class Counting(AuditFile):
    """A file that counts how often something was to be written."""

    tries = 0

    def append(self, lines: list[bytes]) -> None:
        self.tries += 1
        super().append(lines)


def take_folder_away(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def make_folder(path: Path) -> None:
    path.parent.mkdir()


async def refusal(gateway: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await gateway.call()
    return caught.value


async def test_an_answer_waits_for_its_line_and_the_loop_does_not(
    audited: Any, entries: Entries
) -> None:
    answered = anyio.Event()

    async def ask() -> None:
        await gateway.call()
        answered.set()

    with anyio.fail_after(5):
        async with audited(file=Slow) as gateway, anyio.create_task_group() as tasks:
            file = gateway.writer._file
            tasks.start_soon(ask)
            await file.is_asked()
            assert gateway.server.calls == 1
            assert not answered.is_set()
            file.go.release()
            await answered.wait()
            assert len(entries()) == 1


async def test_requests_that_finish_during_a_write_share_the_next_one(
    audited: Any, entries: Entries
) -> None:
    with anyio.fail_after(5):
        async with audited(file=Slow) as gateway, anyio.create_task_group() as tasks:
            file = gateway.writer._file
            tasks.start_soon(gateway.call)
            await file.is_asked()
            for _ in range(20):
                tasks.start_soon(gateway.call)
            while gateway.writer.waiting < 21:
                await anyio.lowlevel.checkpoint()
            file.go.release(2)
            await file.is_asked()
            while gateway.writer.waiting:
                await anyio.lowlevel.checkpoint()
            assert file.writes == [1, 20]
    assert len(entries()) == 21


async def test_while_the_queue_is_full_new_requests_wait_before_they_run(
    audited: Any, entries: Entries
) -> None:
    with anyio.fail_after(5):
        async with audited(file=Slow, queue=1) as gateway:
            file = gateway.writer._file
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gateway.call)
                await file.is_asked()
                tasks.start_soon(gateway.call)
                await anyio.wait_all_tasks_blocked()
                assert gateway.server.calls == 1
                file.go.release(2)
    assert gateway.server.calls == 2
    assert len(entries()) == 2


async def test_while_the_queue_is_full_new_requests_are_refused_where_that_is_asked_for(
    audited: Any, entries: Entries
) -> None:
    with anyio.fail_after(5):
        async with audited(file=Slow, queue=1, when_full="refuse") as gateway:
            file = gateway.writer._file
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gateway.call)
                await file.is_asked()
                for _ in range(3):
                    error = await refusal(gateway)
                    assert error.code == NOT_AUDITED
                    assert "the audit file is behind" in error.message
                assert gateway.server.calls == 1
                file.go.release(2)
            assert gateway.server.calls == 1
    answered, refused = entries()
    assert answered["outcome"] == "ok"
    assert (refused["event"], refused["count"]) == ("refused", 3)


async def test_patience_with_a_disk_that_hangs_has_an_end(audited: Any, entries: Entries) -> None:
    with anyio.fail_after(5):
        async with audited(file=Slow, patience=0.2) as gateway:
            error = await refusal(gateway)
            assert "withheld" in error.message
            error = await refusal(gateway)
            assert "nothing can be audited now" in error.message
            assert gateway.server.calls == 1
            gateway.writer._file.go.release(3)
            while gateway.writer.failure:
                await anyio.lowlevel.checkpoint()
            await gateway.call()
    assert sorted(each["event"] for each in entries()) == ["refused", "request", "request"]


async def test_without_a_place_to_write_nothing_is_answered_until_there_is_one_again(
    audited: Any, entries: Entries, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(5):
        async with audited(file=Counting) as gateway:
            await gateway.call()
            take_folder_away(path)
            error = await refusal(gateway)
            assert "withheld" in error.message
            for _ in range(2):
                error = await refusal(gateway)
                assert error.code == NOT_AUDITED
                assert "nothing can be audited now" in error.message
            assert gateway.server.calls == 2
            while gateway.writer._file.tries < 5:
                await anyio.lowlevel.checkpoint()
            make_folder(path)
            while gateway.writer.failure:
                await anyio.lowlevel.checkpoint()
            await gateway.call()
    late, *others = entries()
    assert (late["outcome"], late["withheld"]) == ("ok", True)
    assert sorted((each["event"], each.get("count")) for each in others) == [
        ("refused", 2),
        ("request", None),
    ]
    (said,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert said == (
        f"audit: can't write to {path}, so requests are refused until it can: "
        "no such file or directory: make its folder"
    )


async def test_a_request_that_finishes_during_a_failure_tries_at_once(
    audited: Any, path: Path, entries: Entries
) -> None:
    arrived, finish = anyio.Event(), anyio.Event()

    async def slowly() -> dict[str, Any]:
        arrived.set()
        await finish.wait()
        return {"content": []}

    with anyio.fail_after(5):
        async with audited(retry_after=1000) as gateway, anyio.create_task_group() as tasks:
            gateway.server.answer = slowly
            tasks.start_soon(gateway.call)
            await arrived.wait()
            gateway.server.answer = None
            take_folder_away(path)
            await refusal(gateway)
            make_folder(path)
            finish.set()
    assert [each["withheld"] for each in entries()] == [True, False]
    assert gateway.writer.failure == "its writer has ended"


async def test_a_cancelled_request_has_a_line(audited: Any, entries: Entries) -> None:
    with anyio.fail_after(5):
        async with audited() as gateway:
            gateway.server.answer = anyio.sleep_forever
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gateway.call)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
    assert [each["outcome"] for each in entries()] == ["cancelled"]


async def test_a_request_that_fails_has_a_line_with_its_code(
    audited: Any, entries: Entries
) -> None:
    async with audited() as gateway:
        with pytest.raises(RpcError):
            await gateway.call(name="unknown")
    (found,) = entries()
    assert (found["outcome"], found["error"], found["name"]) == ("error", -32602, "unknown")


async def test_a_guard_that_fails_is_a_denial(audited: Any, entries: Entries) -> None:
    class Fails:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            raise ValueError("s3cret")

    async with audited(Fails()) as gateway:
        await gateway.call()
    (found,) = entries()
    assert found["outcome"] == "denied"
    assert found["plugins"][0]["requested"] == "error"
    assert "s3cret" not in str(found)


async def test_listeners_learn_what_the_client_got(audited: Any, path: Path) -> None:
    told: list[RpcError | None] = []

    def listener(_: Operation, error: RpcError | None) -> None:
        told.append(error)

    async with audited() as gateway:
        gateway.dispatcher.listen(listener)
        await gateway.call()
        take_folder_away(path)
        error = await refusal(gateway)
        make_folder(path)
    assert told == [None, error]
    assert told[1] is error


async def test_of_answers_that_were_given_up_the_lines_say_so(
    audited: Any, entries: Entries
) -> None:
    with anyio.fail_after(5):
        async with audited(file=Slow, patience=1) as gateway:
            file = gateway.writer._file
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(refusal, gateway)
                await file.is_asked()
                tasks.start_soon(refusal, gateway)
            file.go.release(2)
    assert [each["withheld"] for each in entries()] == [False, True]


async def test_what_is_owed_is_tried_once_more_in_the_end(
    audited: Any, entries: Entries, path: Path
) -> None:
    async with audited(retry_after=1000) as gateway:
        take_folder_away(path)
        await refusal(gateway)
        make_folder(path)
    assert [each["withheld"] for each in entries()] == [True]


async def test_what_could_not_be_written_in_the_end_is_logged(
    audited: Any, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with audited() as gateway:
        take_folder_away(path)
        for _ in range(3):
            await refusal(gateway)
    last = caplog.records[-1].getMessage()
    assert last == "audit: the gateway stopped with 3 lines that it could not write"
