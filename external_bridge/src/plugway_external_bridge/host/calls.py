"""Calling a configured plugin for someone outside, whatever the dialect."""

import json
from dataclasses import dataclass
from typing import Any

import anyio

from plugway_external_bridge.wire.hooks import Hook
from plugway_external_bridge.wire.operations import findings_to_wire, json_only
from plugway_external_bridge.wire.payloads import payload_to_wire
from plugway_external_bridge.wire.verdicts import verdict_to_wire
from plugway_hookspecs import Deny, Operation, Outcome, Payload, PluginRunner, Respond


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plugin said about a payload."""

    outcome: Outcome[Payload]
    operation: Operation
    modified: bool

    @property
    def refusal(self) -> str | None:
        """Why the call must not go on, or None.

        Only another plugway can answer in the server's place; for anyone else, a plugin that
        answers must stop the call all the same.
        """
        verdict = self.outcome.verdict
        if isinstance(verdict, Deny):
            return verdict.reason
        if isinstance(verdict, Respond):
            return "answered by a plugin in the server's place"
        return None

    def additions(self) -> dict[str, Any]:
        """Return what only another plugway understands: the verdict in full, and the findings."""
        added: dict[str, Any] = {}
        if self.outcome.verdict is not None:
            added["verdict"] = verdict_to_wire(self.outcome.verdict)
        if self.operation.findings:
            added["findings"] = findings_to_wire(self.operation.findings)
        return added

    def states(self) -> dict[str, Any]:
        """Return the notes that the plugin wants to find again, as far as JSON can carry them."""
        return {name: kept for name, s in self.operation.states.items() if (kept := json_only(s))}


async def call_plugin(
    runner: PluginRunner,
    plugin: str,
    hook: Hook,
    payload: Payload,
    operation: Operation,
    *,
    timeout: float | None = None,
) -> Answer:
    """Run one hook of one plugin; `timeout` is in seconds.

    Raises `TimeoutError`, and what `PluginRunner.run` raises.
    """
    with anyio.fail_after(timeout) as scope:
        if timeout is not None:
            operation.deadline = scope.deadline
        outcome = await runner.run(plugin, hook.name, payload, operation)
    return Answer(outcome, operation, _differs(outcome.payload, payload))


def _differs(changed: Payload, original: Payload) -> bool:
    """Whether two payloads are different JSON; in Python, 1 and True and 1.0 are all equal."""
    if changed is original:
        return False
    return changed != original or _text(changed) != _text(original)


def _text(payload: Payload) -> str:
    return json.dumps(payload_to_wire(payload))
