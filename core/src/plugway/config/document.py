"""The configuration as a whole."""

from pathlib import Path

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from plugway.config.checks import dead_conditions, inconsistencies
from plugway.config.endpoints import endpoint_faults
from plugway.config.fields import Name
from plugway.config.models import AuditConfig, GatewayConfig, Model, PluginEntry, ServerConfig
from plugway.config.origin import Origin
from plugway.config.virtual import VirtualServer
from plugway.errors import ConfigError


class Config(Model):
    """What the gateway does: the servers behind it, the plugins around them, and itself."""

    servers: dict[Name, ServerConfig] = Field(default={}, validation_alias="mcpServers")
    """The servers, by name; the same block that MCP clients have."""
    virtual_servers: dict[Name, VirtualServer] = Field(
        default={}, validation_alias="virtualServers"
    )
    """Selections of what the servers offer, by name; each has an endpoint of its own."""
    plugins: list[PluginEntry] = Field(default=[])
    """The plugins; `priority` decides their order."""
    gateway: GatewayConfig = GatewayConfig()
    """The gateway itself."""
    audit: AuditConfig | None = None
    """The audit file; without this block there is none."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def file(self) -> Path | None:
        """The file it was read from."""
        return self._origin.file

    @property
    def notes(self) -> tuple[str, ...]:
        """What was ignored, read differently, or will never happen; one sentence each."""
        return (*self._origin.notes, *dead_conditions(self.servers, self.plugins))

    def error(self, message: str, *place: str | int) -> ConfigError:
        """Return an error about a place, such as `"plugins", 2, "kind"`, with its line."""
        return self._origin.error(message, place)

    def invalid(
        self, error: ValidationError, model: type[BaseModel], *place: str | int
    ) -> ConfigError:
        """Translate what pydantic found wrong in the part of the configuration at `place`.

        The messages have no values in them, so that no secret is; `model` is what was validated.
        """
        return self._origin.invalid(error, model, place)

    def model_post_init(self, context: object) -> None:
        """Keep where the configuration came from, which `parse` gives as the context."""
        if isinstance(context, Origin):
            self._origin = context

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        errors = [
            *inconsistencies(self.servers, self.plugins),
            *endpoint_faults(self.servers, self.virtual_servers, self.gateway.path),
        ]
        if errors:
            raise ValidationError.from_exception_data("Config", errors, hide_input=True)
        return self
