"""What a chain did, one line per plugin: the raw material of `--explain`, audit and metrics.

While a chain runs it only notes raw turns, which costs next to nothing; `lines` makes something
readable of them when somebody wants to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plugway.foreign import describe
from plugway.steps import Step
from plugway_hookspecs import Deny, Finding, Operation, Respond


class Skipped:
    """The answer of a plugin that was not asked, because its conditions did not match."""


SKIPPED = Skipped()

Turn = tuple[Step, int, int, Any, Any, int, int]
"""Step, start and end in ns, payload before, answer or exception, findings before and after."""


class StepRecord(NamedTuple):
    """One plugin's turn in one chain."""

    plugin: str
    hook: str
    mode: str
    requested: str
    """`pass`, `modify`, `deny`, `respond` or `error`; `skip` where its conditions did not match."""
    applied: str
    """What became of it: the same words, or `pass` where the mode or `on_error` suppressed it."""
    duration_ns: int
    detail: str = ""
    """The reason of a deny, or what went wrong; empty otherwise."""
    findings: tuple[Finding, ...] = ()

    @property
    def modified(self) -> bool:
        """Whether the payload went on changed."""
        return self.applied == "modify"


@dataclass(frozen=True, slots=True)
class _Judgement:
    requested: str
    applied: str
    detail: str = ""


def lines(operation: Operation) -> list[StepRecord]:
    """Return the record of an operation so far, in the order of the chains."""
    turns: Sequence[Turn] = operation.record or ()
    return [_line(turn, operation) for turn in turns]


def _line(turn: Turn, operation: Operation) -> StepRecord:
    step, started, ended, payload, answer, before, after = turn
    judged = _judge(step, payload, answer)
    name = step.scope.plugin
    return StepRecord(
        name,
        step.scope.hook,
        step.policy.mode.value,
        judged.requested,
        judged.applied,
        ended - started,
        judged.detail,
        tuple(f for f in operation.findings[before:after] if f.plugin == name),
    )


def _judge(step: Step, payload: Any, answer: Any) -> _Judgement:
    if answer is SKIPPED:
        return _Judgement("skip", "skip")
    if isinstance(answer, BaseException):
        return _Judgement("error", "deny" if step.fails_closed else "pass", describe(answer))
    if isinstance(answer, Deny):
        return _Judgement("deny", "deny" if step.may_deny else "pass", answer.reason)
    if isinstance(answer, Respond):
        return _Judgement("respond", "respond" if step.may_modify else "pass")
    # `==` takes 1 and True for the same, the server does not
    if answer is None or answer is payload or repr(answer) == repr(payload):
        return _Judgement("pass", "pass")
    return _Judgement("modify", "modify" if step.may_modify else "pass")
