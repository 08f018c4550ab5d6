"""What counts as a plugin's failure, and what becomes of the operation then."""

import logging
from dataclasses import replace
from typing import Any, Never

from plugway.executor.steps import Step
from plugway.foreign import about, describe, stack
from plugway_hookspecs import Deny, Operation, Payload, PluginError, Respond
from plugway_hookspecs.context import WRITE_HEADERS
from plugway_hookspecs.frozen import EMPTY

PLUGIN_ERROR = "plugin_error"
"""The code of the deny that a failing plugin becomes."""

log = logging.getLogger(__name__)


class RestingError(PluginError):
    """The plugin is disabled after an error, and its retry is not due."""

    def __init__(self, plugin: str, hook: str) -> None:
        super().__init__("is disabled after an error", plugin=plugin, hook=hook)


def refuse_coroutine(answer: Any, step: Step) -> None:
    """Raise `PluginError` for what nobody would await: the work of the plugin would be lost."""
    if hasattr(answer, "send") and hasattr(answer, "close"):
        answer.close()
        what = "returned a coroutine: await it, or declare the hook async def"
        raise PluginError(what, plugin=step.scope.plugin, hook=step.scope.hook)


def rest_of(step: Step) -> str:
    """Say for the log how long a plugin rests after an error, if it does."""
    return f"; it rests for {step.policy.retry_after:g} s" if step.disables else ""


def recover(step: Step) -> None:
    """Take a plugin back whose trial went well."""
    step.policy.health.end_trial(recovered=True)
    log.info("plugin %r works again", step.scope.plugin)


class Failures:
    """The rules of one hook."""

    __slots__ = ("hook", "payload_type", "result_type")

    def __init__(
        self, hook: str, payload_type: type[Payload], result_type: type[Payload] | None
    ) -> None:
        """`result_type` is what a `Respond` may carry; None where none is allowed."""
        self.hook = hook
        self.payload_type = payload_type
        self.result_type = result_type

    def check(self, answer: Any, step: Step) -> Deny | Respond:
        """Return an answer that is no payload; raises `PluginError` for what the hook forbids."""
        if answer.__class__ is Deny:
            return self.within_rights(answer, step)
        respond = ", Respond" if self.result_type else ""
        allowed = f"{self.payload_type.__name__}, Deny{respond}, None"
        what = f"{type(answer).__name__}; allowed: {allowed}"
        if answer.__class__ is Respond:
            if self.result_type is not None and answer.result.__class__ is self.result_type:
                response: Respond = answer
                return response
            wanted = self.result_type.__name__ if self.result_type else "nothing in a post hook"
            what = f"Respond({type(answer.result).__name__}); Respond takes {wanted}"
        else:
            refuse_coroutine(answer, step)
        raise PluginError(f"returned {what}", plugin=step.scope.plugin, hook=self.hook)

    def refuse_resting(self, step: Step) -> Never:
        """Say that a step is not called, because its plugin rests."""
        raise RestingError(step.scope.plugin, self.hook)

    def judge(
        self, step: Step, error: BaseException, operation: Operation, *, trial: bool
    ) -> Deny | None:
        """Decide what a failure means; returns the deny that it becomes, if it does.

        `trial` says that the call was the one that decides about a disabled plugin's return.
        """
        resting = isinstance(error, RestingError)
        if not resting:
            self._report(step, error, operation, trial=trial)
        if step.rests_closed if resting else step.fails_closed:
            return self.deny(step)
        return None

    def deny(self, step: Step) -> Deny:
        """Return the deny that a failure of a plugin becomes."""
        return Deny(f"plugin {step.scope.plugin!r} failed, and it guards this", code=PLUGIN_ERROR)

    def given_up(self, step: Step, error: Any) -> Deny:
        """Return the deny of a call that a wrapper ended, though its failures count for nothing."""
        name, limit = step.scope.plugin, step.policy.timeout
        reason = f"plugin {name!r} gave up what it wraps"
        if isinstance(error, TimeoutError) and limit is not None:
            reason = f"the call took longer than {limit:g} s, the timeout of plugin {name!r}"
        return Deny(reason, code=PLUGIN_ERROR)

    def lost(self, step: Step) -> PluginError:
        """Return the error of a validator that was cancelled, though none before it denied."""
        return PluginError("was cancelled", plugin=step.scope.plugin, hook=self.hook)

    def _report(
        self, step: Step, error: BaseException, operation: Operation, *, trial: bool
    ) -> None:
        name, policy = step.scope.plugin, step.policy
        known = policy.health.rests and not trial
        if not known:  # of a plugin that rests, one line says enough
            log.error(
                "plugin %r failed in %s: %s, in %s%s",
                *(name, self.hook, describe(error), about(operation), rest_of(step)),
            )
        if log.isEnabledFor(logging.DEBUG):
            log.debug("plugin %r failed in %s\n%s", name, self.hook, stack(error))
        if step.disables:
            policy.health.fail(policy.retry_after, trial=trial)

    def within_rights(self, deny: Deny, step: Step) -> Deny:
        """Leave out the headers of a deny, where the plugin may not write any."""
        if not deny.http_headers or WRITE_HEADERS in step.scope.capabilities:
            return deny
        log.warning(
            "plugin %r may not write HTTP headers without capability %r: left out",
            *(step.scope.plugin, WRITE_HEADERS),
        )
        return replace(deny, http_headers=EMPTY)
