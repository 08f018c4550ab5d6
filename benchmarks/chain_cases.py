"""The cases that the chain is measured at: what each is compared with, and its budget."""

from collections.abc import Callable
from dataclasses import dataclass

from chain_works import (
    Fail,
    Modify,
    NoOp,
    PlainNoOp,
    afresh,
    another_no_op,
    bare,
    bare_failing,
    bare_gather,
    bare_plain,
    bare_threads,
    bare_wrapping,
    compiling,
    measuring_call,
    operation_alone,
    sitting_out,
    through,
    wrapping,
    yielding,
)
from measuring import Work

from plugway.executor.conditions import Condition, compile_conditions
from plugway.executor.steps import Policy
from plugway_hookspecs import Mode, OnError


@dataclass(frozen=True)
class Budget:
    """What a case may cost; `of` makes the figure of what it is compared with, itself and ratio."""

    text: str
    limit: float
    of: Callable[[float, float, float], float]


def times(limit: float) -> Budget:
    return Budget(f"≤ {limit:g} times", limit, lambda _, __, ratio: ratio)


def more(limit: float) -> Budget:
    return Budget(f"≤ {limit:g} µs more", limit, lambda base, chain, _: chain - base)


def total(limit: float) -> Budget:
    return Budget(f"≤ {limit:,g} µs", limit, lambda _, chain, __: chain)


def each(limit: float, plugins: int) -> Budget:
    text = f"≤ {limit:g} µs a plugin"
    return Budget(text, limit, lambda base, chain, _: (chain - base) / plugins)


@dataclass(frozen=True)
class Case:
    """Something to measure: `work` compared with `base`, both without the cost of `less`."""

    name: str
    work: Work
    versus: str
    base: Work
    budget: Budget | None = None
    less: Work | None = None


def cases() -> list[Case]:
    return [*_plain_cases(), *_policy_cases(), *_record_cases(), *_trouble_cases(), _compile_case()]


def _plain_cases() -> list[Case]:
    loop = "bare loop"
    return [
        Case("empty chain", through(NoOp, 0), "measuring call", measuring_call, more(0.2)),
        Case("1 no-op", through(NoOp, 1), loop, bare(NoOp, 1)),
        Case("10 no-op", through(NoOp, 10), loop, bare(NoOp, 10), times(3)),
        Case("50 no-op", through(NoOp, 50), loop, bare(NoOp, 50)),
        Case("10 no-op of ten classes", through(another_no_op, 10), loop, bare(another_no_op, 10)),
        Case("10 no-op, plain def", through(PlainNoOp, 10), loop, bare_plain(10)),
        Case("1 modifying", through(Modify, 1), loop, bare(Modify, 1)),
        Case("10 modifying", through(Modify, 10), loop, bare(Modify, 10), times(3)),
        Case("50 modifying", through(Modify, 50), loop, bare(Modify, 50)),
    ]


def _policy_cases() -> list[Case]:
    never = Policy(when=compile_conditions([Condition(tools=("other__*",))]))
    threaded, timed = Policy(threaded=True), yielding(through(NoOp, 10, Policy(timeout=5)))
    validate = Policy(mode=Mode.VALIDATE)
    skipped = through(NoOp, 1, never), through(NoOp, 10, never)
    return [
        Case("1 skipped by `when`", skipped[0], "empty chain", through(NoOp, 0), more(0.3)),
        Case("10 skipped by `when`", skipped[1], "measuring call", measuring_call, total(3)),
        Case("10, `timeout`", timed, "bare loop", yielding(bare(NoOp, 10)), each(12, 10)),
        Case("10, `threaded`", through(PlainNoOp, 10, threaded), "bare executor", bare_threads(10)),
        Case("1 wrapper", wrapping(1), "bare onion", bare_wrapping(1)),
        Case("10 wrappers", wrapping(10), "bare onion", bare_wrapping(10)),
        Case("2 validators", through(NoOp, 2, validate), "bare gather", bare_gather(2)),
        Case("10 validators", through(NoOp, 10, validate), "bare gather", bare_gather(10)),
    ]


def _record_cases() -> list[Case]:
    """Compare with and without record; a new operation each is on both sides, then on neither."""
    on, off = afresh(NoOp, 10, record=True), afresh(NoOp, 10, record=False)
    modify = afresh(Modify, 10, record=True), afresh(Modify, 10, record=False)
    unrecorded, net = "unrecorded", "10, recorded, without the operation"
    return [
        Case("10, new operation each, recorded", on, unrecorded, off, times(2)),
        Case(net, on, unrecorded, off, times(2), less=operation_alone),
        Case("10 modifying, recorded", modify[0], unrecorded, modify[1], times(2)),
    ]


def _trouble_cases() -> list[Case]:
    ignore, disable = Policy(on_error=OnError.IGNORE), Policy(on_error=OnError.DISABLE)
    loop = "bare loop"
    return [
        Case("10, `on_error: ignore`", through(NoOp, 10, ignore), loop, bare(NoOp, 10), times(3)),
        Case("10, `on_error: disable`", through(NoOp, 10, disable), loop, bare(NoOp, 10)),
        Case("1 failing, ignored", through(Fail, 1, ignore), "try in a loop", bare_failing()),
        Case("10 disabled after an error", sitting_out(10), "measuring call", measuring_call),
    ]


def _compile_case() -> Case:
    compiled, registered = compiling(200)
    return Case("compile 200 plugins", compiled, "pluggy alone", registered, total(20_000))
