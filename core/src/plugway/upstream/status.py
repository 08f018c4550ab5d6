"""What an upstream says of itself: for the command line, for health checks, for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plugway_hookspecs.frozen import EMPTY

State = Literal["idle", "connecting", "up", "down"]


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """One upstream as it stands; what the server declared is kept while it is down."""

    name: str
    state: State = "idle"
    era: Literal["modern", "legacy", ""] = ""
    protocol_version: str = ""
    server_info: Mapping[str, Any] = EMPTY
    capabilities: Mapping[str, Any] = EMPTY
    instructions: str = ""
    error: str = ""
    """Why it is down, or why the last connection ended; one sentence."""
    hint: str = ""
    """What probably helps."""
    stderr_tail: str = ""
    """The last lines that its program wrote to its standard error; for operators only."""
    retry_in: float | None = None
    """Seconds until the next attempt to connect, while it is down."""
