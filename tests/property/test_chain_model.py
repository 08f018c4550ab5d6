"""The chain against a plain, slow model of what the design says a chain does."""

from dataclasses import replace
from typing import Any

from chain_model import FAILURES, PAYLOADS, POST, PRE, Model, Plugin, Told, UndecidedError
from chain_stage import Stage
from chain_strategies import AWAITS, PLACES, SERVERS, chains, plugins, wrappers
from hypothesis import assume, given
from hypothesis import strategies as st

from plugway.executor.threads import Threads
from plugway_hookspecs import Deny, Mode, Operation, Outcome, ServerUnavailableError

HOOKS = st.sampled_from([PRE, POST])
SHARED: Any = st.sampled_from([{}, {"a": "client"}])


def told_by(model: Model, payload: Any, shared: dict[str, Any] | None = None) -> Told:
    try:
        return model.run(payload, shared)
    except UndecidedError:
        assume(False)
        raise


@given(chains(), HOOKS, SERVERS, SHARED)
async def test_the_chain_does_what_the_model_says(
    chain: list[Plugin], hook: str, server: list[str], shared: dict[str, str]
) -> None:
    stage, model = Stage(chain, hook, server), Model(chain, hook, server)
    for _ in range(2):  # the second time, failed plugins with `on_error: disable` rest
        told = told_by(model, PAYLOADS[hook], shared)
        observed = await stage.run(PAYLOADS[hook], shared=shared)
        observed.check(told)


VALIDATORS = chains(plugins(modes=st.just(Mode.VALIDATE)), max_size=5)


@given(VALIDATORS, st.none() | wrappers(), st.data())
async def test_neither_who_wins_nor_what_is_shared_depends_on_timing(
    validators: list[Plugin], wrapper: Plugin | None, data: st.DataObject
) -> None:
    around = [replace(wrapper, name="w")] if wrapper else []
    told = told_by(Model([*around, *validators]), PAYLOADS[PRE])
    for _ in range(2):
        timed = [
            p if p.awaits is None or "time out" in p.does else replace(p, awaits=data.draw(AWAITS))
            for p in validators
        ]
        observed = await Stage([*around, *timed], PRE).run(PAYLOADS[PRE])
        observed.check(told)


@given(chains(), HOOKS, SERVERS)
async def test_who_listens_changes_nothing(
    chain: list[Plugin], hook: str, server: list[str]
) -> None:
    told = told_by(Model(chain, hook, server), PAYLOADS[hook])
    for recorded in (True, False):
        observed = await Stage(chain, hook, server).run(PAYLOADS[hook], recorded=recorded)
        observed.check(told)


ANSWERS_OF_ALL_KINDS = ["nothing", "change", "deny", "respond", *FAILURES[:-1]]


@given(chains(plugins(ANSWERS_OF_ALL_KINDS), wrappers(), max_size=4), HOOKS)
async def test_it_is_all_the_same_whether_plugins_are_async_plain_or_in_a_thread(
    chain: list[Plugin], hook: str
) -> None:
    told = told_by(Model(chain, hook), PAYLOADS[hook])
    with Threads(2) as pool:  # one for each example: each has an event loop of its own
        for how in ({"awaits": 0}, {"awaits": None}, {"awaits": None, "threaded": True}):
            alike = [p if p.sends is not None else replace(p, **how) for p in chain]
            observed = await Stage(alike, hook, pool=pool).run(PAYLOADS[hook])
            observed.check(told)


# laws that need no model


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), max_size=8))
async def test_order_is_a_stable_sort_in_which_wrappers_come_first(
    places: list[tuple[int, bool]],
) -> None:
    chain = [
        Plugin(
            f"p{n}",
            ("what came",) if wraps else ("nothing",),
            priority=priority,
            sends=("same",) if wraps else None,
        )
        for n, (priority, wraps) in enumerate(places)
    ]
    observed = await Stage(chain, PRE).run(PAYLOADS[PRE])
    order = sorted(range(len(places)), key=lambda n: (places[n][0], not places[n][1], n))
    assert [s.plugin for s in observed.seen if s.payload != "after"] == [f"p{n}" for n in order]
    after = [s.plugin for s in observed.seen if s.payload == "after"]
    assert after == [f"p{n}" for n in reversed(order) if places[n][1]]


@given(st.lists(PLACES, max_size=6), st.booleans())
async def test_tryfirst_comes_first_and_trylast_last_among_equals(
    places: list[str], wraps: bool
) -> None:
    sends = ("same",) if wraps else None
    chain = [Plugin(f"p{n}", place=place, sends=sends) for n, place in enumerate(places)]
    observed = await Stage(chain, PRE).run(PAYLOADS[PRE])
    called = [places[int(s.plugin[1:])] for s in observed.seen if s.payload != "after"]
    assert called == sorted(called, key=["tryfirst", "", "trylast"].index)


SAYS_NOTHING = chains(plugins(["nothing", "same"]), wrappers(["nothing", "what came"], ["same"]))


@given(SAYS_NOTHING, HOOKS)
async def test_a_chain_that_has_nothing_to_say_gives_back_the_very_payload_and_result(
    chain: list[Plugin], hook: str
) -> None:
    observed = await Stage(chain, hook).run(PAYLOADS[hook])
    bare = await Stage([], hook).run(PAYLOADS[hook])
    assert observed.outcome is not None
    assert bare.outcome is not None
    assert observed.outcome.payload is PAYLOADS[hook]
    assert observed.outcome.verdict == bare.outcome.verdict
    assert observed.outcome.plugin == ""
    assert bool(observed.asked) == bool(bare.asked)
    assert all(sent is PAYLOADS[PRE] for sent in observed.asked)


@given(chains(), st.integers(0, 6), st.sampled_from(["result", "gone", "denied elsewhere"]))
async def test_splitting_a_chain_composes(chain: list[Plugin], at: int, server: str) -> None:
    chain = [
        # two runs can't be told from one by plugins that count, or that see each other's notes
        replace(p, does=p.does[:1], notes=tuple(n for n in p.notes if n[0] == "+"), priority=n)
        for n, p in enumerate(chain)
        if p.mode is not Mode.BACKGROUND
    ]
    whole = await Stage(chain, PRE, [server]).run(PAYLOADS[PRE])
    outer, inner = Stage(chain[:at], PRE, [server]), Stage(chain[at:], PRE, [server])
    operation = Operation("1", "tools/call", "echo")

    async def rest(payload: Any) -> Outcome[Any]:
        return await inner.go(payload, operation, inner.ask)

    halves: Outcome[Any] | None
    try:
        halves = await outer.go(PAYLOADS[PRE], operation, rest)
    except ServerUnavailableError:
        halves = None
    assert inner.asked == whole.asked
    assert operation.shared == whole.shared
    assert (halves is None) == (whole.outcome is None)
    if halves is not None and whole.outcome is not None:
        assert halves.payload == whole.outcome.payload
        assert halves.verdict == whole.outcome.verdict
        assert halves.plugin == whole.outcome.plugin


AROUND = chains(wrappers(), max_size=4)


@given(AROUND, SERVERS)
async def test_no_wrapper_undoes_a_deny_inside_nor_gets_past_it(
    around: list[Plugin], server: list[str]
) -> None:
    around = [replace(p, does=p.does[:1], priority=1) for p in around]
    guard = Plugin("guard", ("deny",), priority=2)
    observed = await Stage([*around, guard], PRE, server).run(PAYLOADS[PRE])
    assert observed.asked == []
    if any(seen.plugin == "guard" for seen in observed.seen):
        assert observed.outcome is not None
        assert isinstance(observed.outcome.verdict, Deny)


SAID = st.sampled_from(["nothing", "nothing", "deny"])


@given(st.lists(st.tuples(SAID, st.booleans()), max_size=20))
async def test_after_the_deny_of_a_plain_validator_no_plain_one_is_asked(
    said: list[tuple[str, bool]],
) -> None:
    chain = [
        Plugin(
            f"p{n}", ("nothing" if waits else answer,), Mode.VALIDATE, awaits=0 if waits else None
        )
        for n, (answer, waits) in enumerate(said)
    ]
    observed = await Stage(chain, PRE).run(PAYLOADS[PRE])
    plain = [plugin for plugin in chain if plugin.awaits is None]
    first = next((n for n, plugin in enumerate(plain) if plugin.does == ("deny",)), len(plain))
    asked = [seen.plugin for seen in observed.seen if seen.plugin in {p.name for p in plain}]
    assert asked == [plugin.name for plugin in plain[: first + 1]]
