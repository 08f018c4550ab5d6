"""What the parts of the configuration are made of: every key, with its meaning."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from plugway.config.exposure import EXPOSED, is_loopback
from plugway.config.fields import (
    Duration,
    Headers,
    Label,
    PluginMode,
    Prefix,
    Size,
    Url,
    Whole,
    problem,
)
from plugway.executor.conditions import Condition
from plugway_hookspecs import Mode, OnError


class Model(BaseModel):
    """Base of all parts: immutable, strict about keys, silent about values."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ServerConfig(Model):
    """An MCP server behind the gateway; `command` or `url` says how to reach it."""

    type: Literal["stdio", "http", "streamable-http", "sse"] | None = None
    """The transport, where a client's configuration names it; follows from the other keys.

    `sse` is the old HTTP+SSE transport (2024-11-05); without a `type` it is tried where the server
    takes no POST.
    """
    command: str | None = Field(default=None, min_length=1)
    """The program to start; it speaks MCP on its standard input and output."""
    args: list[str] = Field(default=[], repr=False)
    """The program's arguments."""
    env: dict[str, str] = Field(default={}, repr=False)
    """Environment variables that the program gets."""
    inherit_env: list[str] = []
    """Names of the gateway's own environment variables that the program gets as well.

    Without them it gets only what a program needs to start (PATH, HOME, USER and the like).
    """
    cwd: Path | None = None
    """The folder the program starts in."""
    url: Url | None = Field(default=None, repr=False)
    """The address of an HTTP server: its MCP endpoint, or with HTTP+SSE its event stream."""
    headers: Headers = Field(default={}, repr=False)
    """HTTP headers sent with every request, such as `Authorization`."""
    prefix: Prefix | None = None
    """What stands before `__` in the names that `/mcp` has; the server's name where it is not
    given, and "" for names without a prefix. Before the `+` in URIs it is in lower case, with `-`
    for `_`."""
    endpoint_prefix: bool = True
    """Whether names keep the prefix at the server's own endpoint, `/mcp/NAME`, too."""
    expose: bool = True
    """Whether clients see the server; a server that only serves plugins need not be exposed."""
    era: Literal["auto", "mirror", "modern", "legacy"] = "auto"
    """Which MCP is spoken with the server: `modern` (2026-07-28), `legacy` (sessions), or what it
    answers to. Of a server that speaks both, clients with sessions get a session where it can ask
    them something there (`auto`), or always (`mirror`)."""
    asks: list[Literal["elicitation", "sampling", "roots"]] = ["elicitation", "sampling", "roots"]
    """What the server may ask of clients, where they offer it; it is told of nothing else."""
    extensions: list[str] | None = None
    """The extensions of MCP that clients may use with it, such as `io.modelcontextprotocol/tasks`;
    no hook sees their own messages. By default all where no plugin guards tools, prompts,
    resources or what servers ask clients, and `io.modelcontextprotocol/ui` everywhere."""
    max_sessions: Whole | None = Field(default=None, gt=0)
    """How many clients may have a session of their own with it: 1,000, or 20 programs. More of them
    share one in which the server can ask them nothing."""
    session_idle: Duration = 600.0
    """How long a client's own session, or program, is kept while nobody uses it."""
    timeout: Duration = 60.0
    """How long one request may take."""
    connect_timeout: Duration = 10.0
    """How long connecting, or starting the program, may take."""
    list_timeout: Duration = 5.0
    """How long the gateway waits for the server when a client lists tools, prompts or resources."""
    required: bool = False
    """Whether the gateway refuses to start without this server."""
    max_concurrency: Whole = Field(default=64, gt=0)
    """How many requests may be under way at the same time; more of them wait."""

    def effective_prefix(self, name: str) -> str:
        """Return the prefix, with the server's own name filled in; "" for none."""
        return name if self.prefix is None else self.prefix

    @property
    def session_limit(self) -> int:
        """How many clients may have a session of their own, with the default filled in."""
        return self.max_sessions or (20 if self.transport == "stdio" else 1000)

    @property
    def transport(self) -> Literal["stdio", "http"]:
        """How the server is reached."""
        return "http" if self.command is None else "stdio"

    @model_validator(mode="after")
    def _one_transport(self) -> "ServerConfig":
        if (self.command is None) == (self.url is None):
            raise problem("transport", "needs either `command` or `url`, and not both")
        foreign = {"headers"} if self.command else {"args", "env", "inherit_env", "cwd"}
        if wrong := sorted(foreign & self.model_fields_set):
            other = "url" if self.command else "command"
            raise problem("transport", "{keys} belongs to `{other}`", keys=wrong[0], other=other)
        if self.type and (self.type == "stdio") != (self.transport == "stdio"):
            key = "command" if self.command else "url"
            raise problem("transport", "`type` contradicts `{key}`: remove it", key=key)
        if self.type == "sse" and self.era == "modern":
            raise problem("sse", "`type: sse` is of the legacy era: remove `era`")
        return self


class PluginEntry(Model):
    """One instance of a plugin kind, at its place in the chain."""

    name: Label
    """The instance's name, in records, logs and errors; each name only once."""
    kind: str = Field(min_length=1)
    """The plugin kind, as `plugway plugins` lists them."""
    priority: Whole | None = None
    """Where it stands: lower first; equal ones in the order of the file. What the kind says where
    it is not given: 100 for most."""
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
    capabilities: list[Literal["read_headers", "read_claims", "write_headers"]] | None = None
    """What it may read besides payloads, such as `read_headers`; what the kind asks for where it
    is not given."""
    required: bool = True
    """Whether the gateway refuses to start without it."""
    server: str | None = None
    """The server in `mcpServers` that an external plugin is on."""
    retry_after: Duration = 30.0
    """With `on_error: disable`, how long the plugin rests; then one call is its trial."""
    while_disabled: Literal["deny", "skip"] = "deny"
    """With `on_error: disable`, what happens while the plugin rests: what it guards is denied, or
    goes on without it."""
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


HEALTH_PATH = "/health"
"""Answers without a token."""

STATUS_PATH = "/status"
"""Says what the gateway holds at present."""


class GatewayConfig(Model):
    """The gateway itself, as clients meet it."""

    name: Label = "plugway"
    """The name it gives itself towards clients."""
    instructions: str | None = None
    """What it tells the model about itself; by default nothing but what its servers say."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on."""
    port: Whole = Field(default=8080, ge=0, le=65535)
    """The port to listen on; 0 for any that is free."""
    path: str = Field(default="/mcp", pattern=r"^/[^\s?#]*$")
    """The path of the MCP endpoint."""
    token: SecretStr | None = Field(default=None, min_length=1)
    """The bearer token that clients must send."""
    allowed_hosts: list[str] = []
    """`Host` headers that are accepted besides this machine's own, such as `gw.example:*`.

    On an address beyond this machine `Host` and `Origin` are checked only if hosts are named here.
    """
    allowed_origins: list[str] = []
    """`Origin` headers that are accepted besides this machine's, such as `https://app.example`."""
    request_timeout: Duration = 120.0
    """How long one request of a client may take, plugins and server together."""
    input_timeout: Duration = 600.0
    """How long a client may take to answer what a server asks (elicitation, sampling, roots); it
    does not count as time of the request."""
    state_keys: list[Annotated[SecretStr, Field(min_length=32)]] = []
    """Secrets of at least 32 characters that seal the `requestState` of requests which go on when
    the client has answered: the first one seals, all of them open. Without them the gateway makes
    one for itself, and what clients hold is worth nothing after a restart."""
    fast_lane: bool = True
    """Whether requests over HTTP are sent to servers without the MCP SDK's client, and those of the
    stateless era answered without its server, which take many times as long; off, it has all."""
    max_payload_bytes: Size = Field(default=ByteSize(4 * 1024 * 1024), gt=0)
    """The largest message that is let through, in either direction."""
    max_streams: Whole = Field(default=10_000, gt=0)
    """How many HTTP requests of clients may be open, event streams included; more get a 503."""
    max_sessions: Whole = Field(default=5_000, gt=0)
    """How many sessions clients of the handshake era may have; one more gets a 503."""
    session_idle: Duration = 600.0
    """How long a session lasts without any request or stream of its client; then it is a 404, and
    the client makes a new one."""
    replay_events: Whole = Field(default=1000, gt=0)
    """How many of the latest messages of a session are kept, so that its client can resume a stream
    that broke."""
    replay_session_bytes: Size = Field(default=ByteSize(8 * 1024 * 1024), gt=0)
    """What they may take; a message that does not fit in can't be sent again."""
    replay_total_bytes: Size = Field(default=ByteSize(64 * 1024 * 1024), gt=0)
    """What those of all sessions may take together; the oldest go first."""
    deny_as: Literal["result", "error"] = "result"
    """How a denied tool call reaches the client: a result that the model reads, or an error."""
    background_queue: Whole = Field(default=1000, gt=0)
    """How many calls may wait for `background` plugins, each with its payload; what is over is
    dropped, and counted."""
    background_workers: Whole = Field(default=4, gt=0)
    """How many calls of `background` plugins may run at the same time."""
    threads: Whole = Field(default=8, gt=0)
    """How many calls of `threaded` plugins may run at the same time; of one plugin half as many."""

    @property
    def exposed(self) -> bool:
        """Whether everybody who reaches the address gets in: beyond loopback, without a token."""
        return self.token is None and not is_loopback(self.host)

    @model_validator(mode="after")
    def _guarded(self) -> "GatewayConfig":
        if self.exposed:
            raise problem("exposed", EXPOSED)
        if self.path == HEALTH_PATH:
            raise problem("path", "`path` is where the health check answers: use another")
        if self.path == STATUS_PATH:
            raise problem("path", "`path` is where the status is: use another")
        if f"{self.path}/".startswith("/plugins/"):
            raise problem("path", "`path` is where the routes of plugins are: use another")
        return self


class AuditConfig(Model):
    """The audit file: one line for every request, written before its answer goes out."""

    file: Path
    """The file that lines are added to; a relative path starts at the configuration's folder."""
    sync: Literal["never", "always"] = "never"
    """Whether a line must be on the disk itself (`always`, with fsync: it survives a power cut), or
    may be with the operating system (`never`: it survives the end of the gateway)."""
    queue: Whole = Field(default=1000, gt=0)
    """How many lines may wait for the disk before `when_full` applies to new requests."""
    when_full: Literal["wait", "refuse"] = "wait"
    """What becomes of new requests while the queue is full: they wait, or get an error at once."""
    max_bytes: Size | None = Field(default=None, gt=0)
    """The size from which on the file is put aside as `FILE.1`; without it, it only grows."""
    keep: Whole = Field(default=10, gt=0)
    """How many files that were put aside are kept, `FILE.1` being the newest."""
