"""Whenever a request ends before its chain has: nothing stays half done, and nobody is on trial."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
from chain_model import PAYLOADS, POST, PRE, Model, Plugin, Told, UndecidedError
from chain_stage import Stage, allowed
from chain_strategies import chains, plugins, wrappers
from hypothesis import assume, given
from hypothesis import strategies as st

from plugway.executor.health import Health
from plugway.executor.record import lines
from plugway_hookspecs import Mode, OnError, Operation, ServerUnavailableError

HOOKS = st.sampled_from([PRE, POST])
SLOW = chains(plugins(["nothing", "change", "deny", "raise", "time out"]), wrappers(), max_size=5)


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def due(clock: Clock) -> Callable[[], Health]:
    """Return what makes plugins that have failed, and whose next call is their trial."""

    def health() -> Health:
        made = Health(clock)
        made.fail(30, trial=False)
        return made

    return health


async def given_up(stage: Stage, operation: Operation, hook: str, at: int, by_task: bool) -> bool:
    """Run the chain for so many turns of the loop, then end the request; say if that was so."""
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await stage.go(PAYLOADS[hook], operation, stage.ask)

    task = asyncio.ensure_future(run())
    for _ in range(at):
        await asyncio.sleep(0)
    early = not task.done()
    if by_task:
        task.cancel()
    else:
        scope.cancel()
    with anyio.fail_after(5):
        await asyncio.wait([task])
    if task.cancelled():
        return early
    error = task.exception()
    assert error is None or isinstance(error, ServerUnavailableError)
    return scope.cancelled_caught


@given(SLOW, HOOKS, st.integers(0, 30), st.booleans())
async def test_a_request_may_end_at_any_moment(
    chain: list[Plugin], hook: str, at: int, by_task: bool
) -> None:
    chain = [replace(p, on_error=OnError.DISABLE) for p in chain]
    clock = Clock()
    stage, operation = Stage(chain, hook, health=due(clock)), Operation("1", "tools/call")
    operation.record = []
    clock.now = 31.0
    try:
        told = Model(chain, hook).run(PAYLOADS[hook])
    except UndecidedError:
        assume(False)
        raise
    early = await given_up(stage, operation, hook, at, by_task)

    record = lines(operation)
    if early:
        observers = {p.name for p in chain if p.mode is Mode.BACKGROUND}
        check_beginning([line for line in record if line.plugin not in observers], told)
    if stage.asked:  # what has reached the server is not forgotten
        assert [name for name, _ in stage.background] == [name for name, _ in told.background]
    ended_well = {line.plugin for line in record if line.requested not in {"cancelled", "error"}}
    assert set(operation.shared.values()) <= ended_well
    clock.now = 1_000.0
    for health in stage.health.values():
        assert health.admit() is not None  # no trial goes on for ever


def check_beginning(record: list[Any], told: Told) -> None:
    """What is on record is what was to come, as far as it came; what was under way is cancelled."""
    assert len(record) <= len(told.record)
    for line, said in zip(record, told.record, strict=False):
        may_be = {(r[1], r[2]) for r in allowed(replace(said, timing=True))}
        assert line.plugin == said.plugin
        assert (line.requested, line.applied) in may_be
