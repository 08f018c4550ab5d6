"""The chain: one hook's plugins, compiled once, called in order for every operation.

pluggy keeps the registry; the chain keeps the call. A chain is a tuple of steps, frozen when it is
compiled and replaced as a whole when plugins change.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from plugway.executor.failing import Failures, recover
from plugway.executor.record import CANCELLED, DROPPED, QUEUED, SKIPPED, Turn
from plugway.executor.steps import Row, Step, opened
from plugway.foreign import alone, is_failure
from plugway_hookspecs import Context, Deny, Mode, Operation, Outcome, Payload

P = TypeVar("P", bound=Payload)
Offer = Callable[[Step, Payload, Operation], bool]
"""Takes a call for the background, and says whether there was room for it."""
Inner = Callable[[Any], Awaitable[Outcome[Any]]]
"""What a pre chain stands before: takes the final payload, comes to a result or a deny."""


class Chain(Generic[P]):
    """One hook's steps. Await it with a payload; it returns what the plugins made of it."""

    __slots__ = (
        "_rows",
        "background",
        "failures",
        "hook",
        "offer",
        "payload_type",
        "result_type",
        "steps",
    )

    wraps = False
    """Whether a plugin wraps the rest of the chain: see `plugway.executor.wrapping`."""

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
        self.background = tuple(s for s in steps if s.policy.mode is Mode.BACKGROUND)
        self._rows = tuple(step.row for step in self.steps)
        self.failures = Failures(hook, payload_type, result_type)

    def __bool__(self) -> bool:
        return bool(self.steps or self.background)

    def without_wrappers(self) -> "Chain[P]":
        """Return the chain as it is where there is no call to wrap."""
        return self

    def guards(self, operation: Operation | None) -> bool:
        """Whether a plugin that may deny or modify is asked about an operation; None for any."""
        return any(
            (step.may_deny or step.may_modify)
            and (step.when is None or operation is None or step.when(operation))
            for step in opened(self.steps)
        )

    def guardians(self, operation: Operation | None) -> set[str]:
        """Return the names of those plugins; `guards` tells faster whether there are any."""
        return {
            step.scope.plugin
            for step in opened(self.steps)
            if (step.may_deny or step.may_modify)
            and (step.when is None or operation is None or step.when(operation))
        }

    # no `async def`, which would be one more coroutine for each call
    def __call__(
        self,
        payload: P,
        operation: Operation,
        inner: Inner | None = None,  # noqa: ARG002 - for chains that wrap
    ) -> Coroutine[Any, Any, Outcome[P]]:
        """Run the chain. Never raises for what a plugin does; cancellation passes through."""
        if self.background:
            return self._run_and_offer(payload, operation)
        return self._run(self._rows, payload, operation, operation.record)

    async def _run_and_offer(self, payload: P, operation: Operation) -> Outcome[P]:
        outcome = await self._run(self._rows, payload, operation, operation.record)
        self._offer(outcome.payload, operation)
        return outcome

    async def _run(  # noqa: C901, PLR0912, PLR0915 - one loop, no call per step: the hot path
        self,
        rows: tuple[Row, ...],
        payload: P,
        operation: Operation,
        record: list[Turn] | None,
        ended_well: list[Context] | None = None,
    ) -> Outcome[P]:
        """Call the steps one after the other; contexts go to `ended_well` instead of settling."""
        payload_type = self.payload_type
        now = 0 if record is None else _clock()
        trial: bool | None = False
        context: Context | None = None
        answer: Any
        for when, special, call, awaits, view, step in rows:
            if when is not None and not when(operation):
                if record is not None:
                    record.append((step, now, now, payload, SKIPPED, None))
                continue
            if special:
                if step.members:
                    outcome = await self._run_group(step.members, payload, operation, record)
                    if outcome is not None:
                        return outcome
                    now = 0 if record is None else _clock()
                    continue
                trial = step.policy.health.admit()
            try:
                if special and trial is None:
                    context = None  # the one before had it
                    self.failures.refuse_resting(step)
                if view is None:
                    context = None
                    answer = call(payload)
                else:
                    context = _View()
                    context._operation = operation  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
                    context._scope = view  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
                    answer = call(payload, context)
                if awaits:
                    answer = await answer
                if answer is not None and answer.__class__ is not payload_type:
                    answer = self.failures.check(answer, step)
            except BaseException as error:  # noqa: BLE001 - foreign code
                failed = is_failure(error)
                if record is not None:
                    began, now = now, _clock()
                    answer = error if failed else CANCELLED
                    record.append((step, began, now, payload, answer, context))
                if not failed:
                    if special and trial:
                        step.policy.health.end_trial(recovered=False)
                    raise alone(error) from None
                answer = self.failures.judge(
                    step, error, operation, trial=special and trial is True
                )
                if answer is not None:
                    return Failed(payload, answer, step.scope.plugin)
                continue
            if special and trial:
                recover(step)
            if operation.staged and context is not None:
                context.settle() if ended_well is None else ended_well.append(context)
            if record is not None:
                began, now = now, _clock()
                # a context that is kept costs more than the turn: most have nothing in them
                kept = context if operation.findings else None
                record.append((step, began, now, payload, answer, kept))
            if answer is None:
                continue
            if answer.__class__ is payload_type:
                if step.may_modify:
                    payload = answer
            elif step.may_deny if answer.__class__ is Deny else step.may_modify:
                return Outcome(payload, answer, step.scope.plugin)
        passed: _Passed[P] = _Passed()
        passed.payload = payload
        return passed

    async def _run_group(
        self,
        members: tuple[Step, ...],
        payload: P,
        operation: Operation,
        record: list[Turn] | None,
    ) -> Outcome[P] | None:
        """Ask neighbouring validators at once; the first deny in priority order wins."""
        matching = [step for step in members if step.when is None or step.when(operation)]
        if len(matching) < 2:  # tasks and scopes would cost more than the call
            return await self._run_alone(matching, members, payload, operation, record)
        asked = [_Asked(step, record) for step in matching]
        try:
            await self._ask_all(asked, payload, operation)
        except BaseException as error:  # noqa: BLE001 - raised again, without its groups
            if record is not None:
                told = {own.step: own.turns or () for own in asked}
                record += _in_order(members, told, payload)
            raise alone(error) from None
        outcome = self._conclude(asked, payload, operation)
        if record is not None:
            told = {s.step: s.turns or [(s.step, 0, 0, payload, CANCELLED, None)] for s in asked}
            record += _in_order(members, told, payload)
        return outcome

    async def _ask_all(self, asked: "Sequence[_Asked]", payload: P, operation: Operation) -> None:
        """Ask validators at once; one that denies ends the turns of those after it."""

        async def ask(index: int) -> None:
            own = asked[index]
            with own.scope:
                if own.scope.cancel_called:
                    return
                own.outcome = await self._run(
                    (own.step.row,), payload, operation, own.turns, own.contexts
                )
                if own.outcome.verdict is not None:
                    for later in asked[index + 1 :]:
                        later.scope.cancel()

        waiting = [index for index, own in enumerate(asked) if own.step.awaits]
        for index in [index for index, own in enumerate(asked) if not own.step.awaits]:
            await ask(index)  # a plain def has nothing to wait for
        if len(waiting) == 1:
            await ask(waiting[0])
        elif waiting:
            async with anyio.create_task_group() as tasks:
                for index in waiting:
                    tasks.start_soon(ask, index)

    async def _run_alone(
        self,
        matching: Sequence[Step],
        members: tuple[Step, ...],
        payload: P,
        operation: Operation,
        record: list[Turn] | None,
    ) -> Outcome[P] | None:
        """Ask the one of some validators whose conditions match, if there is one."""
        turns: list[Turn] | None = None if record is None else []
        try:
            rows = tuple(step.row for step in matching)
            outcome = await self._run(rows, payload, operation, turns)
        finally:
            if record is not None and turns is not None:
                record += _in_order(members, dict.fromkeys(matching, turns), payload)
        return None if outcome.verdict is None else outcome

    def _conclude(
        self, asked: "Sequence[_Asked]", payload: P, operation: Operation
    ) -> Outcome[P] | None:
        """Take what the members said in the order of their priority, whoever was first."""
        denied: Outcome[P] | None = None
        for own in asked:
            if own.outcome is None and denied is None:
                own.outcome = self._lost(own, payload, operation)
            if denied is None:
                for context in own.contexts:
                    context.settle()
                if own.outcome is not None and own.outcome.verdict is not None:
                    denied = own.outcome
        return denied

    def _lost(self, own: "_Asked", payload: P, operation: Operation) -> Outcome[P]:
        """Judge a validator that was cancelled, though none before it denied."""
        step = own.step
        error = self.failures.lost(step)
        if own.turns is not None:
            own.turns[:] = [(step, 0, 0, payload, error, None)]
        answer = self.failures.judge(step, error, operation, trial=False)
        return Failed(payload, answer, step.scope.plugin)

    def _offer(self, payload: P, operation: Operation) -> None:
        if self.offer is None:
            return
        for step in self.background:
            asked = step.when is None or step.when(operation)
            queued = asked and self.offer(step, payload, operation)
            if operation.record is not None:
                now = _clock()
                what = QUEUED if queued else DROPPED if asked else SKIPPED
                operation.record.append((step, now, now, payload, what, None))


class _View(Context):
    """A context that is filled in by the loop: a constructor of its own would double its cost."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__


class _Passed(Outcome[P]):
    """The outcome without a verdict, filled in likewise."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__
    verdict = None
    plugin = ""


class EmptyChain(Chain[P]):
    """A chain without steps, in as little time as Python allows: most hooks have none."""

    __slots__ = ()

    async def __call__(
        self,
        payload: P,
        operation: Operation,  # noqa: ARG002 - nobody is asked
        inner: Inner | None = None,  # noqa: ARG002 - nobody wraps it
    ) -> Outcome[P]:
        """Let the payload pass."""
        passed: _Passed[P] = _Passed()
        passed.payload = payload
        return passed


class Failed(Outcome[P]):
    """The outcome of a plugin that failed: its deny, if there is one, is not the plugin's own."""

    __slots__ = ()


class _Asked:
    """One of several validators that are asked at once, and what it said."""

    __slots__ = ("contexts", "outcome", "scope", "step", "turns")

    def __init__(self, step: Step, record: list[Turn] | None) -> None:
        self.step = step
        self.scope = anyio.CancelScope()
        self.outcome: Outcome[Any] | None = None
        self.turns: list[Turn] | None = None if record is None else []
        self.contexts: list[Context] = []


def _in_order(
    members: Sequence[Step], told: Mapping[Step, Sequence[Turn]], payload: Payload
) -> list[Turn]:
    """Return the turns of neighbours in their order, those between them that were skipped too."""
    now = _clock()
    turns: list[Turn] = []
    for step in members:
        turns += told.get(step, ((step, now, now, payload, SKIPPED, None),))
    return turns


_clock = time.perf_counter_ns


def _group_validators(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Join neighbouring `validate` steps into groups that run concurrently."""
    grouped: list[Step] = []
    run: list[Step] = []
    for step in steps:
        if step.policy.mode is Mode.VALIDATE and not step.wraps:
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
