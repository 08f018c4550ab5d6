"""Chains with wrappers: plugins that run round the rest of the chain, and round the call itself.

A wrapper has its place in the chain like any plugin. What comes after it (the other plugins, and in
a pre chain the call to the server) happens inside its `call_next`, as often as it calls that. So it
can answer without asking the server, ask again, change what goes in or comes out, or take the time.
What others deny inside stays denied.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter_ns
from typing import Any, TypeVar, cast

from plugway.executor.chain import Chain, Inner, Offer
from plugway.executor.failing import recover, refuse_coroutine
from plugway.executor.record import CANCELLED, SKIPPED, Wrapped, same
from plugway.executor.steps import Row, Step, opened
from plugway.foreign import alone, is_failure
from plugway_hookspecs import Context, Deny, Operation, Outcome, Payload, PluginError, Respond

P = TypeVar("P", bound=Payload)
Rest = Callable[[Any], Awaitable[Outcome[Any]]]


class WrappingChain(Chain[P]):
    """A chain in which some steps wrap those after them."""

    __slots__ = ("_segments",)

    wraps = True

    def __init__(
        self,
        hook: str,
        steps: Sequence[Step],
        payload_type: type[P],
        result_type: type[Payload] | None = None,
        offer: Offer | None = None,
    ) -> None:
        """Freeze a chain of compiled steps; arguments as in `Chain`."""
        super().__init__(hook, steps, payload_type, result_type, offer)
        self._segments = _split(self.steps)

    async def __call__(
        self, payload: P, operation: Operation, inner: Inner | None = None
    ) -> Outcome[P]:
        """Run the chain; in a pre chain `inner` is the call itself, and its result comes back.

        Raises what `inner` raises, and nothing else but cancellation.
        """
        if inner is None and self.result_type is not None:
            raise TypeError(f"{self.hook} has wrappers, and nothing was given that they wrap")
        reached: list[P] = []

        async def ask(final: P) -> Outcome[Any]:
            reached[:] = [final]
            assert inner is not None  # noqa: S101 - for the type checker
            return await inner(final)

        try:
            outcome = await self._from(0, payload, operation, inner and ask)
        except BaseException:
            for final in reached:  # background plugins learn of what the server has got
                self._offer(final, operation)
            raise
        self._offer(outcome.payload, operation)
        return outcome

    def without_wrappers(self) -> Chain[P]:
        """Return the chain as it is where there is no call to wrap."""
        plain = [s for s in (*opened(self.steps), *self.background) if not s.wraps]
        return Chain(self.hook, plain, self.payload_type, self.result_type, self.offer)

    async def _from(
        self, index: int, payload: P, operation: Operation, inner: Inner | None
    ) -> Outcome[P]:
        """Run the chain from a segment on: its plain steps, then its wrapper with all the rest."""
        rows, wrapper = self._segments[index]
        outcome = await self._run(rows, payload, operation, operation.record)
        if outcome.verdict is not None:
            return outcome
        if wrapper is None:
            return outcome if inner is None else await inner(outcome.payload)

        async def rest(payload: P) -> Outcome[P]:
            return await self._from(index + 1, payload, operation, inner)

        if wrapper.when is not None and not wrapper.when(operation):
            if operation.record is not None:
                now = perf_counter_ns()
                operation.record.append((wrapper, now, now, outcome.payload, SKIPPED, None))
            return await rest(outcome.payload)
        return await _Turn(self, wrapper, outcome.payload, operation, rest).take()

    def result_of(self, outcome: Outcome[Any]) -> Payload | Deny:
        """Return what a wrapper gets to see of what came of the rest."""
        verdict = outcome.verdict
        if isinstance(verdict, Respond):
            return verdict.result
        return outcome.payload if verdict is None else verdict

    def check(self, answer: Any, step: Step) -> Payload | Deny | None:
        """Refuse what a wrapper of this hook may not return."""
        result = self.result_type or self.payload_type
        if answer is None or answer.__class__ is result:
            return answer
        if answer.__class__ is Deny:
            return self.failures.within_rights(answer, step)
        refuse_coroutine(answer, step)
        what = f"returned {type(answer).__name__}; a wrapper here returns {result.__name__}"
        raise PluginError(what, plugin=step.scope.plugin, hook=self.hook)


class _Turn:
    """One call of one wrapper."""

    def __init__(
        self,
        chain: WrappingChain[Any],
        step: Step,
        payload: Payload,
        operation: Operation,
        rest: Rest,
    ) -> None:
        self.chain = chain
        self.step = step
        self.payload = payload
        self.operation = operation
        self.rest = rest
        self.context = Context(operation, step.scope)
        self.sent: Payload | None = None
        self.outcome: Outcome[Any] | None = None
        """What came of the rest when it was called last."""
        self.raised: BaseException | None = None
        """What the rest raised when it was called last: not the wrapper's own."""
        self.answer: Any = CANCELLED
        """What it returned or raised; of what the rest raised nothing."""
        self.inside = 0
        self.busy = False
        self.over = False

    async def call_next(self, payload: Any, /) -> Payload | Deny:
        """Run the rest of the chain; implements `plugway_hookspecs.CallNext`."""
        if self.over or self.busy:
            when = "after its turn was over" if self.over else "while it was under way already"
            raise RuntimeError(f"call_next was called {when}")
        if payload.__class__ is not self.chain.payload_type:
            wanted = self.chain.payload_type.__name__
            raise TypeError(f"call_next takes {wanted}, not {type(payload).__name__}")
        if self.step.may_modify or self.sent is None:
            self.sent = payload
            await self._go(payload if self.step.may_modify else self.payload)
        return self._seen()

    def _seen(self) -> Payload | Deny:
        if self.outcome is None:
            assert self.raised is not None  # noqa: S101 - for the type checker
            raise self.raised
        return self.chain.result_of(self.outcome)

    async def _go(self, payload: Payload) -> None:
        before, self.outcome, self.raised = self.outcome, None, None
        if self.chain.result_type is not None:
            self.operation.request = None  # what an earlier attempt sent
        self.busy, began = True, perf_counter_ns()
        try:
            self.outcome = await self.rest(payload)
        except BaseException as error:
            self.raised = error
            given_up = not isinstance(error, Exception)
            if before is not None and isinstance(before.verdict, Deny) and given_up:
                self.outcome = before  # what was given up has not passed
            raise
        finally:
            self.inside += perf_counter_ns() - began
            self.busy = False

    async def take(self) -> Outcome[Any]:
        """Call the wrapper, and decide what its turn comes to."""
        record, began = self.operation.record, perf_counter_ns()
        place = -1 if record is None else len(record)
        outcome = None
        if record is not None:  # before those that it wraps
            record.append((self.step, began, began, self.payload, CANCELLED, self.context))
        try:
            denied = await self._ask()
            outcome = await self._conclude() if denied is None else denied
            return outcome
        finally:
            if record is not None:
                ended, did = perf_counter_ns(), self._did(outcome)
                record[place] = (self.step, began, ended, self.payload, did, self.context)

    async def _ask(self) -> Outcome[Any] | None:
        """Call it; returns the deny that its failure became, if it did."""
        step, health = self.step, self.step.policy.health
        trial = health.admit() if step.disables else False
        try:
            if trial is None:
                self.chain.failures.refuse_resting(step)
            self.answer = await self._returned()
        except BaseException as error:  # noqa: BLE001 - foreign code
            passed_on = self._lets_pass(error)
            if not passed_on and is_failure(error):
                self.answer = error
                deny = self.chain.failures.judge(step, error, self.operation, trial=trial is True)
                return None if deny is None else self._denied(deny)
            if passed_on:
                self.answer = None
                self._settle()
            if trial:
                health.end_trial(recovered=passed_on)
            raise alone(error) from None
        finally:
            self.over = True
        if trial:
            recover(step)
        self._settle()
        return None

    async def _returned(self) -> Payload | Deny | None:
        """Return what the wrapper does; raises `PluginError` for what it may not."""
        step = self.step
        answer = await step.call(self.payload, self.context, self.call_next)
        if self.busy:
            what = "ended while call_next was under way"
            raise PluginError(what, plugin=step.scope.plugin, hook=step.scope.hook)
        if self.outcome is not None and answer is self.outcome.verdict:
            return cast("Deny | None", answer)  # nothing, or what others denied
        return self.chain.check(answer, step)

    def _lets_pass(self, error: BaseException) -> bool:
        """Whether an error is the server's, which is no failure of the wrapper."""
        while isinstance(error, BaseExceptionGroup):
            errors = cast("BaseExceptionGroup[BaseException]", error).exceptions
            if len(errors) != 1:
                return False
            error = errors[0]
        return error is self.raised and isinstance(error, Exception)

    def _settle(self) -> None:
        if self.operation.staged:
            self.context.settle()

    async def _conclude(self) -> Outcome[Any]:
        """Decide what its answer comes to, within what it may do."""
        answer, outcome = self.answer, self.outcome
        if isinstance(answer, Deny) and self.step.may_deny:
            same_deny = outcome is not None and outcome.verdict is answer
            return outcome if same_deny and outcome else self._denied(answer)
        result = answer if isinstance(answer, Payload) and self.step.may_modify else None
        if outcome is None:
            return await self._skip() if result is None else self._answer(result, self.payload)
        if isinstance(outcome.verdict, Deny):
            return outcome  # what others denied stays denied
        if result is None or result is self.chain.result_of(outcome):
            return outcome
        return self._answer(result, outcome.payload)

    def _answer(self, result: Payload, sent: Payload) -> Outcome[Any]:
        """Return what a wrapper's own result comes to; `sent` is what it is the answer to."""
        if self.chain.result_type is None:
            return Outcome(result)
        return Outcome(sent, Respond(result), self.step.scope.plugin)

    async def _skip(self) -> Outcome[Any]:
        """Go on as if the wrapper were not there; what was tried already is not tried again."""
        if self.raised is None and not self.busy:
            await self._go(self.payload)
        elif isinstance(self.raised, Exception):
            raise self.raised
        return self.outcome or self._denied(self.chain.failures.given_up(self.step, self.answer))

    def _denied(self, deny: Deny) -> Outcome[Any]:
        payload = self.outcome.payload if self.outcome else self.payload
        return Outcome(payload, deny, self.step.scope.plugin)

    def _did(self, outcome: Outcome[Any] | None) -> Wrapped:
        got = None if self.outcome is None else self.chain.result_of(self.outcome)
        return Wrapped(self.answer, self.sent, got, self.inside, self._applied(got, outcome))

    def _applied(self, got: Any, outcome: Outcome[Any] | None) -> str:
        if outcome is None:
            return "cancelled" if self.answer is CANCELLED else "pass"
        if isinstance(outcome.verdict, Deny) and outcome.plugin == self.step.scope.plugin:
            return "deny"
        if not same(self.chain.result_of(outcome), got):
            return "respond" if got is None else "modify"
        changed = self.sent is not None and not same(self.sent, self.payload)
        return "modify" if changed and self.step.may_modify else "pass"


def _split(steps: Sequence[Step]) -> tuple[tuple[tuple[Row, ...], Step | None], ...]:
    """Cut a chain behind every wrapper."""
    segments: list[tuple[tuple[Row, ...], Step | None]] = []
    rows: list[Row] = []
    for step in steps:
        if step.wraps:
            segments.append((tuple(rows), step))
            rows = []
        else:
            rows.append(step.row)
    return (*segments, (tuple(rows), None))
