"""Steps: what a chain is made of, and what the operator says about each plugin."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from plugway.executor.health import Health
from plugway_hookspecs import Context, Mode, OnError, Operation, Scope

Call = Callable[..., Any]
"""Takes the payload; the context, if the step's `view` is not None; in wrappers the rest."""
Predicate = Callable[[Operation], bool]
Row = tuple[Predicate | None, bool, Call, bool, Scope | None, "Step"]
"""A step as the loop unpacks it: when, special, call, awaits, view; the step for what is rare."""


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What the operator says about one plugin."""

    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.FAIL
    priority: int = 100
    timeout: float | None = None
    """Seconds for one call; None means that only the request's own deadline bounds it."""
    threaded: bool = False
    when: Predicate | None = None
    capabilities: frozenset[str] = frozenset()
    retry_after: float = 30.0
    """Seconds for which a plugin that failed rests, with `on_error: disable`."""
    skip_disabled: bool = False
    """Whether the chain goes on without the plugin while it rests, instead of failing closed."""
    health: Health = field(default_factory=Health)
    """Whether it rests; shared by all steps of the plugin."""


class Step:
    """One plugin in one chain, or a group of neighbours that run concurrently.

    What the loop over the steps needs is looked up once, here.
    """

    __slots__ = (
        "awaits",
        "call",
        "disables",
        "fails_closed",
        "may_deny",
        "may_modify",
        "members",
        "policy",
        "rests_closed",
        "row",
        "scope",
        "view",
        "when",
        "wraps",
    )

    def __init__(
        self,
        call: Call,
        scope: Scope,
        policy: Policy,
        *,
        awaits: bool,
        blind: bool = False,
        wraps: bool = False,
        members: tuple["Step", ...] = (),
    ) -> None:
        """Bind `call` to a plugin's policy; one that is `blind` takes no context."""
        self.call = call
        self.scope = scope
        self.view = None if blind else scope
        self.policy = policy
        self.awaits = awaits
        self.wraps = wraps
        self.members = members
        self.when = policy.when
        self.may_deny = policy.mode.may_deny
        self.may_modify = policy.mode.may_modify
        self.disables = policy.on_error is OnError.DISABLE
        observes = policy.mode.observes
        self.fails_closed = not observes and policy.on_error is not OnError.IGNORE
        self.rests_closed = self.fails_closed and not policy.skip_disabled
        special = bool(members) or self.disables
        self.row: Row = (None if members else self.when, special, call, awaits, self.view, self)

    def view_of(self, operation: Operation) -> tuple[Context, ...]:
        """Return what the call takes besides the payload."""
        return () if self.view is None else (Context(operation, self.view),)


def opened(steps: Iterable[Step]) -> list[Step]:
    """Return steps with each group replaced by its members."""
    return [each for step in steps for each in (step.members or (step,))]
