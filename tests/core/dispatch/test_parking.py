from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked as settled

from plugway.dispatch import parking
from plugway.dispatch.exchange import Request
from plugway.dispatch.parking import Park, Parks, open_parks
from plugway.generation import Generation
from plugway.jsonrpc import INVALID_PARAMS, TOO_MANY, RpcError
from plugway_hookspecs import Client, Principal, ServerUnavailableError

Json = dict[str, Any]
NOTHING: Json = {}
Work = Callable[[Park], Awaitable[Json]]


def request(**options: Any) -> Request:
    return Request("tools/call", {"name": "t"}, Client(), modern=True, **options)


def started(parks: Parks, work: Work, **options: Any) -> Park:
    return parks.start(request(**options), work, nullcontext(None))


async def asks_once(park: Park) -> Json:
    return {"answer": await park.ask("roots/list", {})}


def replayed(parks: Parks, park: Park, turn: int) -> bool:
    with pytest.raises(RpcError) as caught:
        parks.resume(park.id, turn, request(), {})
    data: Any = caught.value.data
    return caught.value.code == INVALID_PARAMS and data["reason"] == "replayed"


async def test_a_question_is_the_result_and_the_answer_comes_with_the_next_request() -> None:
    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks_once)
            result = await parks.wait(park)
            ((key, question),) = result["inputRequests"].items()
            assert result["resultType"] == "input_required"
            assert question == {"method": "roots/list"}
            assert (len(parks), park.turn, park.left) == (1, 1, True)
            assert parks.resume(park.id, 1, request(), {key: {"roots": []}}) is park
            assert await parks.wait(park) == {"answer": {"roots": []}}
            assert len(parks) == 0


async def test_each_turn_is_taken_once() -> None:
    async def asks_twice(park: Park) -> Json:
        await park.ask("roots/list", {})
        return await asks_once(park)

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks_twice)
            assert replayed(parks, park, 0)  # nobody has left it
            (key,) = (await parks.wait(park))["inputRequests"]
            assert replayed(parks, park, 0)
            assert replayed(parks, park, 2)
            parks.resume(park.id, 1, request(), {key: {}})
            assert replayed(parks, park, 1)  # while the first is still under way
            (other,) = (await parks.wait(park))["inputRequests"]
            assert other != key
            assert replayed(parks, park, 1)
            parks.resume(park.id, 2, request(), {other: {"n": 2}})
            assert await parks.wait(park) == {"answer": {"n": 2}}
            assert replayed(parks, park, 2)
        assert replayed(Parks(), park, 2)


async def test_questions_at_the_same_time_are_answered_in_any_order_and_by_parts() -> None:
    async def asks_three(park: Park) -> Json:
        answers: Json = {}

        async def one(name: str) -> None:
            answers[name] = await park.ask("elicitation/create", {"message": name})

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(one, name)
        return answers

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks_three)
            await settled()
            asked = (await parks.wait(park))["inputRequests"]
            keys = {question["params"]["message"]: key for key, question in asked.items()}
            parks.resume(park.id, 1, request(), {keys["b"]: {"n": 2}, "nonesuch": {"n": 9}})
            left = (await parks.wait(park))["inputRequests"]
            assert set(left) == {keys["a"], keys["c"]}
            parks.resume(park.id, 2, request(), {keys["c"]: {"n": 3}, keys["b"]: {"n": 9}})
            assert set((await parks.wait(park))["inputRequests"]) == {keys["a"]}
            parks.resume(park.id, 3, request(), {keys["a"]: {"n": 1}})
            assert await parks.wait(park) == {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}


async def test_an_error_can_stand_for_an_answer() -> None:
    async def asks(park: Park) -> Json:
        with pytest.raises(RpcError, match=r"^not allowed$"):
            await park.ask("roots/list", {})
        return {"went": "on"}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks)
            (key,) = (await parks.wait(park))["inputRequests"]
            parks.resume(park.id, 1, request(), {key: RpcError(403, "not allowed")})
            assert await parks.wait(park) == {"went": "on"}


async def test_what_a_push_has_besides_the_question_stays_behind() -> None:
    pushed = {"message": "m", "_meta": {"x": 1}, "elicitationId": "e", "task": {}, "new": None}

    async def asks(park: Park) -> Json:
        return await park.ask("elicitation/create", pushed)

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            (question,) = (await parks.wait(started(parks, asks)))["inputRequests"].values()
            assert question["params"] == {"message": "m", "new": None}


async def test_a_client_that_does_not_come_back_in_time_ends_the_request() -> None:
    ended: list[str] = []

    async def asks(park: Park) -> Json:
        try:
            return await asks_once(park)
        finally:
            ended.append(park.id)

    with anyio.fail_after(5):
        async with open_parks(0.01) as parks:
            park = started(parks, asks)
            await parks.wait(park)
            while len(parks):
                await anyio.lowlevel.checkpoint()
            assert ended == [park.id]
            assert replayed(parks, park, 1)


async def test_a_client_that_goes_while_it_waits_ends_the_request() -> None:
    ended = anyio.Event()

    async def hangs(_: Park) -> Json:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return {}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            with anyio.CancelScope() as client:
                park = started(parks, hangs)
                client.cancel()
                await parks.wait(park)
            assert len(parks) == 0
            await ended.wait()


async def test_a_request_that_is_given_up_before_it_began_sends_nothing() -> None:
    sent: list[Park] = []

    async def never(park: Park) -> Json:
        await anyio.lowlevel.checkpoint()
        sent.append(park)
        return {}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            parks.give_up(started(parks, never))
            await settled()
            assert (len(parks), sent) == (0, [])


async def test_a_server_that_fails_while_the_client_answers_is_reported_to_it() -> None:
    dies = anyio.Event()

    async def asks(park: Park) -> Json:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(park.ask, "roots/list", NOTHING)
            await dies.wait()
            tasks.cancel_scope.cancel()
        raise ServerUnavailableError("server 'up' is gone", server="up")

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks)
            (key,) = (await parks.wait(park))["inputRequests"]
            dies.set()
            await settled()
            assert len(parks) == 1  # the client may still come for it
            parks.resume(park.id, 1, request(), {key: {}})
            with pytest.raises(ServerUnavailableError, match="gone"):
                await parks.wait(park)
            assert len(parks) == 0


async def test_a_result_waits_for_a_client_that_is_away_but_not_for_ever() -> None:
    goes_on = anyio.Event()

    async def asks(park: Park) -> Json:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(park.ask, "roots/list", NOTHING)
            await goes_on.wait()
            tasks.cancel_scope.cancel()
        return {"done": True}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            for returns in (True, False):
                goes_on = anyio.Event()
                park = started(parks, asks)
                await parks.wait(park)
                goes_on.set()
                await settled()
                if returns:
                    parks.resume(park.id, 1, request(), {})
                    assert await parks.wait(park) == {"done": True}
                else:
                    park.scope.deadline = anyio.current_time()
                    await settled()
                    assert replayed(parks, park, 1)
                assert len(parks) == 0


async def test_a_generation_is_held_only_until_the_server_answers() -> None:
    held: list[bool] = []

    @contextmanager
    def hold() -> Generator[None]:
        held.append(True)
        yield
        held.append(False)

    async def asks(park: Park) -> Json:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(park.ask, "roots/list", NOTHING)
            await goes_on.wait()
            tasks.cancel_scope.cancel()
        return {"done": True}

    goes_on = anyio.Event()
    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = parks.start(request(), asks, hold())
            await parks.wait(park)
            assert held == [True]
            goes_on.set()
            await settled()
            assert (held, park.left) == ([True, False], True)
            parks.resume(park.id, 1, request(), {})
            assert await parks.wait(park) == {"done": True}


async def test_only_so_many_requests_are_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "MAX_PARKED", 2)
    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            parked = [started(parks, asks_once) for _ in range(2)]
            with pytest.raises(RpcError, match="try again later") as caught:
                started(parks, asks_once)
            assert caught.value.code == TOO_MANY
            parks.give_up(parked[0])
            started(parks, asks_once)
    with pytest.raises(RpcError, match="try again later"):
        started(Parks(), asks_once)  # where nothing can be parked


async def test_no_user_parks_as_many_requests_as_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parking, "MAX_PARKED_BY_ONE", 2)
    ann, bob = (Principal(name) for name in ("ann", "bob"))
    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            parked = [started(parks, asks_once, principal=ann) for _ in range(2)]
            with pytest.raises(RpcError, match="Too many of your requests") as caught:
                started(parks, asks_once, principal=ann)
            assert caught.value.code == TOO_MANY
            started(parks, asks_once, principal=bob)
            for _ in range(3):  # who is not known may be many
                started(parks, asks_once)
            parks.give_up(parked[0])
            (key,) = (await parks.wait(parked[1]))["inputRequests"]
            started(parks, asks_once, principal=ann)
            parks.resume(parked[1].id, 1, request(principal=ann), {key: {}})
            await parks.wait(parked[1])
            started(parks, asks_once, principal=ann)
            await settled()
            with pytest.raises(RpcError, match="Too many of your requests"):
                started(parks, asks_once, principal=ann)


async def test_a_server_can_ask_only_so_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "MAX_PENDING", 2)

    async def asks(park: Park) -> Json:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(park.ask, "roots/list", NOTHING)
            await settled()
            with pytest.raises(RpcError, match="ask later"):
                await park.ask("roots/list", {})
        return {}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks)
            await settled()
            asked = (await parks.wait(park))["inputRequests"]
            assert len(asked) == 2
            parks.resume(park.id, 1, request(), {key: {} for key in asked})
            assert await parks.wait(park) == {}


async def test_progress_and_logs_go_to_the_round_that_waits() -> None:
    heard: list[Any] = []
    left = anyio.Event()

    def hearing(name: str) -> Json:
        async def progress(params: Json) -> None:
            heard.append((name, params))

        async def log(params: Json) -> None:
            heard.append((name, params))

        return {"on_progress": progress, "on_log": log}

    async def asks(park: Park) -> Json:
        await park.progress({"progress": 1})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(park.ask, "roots/list", NOTHING)
            await left.wait()
            for number in (2, 3):
                await park.progress({"progress": number})
            await park.log({"data": "lost"})
        await park.log({"data": "second"})
        await park.progress({"progress": 4})
        return {}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks, **hearing("one"))
            (key,) = (await parks.wait(park))["inputRequests"]
            left.set()
            await settled()
            parks.resume(park.id, 1, request(**hearing("two")), {key: {}})
            await parks.wait(park)
    assert heard == [
        ("one", {"progress": 1}),
        ("two", {"progress": 3}),
        ("two", {"data": "second"}),
        ("two", {"progress": 4}),
    ]


@pytest.mark.parametrize("later", [True, False])
async def test_progress_that_a_client_has_missed_is_told_once_and_only_if_it_is_the_latest(
    later: bool,
) -> None:
    heard: list[Any] = []
    left, reported = anyio.Event(), anyio.Event()

    async def progress(params: Json) -> None:
        heard.append(params["progress"])

    async def asks(park: Park) -> Json:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(park.ask, "roots/list", NOTHING)
            await left.wait()
            await park.progress({"progress": 1})
        if later:
            await park.progress({"progress": 2})
            reported.set()
        await park.ask("roots/list", NOTHING)
        return {}

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = started(parks, asks)
            (key,) = (await parks.wait(park))["inputRequests"]
            left.set()
            await settled()
            parks.resume(park.id, 1, request(on_progress=progress), {key: {}})
            if later:
                await reported.wait()
            (key,) = (await parks.wait(park))["inputRequests"]
            parks.resume(park.id, 2, request(on_progress=progress), {key: {}})
            assert await parks.wait(park) == {}
            parks.give_up(park)
    assert heard == ([2] if later else [1])


async def test_what_a_request_is_answered_from_is_held_until_it_is_over() -> None:
    class Holding:
        def __init__(self) -> None:
            self.requests = 0

        __enter__ = Generation.__enter__
        __exit__ = Generation.__exit__
        retired = False

    holding: Any = Holding()
    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            park = parks.start(request(), asks_once, holding)
            (key,) = (await parks.wait(park))["inputRequests"]
            assert holding.requests == 1
            parks.resume(park.id, 1, request(), {key: {}})
            await parks.wait(park)
            await settled()
            assert holding.requests == 0


async def test_nothing_is_parked_any_longer_when_the_gateway_stops() -> None:
    ended = anyio.Event()

    async def asks(park: Park) -> Json:
        try:
            return await asks_once(park)
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with open_parks(60) as parks:
            await parks.wait(started(parks, asks))
        assert ended.is_set()
        assert len(parks) == 0
