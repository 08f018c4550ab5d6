"""What a chain did, one line per plugin: the raw material of `--explain`, audit and metrics.

While a chain runs it only notes raw turns, which costs next to nothing; `lines` makes something
readable of them when somebody wants to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from plugway.executor.failing import RestingError
from plugway.executor.steps import Step
from plugway.foreign import describe
from plugway.jsonvalues import is_array, is_object
from plugway_hookspecs import Context, Deny, Finding, Operation, PluginError, Respond


class Unasked:
    """The answer of a plugin that was not asked, or that nobody waited for."""

    def __init__(self, why: str) -> None:
        """Say what is recorded for it."""
        self.why = why


SKIPPED = Unasked("skip")
"""Its conditions did not match."""
CANCELLED = Unasked("cancelled")
"""It had not begun when another's deny settled the matter."""

QUEUED = Unasked("queued")
"""It is called in the background, after the record is closed."""
DROPPED = Unasked("dropped")
"""It would have been called in the background, but there was no room."""


@dataclass(frozen=True, slots=True, eq=False)
class Wrapped:
    """What a wrapper did; its turn is round those of the plugins that come after it."""

    answer: Any
    """What it returned or raised, of what counts as its own."""
    sent: Any
    """The payload that it gave to the rest last; None if it never did."""
    got: Any
    """What came of the rest, with or without its doing; None if nothing."""
    inside: int
    """How long the rest took, in ns."""
    applied: str
    """What became of it."""


Turn = tuple[Step, int, int, Any, Any, Context | None]
"""Step, start and end in ns, payload before, answer or exception, and the context if it had one."""


class StepRecord(NamedTuple):
    """One plugin's turn in one chain."""

    plugin: str
    hook: str
    mode: str
    requested: str
    """`pass`, `modify`, `deny`, `respond` or `error`; `skip` where its conditions did not match,
    `cancelled` where a deny beside it, a deadline or the client ended its turn; `queued` or
    `dropped` for those in the background."""
    applied: str
    """What became of it: the same words, or `pass` where the mode or `on_error` suppressed it."""
    duration_ns: int
    """Its own time: a wrapper's without what it wraps."""
    detail: str = ""
    """The reason of a deny, or what went wrong; empty otherwise."""
    findings: tuple[Finding, ...] = ()
    started_ns: int = 0
    """When its turn began, on the clock of `time.perf_counter_ns`."""
    code: str = ""
    """The code of a deny; empty otherwise."""

    @property
    def modified(self) -> bool:
        """Whether the payload went on changed."""
        return self.applied == "modify"


@dataclass(frozen=True, slots=True)
class _Judgement:
    requested: str
    applied: str
    detail: str = ""
    code: str = ""


def lines(operation: Operation) -> list[StepRecord]:
    """Return the record of an operation so far, in the order of the chains."""
    turns: Sequence[Turn] = operation.record or ()
    return [_line(turn) for turn in turns]


def failures(operation: Operation) -> list[PluginError]:
    """Return what plugins raised so far, each with the exception itself as its cause."""
    turns: Sequence[Turn] = operation.record or ()
    found: list[PluginError] = []
    for step, _, _, _, answer, _ in turns:
        error = answer.answer if isinstance(answer, Wrapped) else answer
        if isinstance(error, BaseException):
            scope = step.scope
            failure = PluginError(describe(error), plugin=scope.plugin, hook=scope.hook)
            failure.__cause__ = error
            found.append(failure)
    return found


def _line(turn: Turn) -> StepRecord:
    step, started, ended, payload, answer, context = turn
    inside = answer.inside if isinstance(answer, Wrapped) else 0
    judged = _judge(step, payload, answer)
    return StepRecord(
        step.scope.plugin,
        step.scope.hook,
        step.policy.mode.value,
        judged.requested,
        judged.applied,
        ended - started - inside,
        judged.detail,
        () if context is None else context.findings,
        started,
        judged.code,
    )


def _judge(step: Step, payload: Any, answer: Any) -> _Judgement:
    match answer:
        case Wrapped():
            return _judge_wrapper(step, payload, answer)
        case Unasked(why=why):
            return _Judgement(why, why)
        case BaseException():
            return _judge_error(step, answer)
        case Deny(reason=reason, code=code):
            return _Judgement("deny", "deny" if step.may_deny else "pass", reason, code)
        case Respond():
            requested = "respond"
        case _:
            requested = "pass" if answer is None or same(answer, payload) else "modify"
    return _Judgement(requested, requested if step.may_modify else "pass")


def same(one: Any, other: Any) -> bool:
    """Whether two payloads say the same on the wire, where `==` takes 1 and True for the same.

    Never raises, and passes over what the two share: most of a large payload, as a rule.
    """
    if one is other or one.__class__ is not other.__class__ or not is_dataclass(one):
        return one is other
    waiting = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    while waiting:
        one, other = waiting.pop()
        if one is other:
            continue
        if one.__class__ is not other.__class__:
            return False
        if is_object(one):
            if list(one) != list(other):
                return False
            waiting += zip(one.values(), other.values(), strict=True)
        elif is_array(one):
            if len(one) != len(other):
                return False
            waiting += zip(one, other, strict=True)
        elif one.hex() != other.hex() if isinstance(one, float) else one != other:
            return False  # 0.0 and -0.0 are equal
    return True


def _judge_error(step: Step, error: BaseException) -> _Judgement:
    closed = step.rests_closed if isinstance(error, RestingError) else step.fails_closed
    return _Judgement("error", "deny" if closed else "pass", describe(error))


def _judge_wrapper(step: Step, payload: Any, did: Wrapped) -> _Judgement:
    answer = None if did.answer is did.got else did.answer  # it lets pass what came
    if isinstance(answer, BaseException | Deny | Unasked):
        judged = _judge(step, payload, answer)
        return _Judgement(judged.requested, did.applied, judged.detail, judged.code)
    if did.sent is None or did.got is None:
        return _Judgement("pass" if answer is None else "respond", did.applied)
    changed = not same(did.sent, payload) or not (answer is None or same(answer, did.got))
    return _Judgement("modify" if changed else "pass", did.applied)
