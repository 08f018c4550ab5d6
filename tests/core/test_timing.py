import math

import anyio
import pytest

from plugway.timing import Limit


async def test_a_limit_does_not_run_while_it_is_stopped() -> None:
    with anyio.CancelScope(deadline=anyio.current_time() + 100) as scope:
        limit, before = Limit(scope), scope.deadline
        with limit.stopped():
            assert limit.deadline == math.inf
            await anyio.lowlevel.checkpoint()
        assert before < limit.deadline < before + 50


async def test_stops_at_the_same_time_stop_it_once() -> None:
    limit = Limit(anyio.CancelScope(deadline=anyio.current_time() + 100))
    first, second = limit.stopped(), limit.stopped()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert limit.deadline == math.inf
    second.__exit__(None, None, None)
    assert limit.deadline < anyio.current_time() + 101


async def test_what_is_left_when_it_stops_is_what_is_left_when_it_runs_again() -> None:
    with anyio.move_on_after(-1) as scope:
        limit = Limit(scope)
        with limit.stopped():
            assert limit.deadline == math.inf
        with pytest.raises(anyio.get_cancelled_exc_class()):
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_a_block_that_fails_starts_it_again() -> None:
    limit = Limit(anyio.CancelScope(deadline=anyio.current_time() + 100))
    with pytest.raises(ValueError, match="x"), limit.stopped():
        raise ValueError("x")
    assert limit.deadline < math.inf


async def test_without_an_end_there_is_nothing_to_stop() -> None:
    limit = Limit(anyio.CancelScope())
    with limit.stopped():
        pass
    assert limit.deadline == math.inf
