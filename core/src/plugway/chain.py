"""The chain: one hook's plugins, compiled once, called in order for every operation.

pluggy keeps the registry; the chain keeps the call. A chain is a tuple of steps, frozen when it is
compiled and replaced as a whole when plugins change.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import anyio

from plugway.foreign import describe, is_failure, stack
from plugway.record import SKIPPED, Turn
from plugway.steps import Row, Step
from plugway_hookspecs import Context, Deny, Mode, Operation, Outcome, Payload, PluginError, Respond

P = TypeVar("P", bound=Payload)
Offer = Callable[[Step, Payload, Operation], None]

PLUGIN_ERROR = "plugin_error"
"""The code of the deny that a failing plugin becomes."""

log = logging.getLogger(__name__)


class Chain(Generic[P]):
    """One hook's steps. Await it with a payload; it returns what the plugins made of it."""

    __slots__ = ("_rows", "background", "hook", "offer", "payload_type", "result_type", "steps")

    def __init__(
        self,
        hook: str,
        steps: Sequence[Step],
        payload_type: type[P],
        result_type: type[Payload] | None = None,
        offer: Offer | None = None,
    ) -> None:
        """Freeze a chain of compiled steps.

        `result_type` is what a `Respond` may carry; None for post hooks, which can't answer.
        `offer` takes the background steps' work; without it they are not called.
        """
        self.hook = hook
        self.payload_type = payload_type
        self.result_type = result_type
        self.offer = offer
        self.steps = _group_validators([s for s in steps if s.policy.mode is not Mode.BACKGROUND])
        self._rows = tuple(step.row for step in self.steps)
        self.background = tuple(s for s in steps if s.policy.mode is Mode.BACKGROUND)

    def __bool__(self) -> bool:
        return bool(self.steps or self.background)

    def guards(self, operation: Operation | None) -> bool:
        """Whether a plugin that may deny or modify is asked about an operation; None for any."""
        steps = (each for step in self.steps for each in (step.members or (step,)))
        return any(
            (step.may_deny or step.may_modify)
            and (step.when is None or operation is None or step.when(operation))
            for step in steps
        )

    async def __call__(self, payload: P, operation: Operation) -> Outcome[P]:
        """Run the chain. Never raises for what a plugin does; cancellation passes through."""
        if not self.background:
            if not self._rows:
                return Outcome(payload)
            return await self._run(self._rows, payload, operation, operation.record)
        outcome = await self._run(self._rows, payload, operation, operation.record)
        self._offer(outcome.payload, operation)
        return outcome

    async def _run(  # noqa: C901, PLR0912 - one loop without a call per step: the hot path
        self,
        rows: tuple[Row, ...],
        payload: P,
        operation: Operation,
        record: list[Turn] | None,
    ) -> Outcome[P]:
        payload_type = self.payload_type
        started = found = 0
        answer: Any
        for special, call, awaits, scope, step in rows:
            if special:
                if step.members:
                    outcome = await self._run_group(step.members, payload, operation, record)
                    if outcome is not None:
                        return outcome
                    continue
                if step.when is not None and not step.when(operation):
                    if record is not None:
                        record.append((step, 0, 0, payload, SKIPPED, 0, 0))
                    continue
            if record is not None:
                started, found = _clock(), len(operation.findings)
            try:
                if special and step.policy.health.sits_out:
                    self._refuse(step, "is disabled after an error")
                answer = call(payload, Context(operation, scope))
                if awaits:
                    answer = await answer
                if answer is None:
                    if record is not None:
                        found_now = len(operation.findings)
                        record.append((step, started, _clock(), payload, None, found, found_now))
                    continue
                if answer.__class__ is not payload_type:
                    self._check(answer, step)
            except BaseException as error:  # foreign code
                if not is_failure(error):
                    raise
                answer = self._failed(step, error)
                if record is not None:
                    found_now = len(operation.findings)
                    record.append((step, started, _clock(), payload, error, found, found_now))
                if answer is not None:
                    return Outcome(payload, answer, scope.plugin)
                continue
            if record is not None:
                found_now = len(operation.findings)
                record.append((step, started, _clock(), payload, answer, found, found_now))
            if answer.__class__ is payload_type:
                if step.may_modify:
                    payload = answer
            elif step.may_deny if answer.__class__ is Deny else step.may_modify:
                return Outcome(payload, answer, scope.plugin)
        return Outcome(payload)

    async def _run_group(
        self,
        members: tuple[Step, ...],
        payload: P,
        operation: Operation,
        record: list[Turn] | None,
    ) -> Outcome[P] | None:
        """Ask neighbouring validators at once; the first deny in priority order wins."""
        outcomes: list[Outcome[P] | None] = [None] * len(members)
        turns: list[list[Turn]] = [[] for _ in members]
        scopes = [anyio.CancelScope() for _ in members]

        async def ask(index: int) -> None:
            own = None if record is None else turns[index]
            if scopes[index].cancel_called:
                return
            with scopes[index]:
                outcome = await self._run((members[index].row,), payload, operation, own)
                outcomes[index] = outcome
                if outcome.verdict is not None:
                    for later in scopes[index + 1 :]:
                        later.cancel()

        async with anyio.create_task_group() as tasks:
            for index in range(len(members)):
                tasks.start_soon(ask, index)
        denied: Outcome[P] | None = None
        for step, outcome, own in zip(members, outcomes, turns, strict=True):
            asked = self._lost(step, payload, own) if outcome is None and not denied else outcome
            if asked is not None and asked.verdict is not None:
                denied = denied or asked
            if record is not None:
                record.extend(own)
        return denied

    def _lost(self, step: Step, payload: P, turns: list[Turn]) -> Outcome[P]:
        """Judge a validator that was cancelled, though none before it denied."""
        error = PluginError("was cancelled", plugin=step.scope.plugin, hook=self.hook)
        turns.append((step, 0, 0, payload, error, 0, 0))
        return Outcome(payload, self._failed(step, error), step.scope.plugin)

    def _check(self, answer: Any, step: Step) -> None:
        """Refuse what the hook does not allow; runs only for what is no payload."""
        if answer.__class__ is Deny:
            return
        what = type(answer).__name__
        if answer.__class__ is Respond:
            if self.result_type is not None and answer.result.__class__ is self.result_type:
                return
            wanted = self.result_type.__name__ if self.result_type else "nothing in a post hook"
            what = f"Respond({type(answer.result).__name__}); Respond takes {wanted}"
        elif hasattr(answer, "send") and hasattr(answer, "close"):
            answer.close()
            what = "a coroutine from a plain def; declare it async def"
        self._refuse(step, f"returned {what}")

    def _refuse(self, step: Step, message: str) -> None:
        raise PluginError(message, plugin=step.scope.plugin, hook=self.hook)

    def _failed(self, step: Step, error: BaseException) -> Deny | None:
        """Decide what a failure means; returns the deny that it becomes, if it does."""
        name = step.scope.plugin
        health = step.policy.health
        if not health.sits_out:
            log.error("plugin %r failed in %s: %s", name, self.hook, describe(error))
            if log.isEnabledFor(logging.DEBUG):
                log.debug("plugin %r failed in %s\n%s", name, self.hook, stack(error))
            if step.disables:
                health.until = time.monotonic() + step.policy.retry_after
        if step.fails_closed:
            return Deny(f"plugin {name!r} failed, and it guards this", code=PLUGIN_ERROR)
        return None

    def _offer(self, payload: P, operation: Operation) -> None:
        if self.offer is not None:
            for step in self.background:
                if step.when is None or step.when(operation):
                    self.offer(step, payload, operation)


_clock = time.perf_counter_ns


def _group_validators(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Join neighbouring `validate` steps into groups that run concurrently."""
    grouped: list[Step] = []
    run: list[Step] = []
    for step in steps:
        if step.policy.mode is Mode.VALIDATE:
            run.append(step)
        else:
            grouped += [*_group(run), step]
            run = []
    return (*grouped, *_group(run))


def _group(members: list[Step]) -> list[Step]:
    if len(members) < 2:
        return members
    first = members[0]
    return [Step(first.call, first.scope, first.policy, awaits=True, members=tuple(members))]
