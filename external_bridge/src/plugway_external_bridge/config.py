"""What an `external` plugin can be told under `config:`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from plugway_hookspecs import PluginConfig

Dialect = Literal["auto", "interceptors", "contextforge"]


class ExternalConfig(PluginConfig):
    """Which server, which of its plugins, and how to talk to them."""

    server: str
    """The server's name in `mcpServers`."""
    dialect: Dialect = "auto"
    """The protocol for plugins that the server speaks; `auto` finds out."""
    plugin: str | None = None
    """ContextForge: the plugin's name on the server. By default the one that is called as this
    instance is, or else all that the server offers."""
    interceptors: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Interceptors: the ones to use, by name. One that is missing is an error; without this list
    the server decides what there is."""
    hooks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The hooks to use, of those that the server offers."""
    payload: Literal["params", "request"] = "params"
    """Interceptors: whether a request is sent as the method's params, or with the method round
    them."""
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Interceptors: what is sent along as `config` with every invocation."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds that one call may take; the server is told."""

    @model_validator(mode="after")
    def _one_dialect(self) -> Self:
        if self.plugin is not None and (self.interceptors or self.dialect == "interceptors"):
            raise ValueError("'plugin' is for dialect contextforge; use 'interceptors' instead")
        mine = [key for key in ("interceptors", "config") if getattr(self, key)]
        if mine and (self.plugin is not None or self.dialect == "contextforge"):
            raise ValueError(f"{mine[0]!r} is for dialect interceptors only")
        return self
