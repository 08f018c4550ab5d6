import anyio
import pytest

from plugway.upstream.slots import Slot


async def test_a_place_is_others_while_it_is_left() -> None:
    slots = anyio.Semaphore(1)
    with anyio.fail_after(5):
        async with Slot(slots) as mine:
            assert slots.value == 0
            async with mine.left():
                async with Slot(slots):
                    assert slots.value == 0
                assert slots.value == 1
            assert slots.value == 0
        assert slots.value == 1


async def test_a_place_that_is_left_twice_at_the_same_time_is_taken_again_once() -> None:
    slots = anyio.Semaphore(2)
    with anyio.fail_after(5):
        async with Slot(slots) as mine:
            first, second = mine.left(), mine.left()
            await first.__aenter__()
            await second.__aenter__()
            assert slots.value == 2
            await first.__aexit__(None, None, None)
            await second.__aexit__(None, None, None)
            assert slots.value == 1
        assert slots.value == 2


async def test_a_place_that_is_left_while_it_is_taken_again_is_not_taken_twice() -> None:
    slots = anyio.Semaphore(1)
    with anyio.fail_after(5):
        async with Slot(slots) as mine, anyio.create_task_group() as tasks:
            asked, ask = anyio.Event(), anyio.Event()

            async def question() -> None:
                async with mine.left():
                    asked.set()
                    await ask.wait()

            async with mine.left():
                await slots.acquire()  # another request has it
                tasks.start_soon(question)
                await asked.wait()
            tasks.start_soon(question)
            await anyio.wait_all_tasks_blocked()
            ask.set()
            await anyio.wait_all_tasks_blocked()
            slots.release()
        assert slots.value == 1


async def test_who_gives_up_before_there_is_a_place_has_none() -> None:
    slots = anyio.Semaphore(1)
    with anyio.fail_after(5):
        async with Slot(slots) as mine:
            with anyio.CancelScope() as scope:
                async with mine.left():
                    await slots.acquire()
                    scope.cancel()
            assert scope.cancelled_caught
        assert slots.value == 0
        slots.release()
        assert slots.value == 1


async def test_a_failure_meanwhile_is_not_swallowed() -> None:
    slots = anyio.Semaphore(1)
    with anyio.fail_after(5):
        with pytest.raises(ValueError, match="x"):
            async with Slot(slots) as mine, mine.left():
                raise ValueError("x")
        assert slots.value == 1


async def test_a_place_is_not_taken_again_for_a_request_that_is_over() -> None:
    slots = anyio.Semaphore(1)
    with anyio.fail_after(5):
        async with Slot(slots) as mine:
            left = mine.left()
            await left.__aenter__()
        await left.__aexit__(None, None, None)
        assert slots.value == 1
