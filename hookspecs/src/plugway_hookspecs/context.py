"""What a plugin knows about the request it is called for."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from plugway_hookspecs.frozen import EMPTY, FrozenDict, freeze
from plugway_hookspecs.payloads import Payload
from plugway_hookspecs.shared import Shared

READ_HEADERS = "read_headers"
"""The capability to see the client's HTTP headers."""
READ_CLAIMS = "read_claims"
"""The capability to see the claims that authentication established about the user."""
WRITE_HEADERS = "write_headers"
"""The capability to give the client HTTP headers, as `Deny.http_headers` does."""
CAPABILITIES = frozenset({READ_HEADERS, READ_CLAIMS, WRITE_HEADERS})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as far as authentication established it."""

    user: str | None = None
    tenant: str | None = None
    groups: tuple[str, ...] = ()
    claims: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", freeze(self.claims))


ANONYMOUS = Principal()


@dataclass(frozen=True, slots=True)
class Client:
    """The MCP client: what it says of itself, never a basis for a decision."""

    name: str = ""
    version: str = ""
    protocol_version: str = ""
    transport: str = ""
    """`stdio` or `http`; empty where no client is behind the request."""
    capabilities: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        object.__setattr__(self, "capabilities", freeze(self.capabilities))


NO_CLIENT = Client()


class Finding(NamedTuple):
    """Something a plugin put on record without deciding anything."""

    plugin: str
    hook: str
    key: str
    value: Any


# made for every request: `dict[str, Any]()` takes seven times as long as `dict()`
_NOTES = cast("Callable[[], dict[str, Any]]", dict)
_FINDINGS = cast("Callable[[], list[Finding]]", list)


@dataclass(slots=True, eq=False)
class Operation:
    """One MCP operation on its way through the gateway; the part of it that all plugins share."""

    id: str
    method: str
    name: str = ""
    """The tool or prompt name, or the resource URI, as `/mcp` has it; empty for lists."""
    server: str = ""
    """The upstream that will answer; empty for lists and where nothing is known under the name."""
    definition: Mapping[str, Any] | None = None
    """The tool, prompt or resource as its server lists it."""
    request: Payload | None = None
    """The request as it left the pre chain; set when it is sent, and before the post chain runs."""
    principal: Principal = ANONYMOUS
    client: Client = NO_CLIENT
    denied: bool = False
    """Whether a deny is what the client gets: a wrapper may ask again after one, and succeed."""
    deadline: float | None = None
    """`anyio.current_time()` seconds at which the gateway gives the request up."""
    trace: Mapping[str, str] = EMPTY
    """W3C trace context: `traceparent`, `tracestate`, `baggage`."""
    headers: Mapping[str, str] = EMPTY
    shared: dict[str, Any] = field(default_factory=_NOTES)
    staged: bool = False
    """Whether a plugin has used the shared notes, so that there may be changes to take over."""
    states: dict[str, dict[str, Any]] = field(default_factory=_NOTES)
    findings: list[Finding] = field(default_factory=_FINDINGS)
    record: list[Any] | None = None
    """Where the chain writes its record; None when nobody listens."""
    within: str = ""
    """The method that fetches what this is about, where `method` does not: `tools/call` for what a
    server asks in the middle of a tool's call, `prompts/get` for a prompt's completions."""
    chains: Callable[[str], Any] | None = None
    """Returns the chain of a hook as this operation meets it, whatever a reload does meanwhile;
    None where there are no others than those that the plugins were started with."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Whose view a context is: the plugin's name, the hook, and what it may read."""

    plugin: str
    hook: str = ""
    capabilities: frozenset[str] = frozenset()


class Context:
    """One plugin's view of one operation.

    It outlives one hook call, not one request: `state` written in a pre hook is there in the same
    plugin's post hook.
    """

    __slots__ = ("_findings", "_operation", "_scope", "_shared")
    # these two come to be when they are used: most turns use neither, and every turn would pay
    _findings: list[Finding]
    _shared: Shared

    def __init__(self, operation: Operation, scope: Scope) -> None:
        self._operation = operation
        self._scope = scope

    @property
    def request_id(self) -> str:
        """The gateway's own id of this request, the same in every hook, log line and record."""
        return self._operation.id

    @property
    def method(self) -> str:
        """The MCP method, such as `tools/call`."""
        return self._operation.method

    @property
    def within(self) -> str:
        """The method that fetches what this is about, where `method` does not; empty elsewhere.

        `tools/call` for what a server asks in the middle of a tool's call; `prompts/get` or
        `resources/read` for completions.
        """
        return self._operation.within

    @property
    def name(self) -> str:
        """The tool or prompt name, or the resource URI, as the client sees it; empty for lists.

        For a server's question it is that of the client's request in which the server asks.
        """
        return self._operation.name

    @property
    def server(self) -> str:
        """The name of the upstream that answers, or that asks; empty for lists."""
        return self._operation.server

    @property
    def definition(self) -> Mapping[str, Any] | None:
        """The tool, prompt or resource as its server lists it, or None if nothing is listed so."""
        return self._operation.definition

    @property
    def request(self) -> Payload | None:
        """The request as it left the pre chain; None until the post chain runs, and for lists.

        For a wrapper, what the server was asked when `call_next` was awaited last: a plugin inside
        may have changed it, or sent it to another name. None if the server was not asked.
        """
        return self._operation.request

    @property
    def principal(self) -> Principal:
        """Who is asking; the claims are empty without capability `read_claims`."""
        principal = self._operation.principal
        if not principal.claims or READ_CLAIMS in self._scope.capabilities:
            return principal
        return replace(principal, claims=EMPTY)

    @property
    def client(self) -> Client:
        """What the MCP client says of itself."""
        return self._operation.client

    @property
    def deadline(self) -> float | None:
        """`anyio.current_time()` seconds at which the gateway gives the request up."""
        return self._operation.deadline

    @property
    def trace(self) -> Mapping[str, str]:
        """W3C trace context of the request (`traceparent`, `tracestate`, `baggage`)."""
        operation = self._operation
        if type(operation.trace) is not FrozenDict:
            operation.trace = FrozenDict(operation.trace)
        return operation.trace

    @property
    def headers(self) -> Mapping[str, str]:
        """The client's HTTP headers in lower case; empty without capability `read_headers`."""
        if READ_HEADERS not in self._scope.capabilities:
            return EMPTY
        operation = self._operation
        if type(operation.headers) is not FrozenDict:
            operation.headers = FrozenDict(operation.headers)
        return operation.headers

    @property
    def state(self) -> MutableMapping[str, Any]:
        """The plugin's own notes; they survive from pre to post of the same request."""
        return self._operation.states.setdefault(self._scope.plugin, {})

    @property
    def shared(self) -> MutableMapping[str, Any]:
        """Notes that all plugins of this request share: JSON values, frozen when they are written.

        What a plugin writes is there for the next ones once its turn has ended well; of a plugin
        that fails nothing stays. Validators that run at the same time don't see each other's.
        """
        try:
            return self._shared
        except AttributeError:
            self._operation.staged = True
            self._shared = Shared(self._operation.shared)
            return self._shared

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was annotated through this context so far."""
        return tuple(getattr(self, "_findings", ()))

    def annotate(self, key: str, value: Any) -> None:
        """Add a finding, a JSON value, to the record without deciding anything; never a secret."""
        scope = self._scope
        finding = Finding(scope.plugin, scope.hook, key, freeze(value))
        self._operation.findings.append(finding)
        try:
            self._findings.append(finding)
        except AttributeError:
            self._findings = [finding]

    def settle(self) -> None:
        """Take over what was written to `shared`; the chain does so when a turn has ended well."""
        if (shared := getattr(self, "_shared", None)) is not None:
            shared.take_over()


def operation_of(context: Context) -> Operation:
    """Return the operation that a context is a view of; for the gateway, not for plugins."""
    return context._operation  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
