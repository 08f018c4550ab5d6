"""One call on twin instances of a plugin: what came of it, held to the plugin's promises."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NoReturn

import anyio

from plugway.executor.record import failures
from plugway.testing.check import promises
from plugway.testing.check.payloads import SECRET
from plugway.testing.check.promises import BrokenPromiseError, Promise, promise_broken_by
from plugway.testing.check.watching import Watcher
from plugway.testing.options import CallOptions
from plugway.testing.outcome import Outcome
from plugway.testing.plugins import Plugins
from plugway_hookspecs import Deny, Payload, Respond

SECONDS = 10.0
"""How long one call may take; far more than any should, for machines that are busy."""


@dataclass(slots=True, eq=False)
class Trial:
    """Calls one hook of two instances, which see the same calls in the same order."""

    plugin: str
    hook: str
    twins: tuple[Plugins, Plugins]
    watcher: Watcher
    deterministic: bool
    kept: deque[tuple[Payload, str]] = field(default_factory=lambda: deque(maxlen=40))
    """Payloads that went into or came out of recent calls, and what they looked like then."""

    async def hold(
        self, payload: Payload, answer: Payload | None, context: CallOptions, turns: int
    ) -> None:
        """Raise `BrokenPromiseError` where a promise is broken.

        `answer` is what wrappers get, `turns` of the event loop pass before a call is cancelled.
        """
        call = _Call(self, payload, answer, {"request_id": "1", **context})
        outcomes = [await call.on(twin) for twin in self.twins]
        if self.deterministic and _said(outcomes[0]) != _said(outcomes[1]):
            call.breaks(promises.VARIES, " / ".join(repr(o.verdict or o.payload) for o in outcomes))
        if [await call.cancelled(twin, turns) for twin in self.twins] != [False, False]:
            for twin in self.twins:
                await call.on(twin)
        if any(repr(kept) != before for kept, before in self.kept):
            call.breaks(promises.MUTATES, "a payload of an earlier call has changed")


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    trial: Trial
    payload: Payload
    answer: Payload | None
    context: CallOptions

    def breaks(self, promise: Promise, seen: str, cause: BaseException | None = None) -> NoReturn:
        given: CallOptions = {**self.context}
        del given["request_id"]
        raise BrokenPromiseError(
            promise,
            plugin=self.trial.plugin,
            hook=self.trial.hook,
            payload=self.payload,
            context=given,
            seen=seen,
        ) from cause

    def _start(self, twin: Plugins) -> Any:
        return twin.call(
            self.payload,
            answer=self.answer,
            hook=self.trial.hook,
            raise_errors=False,
            **self.context,
        )

    async def on(self, twin: Plugins) -> Outcome:
        """Call the hook and look at what it did and returned."""
        before = repr(self.payload)
        self.trial.kept.append((self.payload, before))
        outcome: Outcome | None = None
        with self.trial.watcher.watch() as said, anyio.move_on_after(SECONDS):
            outcome = await self._start(twin)
        if outcome is None:
            self.breaks(promises.HANGS, f"no answer within {SECONDS:g} s")
        for failed in failures(outcome.operation):
            error = failed.__cause__ or failed
            self.breaks(promise_broken_by(error), f"{type(error).__name__}: {error}", error)
        if repr(self.payload) != before:
            self.breaks(promises.MUTATES, f"it is now {self.payload!r}")
        if SECRET in said.getvalue():
            self.breaks(promises.LEAKS, said.getvalue().strip())
        self._check_json(outcome)
        return outcome

    def _check_json(self, outcome: Outcome) -> None:
        """Look at all that leaves the plugin: towards client, server and record."""
        found: list[Any] = [finding.value for finding in outcome.findings]
        match outcome.verdict:
            case Deny() as deny:
                found.append(deny.details)
            case Respond(result):
                found.append(self._keep(result))
            case _:
                found.append(self._keep(outcome.payload))
        try:
            json.dumps(found, allow_nan=False)
        except (TypeError, ValueError) as error:
            self.breaks(promises.NOT_JSON, str(error), error)

    def _keep(self, payload: Payload) -> dict[str, Any]:
        self.trial.kept.append((payload, repr(payload)))
        return payload.to_wire()

    async def cancelled(self, twin: Plugins, turns: int) -> bool:
        """Cancel a call after some turns of the loop; tell whether it was still under way."""
        task = asyncio.create_task(self._start(twin))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=SECONDS)
            if not task.done():
                self.breaks(promises.HANGS, f"no end {SECONDS:g} s after it was cancelled")
            if not task.cancelled():
                self.breaks(promises.SWALLOWS, f"the call returned {task.result()!r}")
            return True
        await task
        return False


def _said(outcome: Outcome) -> str:
    return repr((outcome.verdict, outcome.request, outcome.result))
