"""Steps: what a chain is made of, and what the operator says about each plugin."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plugway_hookspecs import Mode, OnError, Operation, Scope

Call = Callable[[Any, Any], Any]
Row = tuple[bool, Call, bool, Scope, "Step"]
"""A step as the loop unpacks it: special, call, awaits, scope, and the step for what is rare."""
Predicate = Callable[[Operation], bool]


@dataclass(slots=True, eq=False)
class Health:
    """Whether a plugin with `on_error: disable` sits out; shared by all its steps."""

    until: float = 0.0

    @property
    def sits_out(self) -> bool:
        """Whether the plugin is disabled at this moment; a retry is due when the time is over."""
        return self.until > time.monotonic()


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
    """Seconds until a disabled plugin is tried again."""
    health: Health = field(default_factory=Health)


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
        "row",
        "scope",
        "special",
        "when",
    )

    def __init__(
        self,
        call: Call,
        scope: Scope,
        policy: Policy,
        *,
        awaits: bool,
        members: tuple["Step", ...] = (),
    ) -> None:
        """Bind `call`, which takes payload and context, to a plugin's policy."""
        self.call = call
        self.scope = scope
        self.policy = policy
        self.awaits = awaits
        self.members = members
        self.when = policy.when
        self.may_deny = policy.mode.may_deny
        self.may_modify = policy.mode.may_modify
        self.disables = policy.on_error is OnError.DISABLE
        observes = policy.mode in {Mode.AUDIT, Mode.BACKGROUND}
        self.fails_closed = not observes and policy.on_error is not OnError.IGNORE
        self.special = bool(members) or policy.when is not None or self.disables
        self.row: Row = (self.special, call, awaits, scope, self)
