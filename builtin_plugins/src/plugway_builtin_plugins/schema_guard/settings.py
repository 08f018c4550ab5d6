"""How strict an operator wants schemas to be taken."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from plugway_hookspecs import PluginConfig

Side = Literal["arguments", "results"]


class Settings(PluginConfig):
    """What goes under `config:` of a `schema_guard`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    check: Annotated[tuple[Side, ...], Field(min_length=1)] = ("arguments", "results")
    """What to check: `arguments` by `inputSchema`, structured `results` by `outputSchema`."""
    require_schema: bool = False
    """Whether what is checked and has no schema is denied; otherwise it passes, on record."""
    on_bad_schema: Literal["deny", "ignore"] = "deny"
    """What happens if a schema can't be used: it is wrong, refers to others, or is too large."""
    formats: bool = False
    """Whether `format` is checked; JSON Schema takes it for a comment."""
    max_errors: Annotated[int, Field(ge=1, le=50)] = 5
    """Errors that the client is told at most."""
    max_schema_bytes: Annotated[int, Field(ge=1)] = 256 * 1024
    """Size of a schema as JSON text that is too large to be used."""
