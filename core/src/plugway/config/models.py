"""Every key of the configuration, with its meaning; the reference is made from this file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from plugway.conditions import Condition, compile_patterns, impossible
from plugway.config.fields import (
    Duration,
    Headers,
    Name,
    PluginMode,
    Prefix,
    Size,
    Url,
    problem,
)
from plugway.config.origin import Origin
from plugway.errors import ConfigError
from plugway_hookspecs import Mode, OnError


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ServerConfig(_Model):
    """An MCP server behind the gateway; `command` or `url` says how to reach it."""

    type: Literal["stdio", "http", "streamable-http", "sse"] | None = None
    """The transport, where a client's configuration names it; follows from the other keys."""
    command: str | None = Field(default=None, min_length=1)
    """The program to start; it speaks MCP on its standard input and output."""
    args: list[str] = Field(default=[], repr=False)
    """The program's arguments."""
    env: dict[str, str] = Field(default={}, repr=False)
    """Environment variables that the program gets."""
    inherit_env: list[str] = []
    """Names of the gateway's own environment variables that the program gets as well.

    Without them it gets only what a program needs to start (PATH, HOME, locale and the like).
    """
    cwd: Path | None = None
    """The folder the program starts in."""
    url: Url | None = Field(default=None, repr=False)
    """The address of a streamable HTTP server."""
    headers: Headers = Field(default={}, repr=False)
    """HTTP headers sent with every request, such as `Authorization`."""
    prefix: Prefix | None = None
    """What stands before `__` in the names that clients see; the server's name where it is not
    given, and "" for names without a prefix."""
    expose: bool = True
    """Whether clients see the server; a server that only serves plugins need not be exposed."""
    era: Literal["auto", "modern", "legacy"] = "auto"
    """Which MCP the server speaks: `modern` (2026-07-28), `legacy` (sessions), or find out."""
    timeout: Duration = 60.0
    """How long one request may take."""
    connect_timeout: Duration = 10.0
    """How long connecting, or starting the program, may take."""
    list_timeout: Duration = 5.0
    """How long the gateway waits for the server when a client lists tools, prompts or resources."""
    required: bool = False
    """Whether the gateway refuses to start without this server."""
    max_concurrency: int = Field(default=64, gt=0)
    """How many requests may be under way at the same time; more of them wait."""

    @property
    def transport(self) -> Literal["stdio", "http"]:
        """How the server is reached."""
        return "http" if self.command is None else "stdio"

    @model_validator(mode="after")
    def _one_transport(self) -> "ServerConfig":
        if self.type == "sse":
            raise problem("sse", "the old HTTP+SSE transport is not spoken: use streamable HTTP")
        if (self.command is None) == (self.url is None):
            raise problem("transport", "needs either `command` or `url`, and not both")
        foreign = {"headers"} if self.command else {"args", "env", "inherit_env", "cwd"}
        if wrong := sorted(foreign & self.model_fields_set):
            other = "url" if self.command else "command"
            raise problem("transport", "{keys} belongs to `{other}`", keys=wrong[0], other=other)
        if self.type and (self.type == "stdio") != (self.transport == "stdio"):
            key = "command" if self.command else "url"
            raise problem("transport", "`type` contradicts `{key}`: remove it", key=key)
        return self


class PluginEntry(_Model):
    """One instance of a plugin kind, at its place in the chain."""

    name: str = Field(min_length=1, max_length=64)
    """The instance's name, in records, logs and errors; each name only once."""
    kind: str = Field(min_length=1)
    """The plugin kind, as `plugway plugins` lists them."""
    priority: int = 100
    """Where it stands: lower first; equal ones in the order of the file."""
    mode: PluginMode | None = None
    """What it may do; `enforce` where it is not given."""
    on_error: OnError | None = None
    """What its failure means; `fail` where it is not given."""
    timeout: Duration | None = None
    """How long one call may take."""
    threaded: bool = False
    """Whether plain `def` hooks run in a thread, so that they may block."""
    when: list[Condition] = []
    """Conditions, any of which must match; none means always."""
    capabilities: list[str] | None = None
    """What it may read besides payloads, such as `read_headers`; what the kind asks for where it
    is not given."""
    required: bool = True
    """Whether the gateway refuses to start without it."""
    server: str | None = None
    """The server in `mcpServers` that an external plugin is on."""
    retry_after: Duration = 30.0
    """With `on_error: disable`, how long the plugin rests."""
    config: dict[str, Any] = Field(default={}, repr=False)
    """The kind's own configuration."""

    @property
    def effective_mode(self) -> Mode:
        """The mode, with the default filled in."""
        return self.mode or Mode.ENFORCE

    @property
    def effective_on_error(self) -> OnError:
        """What a failure means, with the default filled in."""
        return self.on_error or OnError.FAIL

    @model_validator(mode="before")
    @classmethod
    def _legacy_mode(cls, data: Any) -> Any:
        match data:
            case {"mode": "enforce_ignore_error", **rest}:
                return {"on_error": OnError.IGNORE, **rest, "mode": Mode.ENFORCE}
            case _:
                return data

    @field_validator("when", mode="before")
    @classmethod
    def _one_condition(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class GatewayConfig(_Model):
    """The gateway itself, as clients meet it."""

    name: str = Field(default="plugway", min_length=1)
    """The name it gives itself towards clients."""
    instructions: str | None = None
    """What it tells the model about itself; by default nothing but what its servers say."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port to listen on; 0 for any that is free."""
    path: str = Field(default="/mcp", pattern=r"^/[^\s?#]*$")
    """The path of the MCP endpoint."""
    token: SecretStr | None = Field(default=None, min_length=1)
    """The bearer token that clients must send."""
    allowed_hosts: list[str] = []
    """`Host` headers that are accepted besides the address the gateway listens on."""
    allowed_origins: list[str] = []
    """`Origin` headers that are accepted, such as `https://app.example`."""
    request_timeout: Duration = 120.0
    """How long one request of a client may take, plugins and server together."""
    max_payload_bytes: Size = Field(default=ByteSize(4 * 1024 * 1024), gt=0)
    """The largest message that is let through, in either direction."""
    max_depth: int = Field(default=64, gt=0, le=128)
    """How deep the JSON of a message may be nested."""
    deny_as: Literal["result", "error"] = "result"
    """How a denied tool call reaches the client: a result that the model reads, or an error."""
    background_queue: int = Field(default=1000, gt=0)
    """How many calls may wait for `background` plugins; what is over is dropped, and counted."""
    threads: int = Field(default=8, gt=0)
    """How many `threaded` plugins may run at the same time."""


class Config(_Model):
    """What the gateway does: the servers behind it, the plugins around them, and itself."""

    servers: dict[Name, ServerConfig] = Field(default={}, alias="mcpServers")
    """The servers, by name; the same block that MCP clients have."""
    plugins: list[PluginEntry] = []
    """The plugins; `priority` decides their order."""
    gateway: GatewayConfig = GatewayConfig()
    """The gateway itself."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def file(self) -> Path | None:
        """The file it was read from."""
        return self._origin.file

    @property
    def notes(self) -> tuple[str, ...]:
        """What was ignored, read differently, or will never happen; one sentence each."""
        return (*self._origin.notes, *_dead_conditions(self))

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
        errors = [*_unknown_servers(self), *_same_names(self), *_same_prefixes(self)]
        errors += _never_called(self)
        if errors:
            raise ValidationError.from_exception_data("Config", errors, hide_input=True)
        return self


def _unknown_servers(config: Config) -> Iterator[InitErrorDetails]:
    for index, plugin in enumerate(config.plugins):
        if plugin.server is not None and plugin.server not in config.servers:
            found = problem("server", "is not in mcpServers", choices=list(config.servers))
            yield _at(found, "plugins", index, "server")


def _same_names(config: Config) -> Iterator[InitErrorDetails]:
    first: dict[str, int] = {}
    for index, plugin in enumerate(config.plugins):
        other = first.setdefault(plugin.name, index)
        if other != index:
            message = "plugins[{other}] has the same name: each name only once"
            yield _at(problem("twice", message, other=other), "plugins", index, "name")


def _same_prefixes(config: Config) -> Iterator[InitErrorDetails]:
    first: dict[str, str] = {}
    for name, server in config.servers.items():
        prefix = name if server.prefix is None else server.prefix
        if not prefix or not server.expose:
            continue
        other = first.setdefault(prefix, name)
        if other != name:
            message = "has the same prefix as the server {other}: give one of them another"
            yield _at(problem("twice", message, other=repr(other)), "mcpServers", name)


def _never_called(config: Config) -> Iterator[InitErrorDetails]:
    for index, plugin in enumerate(config.plugins):
        reasons = [_impossible(condition, config) for condition in plugin.when]
        if plugin.mode is not Mode.DISABLED and reasons and all(reasons):
            message = "the plugin would never be called: {reason}"
            yield _at(problem("never", message, reason=reasons[0]), "plugins", index, "when")


def _dead_conditions(config: Config) -> Iterator[str]:
    for plugin in config.plugins:
        for condition in plugin.when:
            if reason := _impossible(condition, config):
                yield f"the plugin {plugin.name!r} has a condition that never matches: {reason}"


def _impossible(condition: Condition, config: Config) -> str | None:
    """Say why a condition can't match in this configuration; None if it can."""
    for reason in impossible(condition):
        return reason
    servers = condition.server_ids
    if servers and not any(map(compile_patterns(servers), config.servers)):
        return "server_ids: no server in mcpServers has such a name"
    return None


def _at(error: PydanticCustomError, *place: str | int) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=place, input=None)
