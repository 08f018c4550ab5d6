"""Virtual servers: selections of what several servers offer, each with an endpoint of its own."""

from pydantic import model_validator

from plugway.config.fields import problem
from plugway.config.models import Model
from plugway.executor.conditions import Given


class VirtualServer(Model):
    """A selection of what servers offer, at an endpoint of its own.

    Patterns are globs on the names that `/mcp` has; a leading `!` excludes. A list that is not
    given stands for all that `servers` have, and without `servers` for nothing.
    """

    servers: list[str] | None = None
    """Names of exposed servers in `mcpServers`; where it is not given, lists choose from all."""
    tools: Given = None
    """Which tools: names as `/mcp` has them, such as `crm__*` or `!crm__delete*`. Where it is not
    given: all of `servers`; without `servers`, none."""
    prompts: Given = None
    """Which prompts, likewise."""
    resources: Given = None
    """Which resources and templates, by their URIs as `/mcp` has them, such as `crm+file:///*`;
    likewise. `.` and `..`, percent signs and the like open no way round it."""
    instructions: str | None = None
    """What it tells the model about itself; where it is not given, what its servers say."""
    prefix: bool = True
    """Whether names keep their servers' prefixes. Without them, the first server in `mcpServers`
    keeps a name that several have, and the others' is reported as missing."""

    @model_validator(mode="after")
    def _not_empty(self) -> "VirtualServer":
        if not (self.servers or self.tools or self.prompts or self.resources):
            raise problem(
                "virtual", "offers nothing: needs `servers`, `tools`, `prompts` or `resources`"
            )
        return self
