"""What came of a call in a test: verdict, payloads, findings and record."""

from collections.abc import Sequence
from dataclasses import dataclass

from plugway.executor.record import StepRecord, lines
from plugway_hookspecs import Deny, Finding, Operation, Payload, Respond


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Outcome:
    """What the plugins made of one call; `print(outcome)` shows who did what."""

    given: Payload
    """The payload of the call."""
    request: Payload | None
    """The request as the plugins let it go; None where the call was about a result or a list."""
    result: Payload | None
    """The result or list as the client would get it; None where there is none."""
    verdict: Deny | Respond | None
    """What stopped the call, or answered it; None where all plugins let it pass."""
    plugin: str
    """Who gave the verdict; empty without one."""
    operation: Operation
    """What the plugins saw in their `context`, and what they left there."""

    @property
    def payload(self) -> Payload:
        """What the plugins made of the payload of the call itself."""
        left = self.result if self.request is None else self.request
        return self.given if left is None else left

    @property
    def denied(self) -> bool:
        """Whether a plugin stopped the call."""
        return isinstance(self.verdict, Deny)

    @property
    def responded(self) -> bool:
        """Whether a plugin answered in place of the server."""
        return isinstance(self.verdict, Respond)

    @property
    def modified(self) -> bool:
        """Whether a plugin changed a request, a result or a list."""
        return any(line.modified for line in self.record)

    @property
    def code(self) -> str:
        """The code of the deny; empty where nothing was denied."""
        return self.verdict.code if isinstance(self.verdict, Deny) else ""

    @property
    def reason(self) -> str:
        """The reason of the deny; empty where nothing was denied."""
        return self.verdict.reason if isinstance(self.verdict, Deny) else ""

    @property
    def findings(self) -> Sequence[Finding]:
        """What plugins put on record with `context.annotate`."""
        return tuple(self.operation.findings)

    @property
    def record(self) -> Sequence[StepRecord]:
        """What each plugin asked for and what became of it, in the order of the calls."""
        return tuple(lines(self.operation))

    def __repr__(self) -> str:
        """Say it in one line: failed assertions show this."""
        turns = ", ".join(f"{line.plugin} {_did(line)}" for line in self.record)
        return f"<Outcome {self._came_to()}; {turns or 'no plugin was asked'}>"

    def __str__(self) -> str:
        """Say it in one line for the outcome and one for each plugin."""
        shown = [f"{self._came_to()}"]
        for line in self.record:
            words = f"  {line.hook}  {line.plugin}  {line.mode}  {_did(line)}"
            shown.append(f"{words}  {line.detail}".rstrip())
        shown += [f"  {f.hook}  {f.plugin}  found {f.key}: {f.value!r}" for f in self.findings]
        return "\n".join(shown)

    def _came_to(self) -> str:
        if isinstance(self.verdict, Deny):
            return f"denied by {self.plugin!r} ({self.code}: {self.reason})"
        if isinstance(self.verdict, Respond):
            return f"answered by {self.plugin!r}"
        return "passed, modified" if self.modified else "passed unchanged"


def _did(line: StepRecord) -> str:
    if line.requested == line.applied:
        return line.applied
    return f"{line.requested} (applied: {line.applied})"
