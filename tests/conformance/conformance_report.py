"""What is lost between a run of the suite without a gateway and one through it, as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from conformance_suite import Findings

_ASKED_BY_ITSELF = (
    "what a server is, the gateway asks for itself and not for a client, so it promises nothing "
    "then; this server offers nothing that a client could ask it for"
)
EXCEPTED = {
    "server-sse-disconnect-resume": "that a server closes the stream of an answer early is between "
    "the server and the gateway, which resumes it; the gateway's own stream stays open",
    "sep-2575-client-declares-roots-capability": _ASKED_BY_ITSELF,
    "sep-2575-client-declares-sampling-capability": _ASKED_BY_ITSELF,
    "sep-2575-client-declares-elicitation-capability": _ASKED_BY_ITSELF,
}
"""Checks that need not apply to what a gateway does, and why; they may not fail."""

Column = Mapping[str, Findings]
"""The findings of one topology, by the name of the run."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A check that is less than it is without the gateway."""

    scenario: str
    check: str
    status: str
    message: str

    def __str__(self) -> str:
        text = " ".join(self.message.split())
        return f"{self.check}: {self.status}{f': {text}' if text else ''}"


def losses(direct: Findings, through: Findings) -> Iterator[Loss]:
    """Yield what succeeds without the gateway and not through it, and failures that are new."""
    for scenario, checks in direct.scenarios.items():
        found = through.scenarios.get(scenario, {})
        for name, check in checks.items():
            if name not in found and check.status == "SUCCESS":
                yield Loss(scenario, name, "not reached" if found else "not run", "")
        for name, check in found.items():
            before = checks[name].status if name in checks else "SUCCESS"
            lost = before == "SUCCESS" and check.status != "SUCCESS" and name in checks
            new = before != "FAILURE" and check.status == "FAILURE"
            excepted = name in EXCEPTED and check.status in {"INFO", "SKIPPED"}
            if (lost or new) and not excepted:
                yield Loss(scenario, name, check.status, check.message)


def table(head: str, rows: Mapping[str, Column]) -> str:
    """Return a Markdown table of scenarios that passed / all (successful checks)."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, column in rows.items():
        lines.append(f"| {name} | {' | '.join(_cell(run, column[run]) for run in columns)} |")
    return "\n".join(lines)


def _cell(run: str, findings: Findings) -> str:
    if findings.problem:
        return "-"
    if run.startswith("required"):
        return "pass" if findings.verdict else "fail"
    passed, successes = len(findings.passed), findings.successes
    return f"{passed}/{len(findings.scenarios)} ({successes})"


Same = dict[tuple[str, ...], dict[str, list[str]]]
"""Lines about checks, and for each topology that they are true of, the runs that they are from."""


@dataclass(slots=True)
class Report:
    """What topologies lose; those that lose the same are named together."""

    broken: list[str] = field(default_factory=list[str])
    """Topologies that could not be run."""
    lost: dict[str, Same] = field(default_factory=dict[str, Same])
    """By scenario."""

    def expect(self, name: str, direct: Column) -> None:
        """Hold it against the fixtures where the suite is not content without a gateway."""
        for run, findings in direct.items():
            if not findings.verdict:
                failed = sorted(findings.scenarios.keys() - findings.passed)
                reason = findings.problem or f"without a gateway: {', '.join(failed)}"
                self.broken.append(f"{name}: {run}: {reason}")

    def add(self, name: str, direct: Column, through: Column) -> None:
        """Compare a topology with a direct run."""
        self.broken += sorted(
            {f"{name}: {each.problem}" for each in through.values() if each.problem}
        )
        for run, findings in through.items():
            if findings.problem:
                continue
            found: dict[str, list[str]] = {}
            for loss in losses(direct[run], findings):
                found.setdefault(loss.scenario, []).append(str(loss))
            for scenario, lines in found.items():
                same = self.lost.setdefault(scenario, {}).setdefault(tuple(lines), {})
                same.setdefault(name, []).append(run)

    def __bool__(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.broken or self.lost)

    def __str__(self) -> str:
        said = list(self.broken)
        for scenario, same in self.lost.items():
            said.append(scenario)
            for lines, topologies in same.items():
                said += [f"  {name}: {', '.join(runs)}" for name, runs in topologies.items()]
                said += [f"    {line}" for line in lines]
        return "\n".join(said)
