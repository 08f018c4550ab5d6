"""What a plugin may do in the chain, and what its failure means."""

from enum import StrEnum


class Mode(StrEnum):
    """What an operator lets a plugin do."""

    ENFORCE = "enforce"
    """May deny, may modify, in order."""
    TRANSFORM = "transform"
    """May modify; a deny is recorded as suppressed."""
    VALIDATE = "validate"
    """May deny; neighbours in priority order run concurrently."""
    AUDIT = "audit"
    """May do neither; sees the payload as it stands at its place."""
    BACKGROUND = "background"
    """May do neither; runs after the chain, on the final payload."""
    DISABLED = "disabled"
    """Is not compiled in."""

    @property
    def may_deny(self) -> bool:
        """Whether a `Deny` counts."""
        return self in {Mode.ENFORCE, Mode.VALIDATE}

    @property
    def may_modify(self) -> bool:
        """Whether a returned payload (or a `Respond`) counts."""
        return self in {Mode.ENFORCE, Mode.TRANSFORM}

    @property
    def observes(self) -> bool:
        """Whether it can change nothing, so that its failure is only recorded."""
        return self in {Mode.AUDIT, Mode.BACKGROUND}


class OnError(StrEnum):
    """What happens when a plugin raises, times out or returns something else than the spec says."""

    FAIL = "fail"
    """The operation is denied (only recorded in the observing modes)."""
    IGNORE = "ignore"
    """Logged and recorded; the chain goes on with the payload as it was."""
    DISABLE = "disable"
    """As `fail`, and the plugin is not called again until a timed retry or a reload."""
