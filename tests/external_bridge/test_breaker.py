from contextlib import ExitStack

import pytest

from plugway_external_bridge.client.breaker import COOL_DOWN, FAILURES, PATIENCE, Breaker
from plugway_hookspecs import ServerError, ServerUnavailableError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def call(breaker: Breaker, error: BaseException | None = None) -> None:
    with breaker.watch():
        if error is not None:
            raise error


def silence() -> ServerUnavailableError:
    return ServerUnavailableError("no answer", server="safety")


def make_silent(breaker: Breaker, times: int = FAILURES) -> None:
    for _ in range(times):
        with pytest.raises(ServerUnavailableError, match=r"^no answer$"):
            call(breaker, silence())


def test_a_server_that_gives_no_answer_is_not_asked_again_until_it_has_cooled_down() -> None:
    clock = Clock()
    breaker = Breaker("safety", clock=clock)
    make_silent(breaker)
    assert breaker.is_open
    with pytest.raises(ServerUnavailableError, match=r"'safety' gave no answer 5 times in a row"):
        call(breaker)
    clock.now += COOL_DOWN
    call(breaker)
    assert not breaker.is_open


def test_one_answer_between_failures_keeps_it_closed() -> None:
    breaker = Breaker("safety", clock=Clock())
    make_silent(breaker, FAILURES - 1)
    call(breaker)
    make_silent(breaker, FAILURES - 1)
    call(breaker)
    assert not breaker.is_open


def test_an_error_is_an_answer() -> None:
    breaker = Breaker("safety", clock=Clock())
    make_silent(breaker, FAILURES - 1)
    for _ in range(FAILURES):
        with pytest.raises(ServerError):
            call(breaker, ServerError("no", server="safety", code=-32603))
    assert not breaker.is_open


def test_only_one_call_finds_out_whether_the_server_is_back() -> None:
    clock = Clock()
    breaker = Breaker("safety", clock=clock)
    make_silent(breaker)
    clock.now += COOL_DOWN
    probe = ExitStack()
    probe.enter_context(breaker.watch())
    assert breaker.is_open
    with pytest.raises(ServerUnavailableError, match="in a row"):
        call(breaker)
    with pytest.raises(ServerUnavailableError, match=r"^no answer$"), probe:
        raise silence()
    assert breaker.is_open
    clock.now += COOL_DOWN
    assert not breaker.is_open


def test_a_late_failure_of_an_old_call_does_not_let_a_second_probe_through() -> None:
    clock = Clock()
    breaker = Breaker("safety", clock=clock)
    old = ExitStack()
    old.enter_context(breaker.watch())
    make_silent(breaker)
    clock.now += COOL_DOWN
    with breaker.watch():
        with pytest.raises(ServerUnavailableError, match=r"^no answer$"), old:
            raise silence()
        clock.now += COOL_DOWN
        assert breaker.is_open


@pytest.mark.parametrize(("seconds", "counts"), [(PATIENCE, True), (PATIENCE / 2, False)])
def test_a_call_that_was_given_up_counts_if_it_had_been_waited_for(
    seconds: float, counts: bool
) -> None:
    clock = Clock()
    breaker = Breaker("safety", clock=clock)

    class GivenUpError(BaseException):
        pass

    for _ in range(FAILURES):
        waiting = ExitStack()
        waiting.enter_context(breaker.watch())
        clock.now += seconds
        with pytest.raises(GivenUpError), waiting:
            raise GivenUpError
    assert breaker.is_open is counts


def test_a_probe_that_was_given_up_at_once_leaves_room_for_the_next() -> None:
    clock = Clock()
    breaker = Breaker("safety", clock=clock)
    make_silent(breaker)
    clock.now += COOL_DOWN
    with pytest.raises(KeyboardInterrupt):
        call(breaker, KeyboardInterrupt())
    call(breaker)
    assert not breaker.is_open
