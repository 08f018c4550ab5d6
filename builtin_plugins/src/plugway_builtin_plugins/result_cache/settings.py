"""What an operator lets be answered from memory, and how much memory that may take."""

from typing import Annotated

from pydantic import Field

from plugway_builtin_plugins.repeats import RepeatSettings


class Settings(RepeatSettings):
    """What goes under `config:` of a `result_cache`."""

    ttl: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    """Seconds for which an answer may be repeated; fewer where the server says so (`ttlMs`)."""
    forget_on_writes: bool = True
    """Whether the call of a tool that may change something makes its server's answers forgotten."""
    max_entries: Annotated[int, Field(ge=1)] = 1_000
    """Answers that are kept at most; those asked for least recently make room."""
    max_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    """Size that all of them may have together, as JSON text."""
