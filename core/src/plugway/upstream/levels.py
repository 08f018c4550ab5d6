"""The levels of log messages (RFC 5424), from the one that says most."""

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


def level_index(level: str | None) -> int:
    """Return how little a level says; None says least of all."""
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)
