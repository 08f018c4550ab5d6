"""What requests are answered from, and the way from a name to the server that has it."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from plugway.dispatch.exchange import Ask, Caller, Log, Progress, Session
from plugway.dispatch.parking import Parks
from plugway.dispatch.rounds import Rounds
from plugway.dispatch.sealing import Sealer
from plugway.executor.chain import Chain
from plugway.federation.catalog import Catalog, Target
from plugway.jsonrpc import INVALID_PARAMS, UPSTREAM_UNAVAILABLE, RpcError
from plugway.methods import Kind
from plugway_hookspecs import Operation, ServerError
from plugway_hookspecs.frozen import EMPTY


class Chains(Protocol):
    """Where the chain of a hook is found; a reload replaces all of them at once."""

    def chain(self, hook: str) -> Chain[Any]:
        """Return the hook's chain as it is compiled now."""
        ...


class UpstreamCalls(Protocol):
    """The part of an upstream that requests need."""

    @property
    def extensions(self) -> Sequence[str] | None:
        """The extensions that clients may use, as far as that is configured."""
        ...

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Progress | None = None,
        on_log: Log | None = None,
        log_level: str | None = None,
        tool_schema: Mapping[str, Any] | None = None,
        caller: Caller | None = None,
        on_ask: Ask | None = None,
        extensions: Mapping[str, Any] = EMPTY,
    ) -> dict[str, Any]:
        """Send one request and return its raw result."""
        ...

    def link(self, caller: Caller | None) -> Hashable:
        """Return what a client's requests go through."""
        ...

    def asks(self, caller: Caller | None) -> Mapping[str, Any]:
        """Return what the server may ask a client: the capabilities that it is told of."""
        ...

    def needs_roots(self, caller: Caller | None) -> bool:
        """Whether the server wants to know a client's roots, and the client has yet to say them."""
        ...

    async def watch(
        self,
        uris: Sequence[str],
        caller: Caller | None,
        updated: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        """Call `updated` with the URI of each of these resources that changes, until cancelled."""
        ...

    async def tell(self, session: Session, method: str) -> None:
        """Pass a client's notification on, if the server has a session for it."""
        ...

    async def set_level(self, session: Session, level: str) -> None:
        """Have the server log for a client, if it has a session for it."""
        ...

    def pushes(self, caller: Caller | None) -> bool:
        """Whether the server asks the client in the middle of a request, and waits."""
        ...


class Parts(Protocol):
    """The parts of a gateway that requests are answered from."""

    @property
    def catalog(self) -> Catalog:
        """What all servers offer."""
        ...

    @property
    def upstreams(self) -> Mapping[str, UpstreamCalls]:
        """The servers, by name."""
        ...

    @property
    def chains(self) -> Chains:
        """The plugins."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """How large a message may be that plugins see."""
        ...

    @property
    def rounds(self) -> Rounds:
        """What plugins noted about requests that go on in another round."""
        ...

    @property
    def sealer(self) -> Sealer:
        """What seals the state of requests that go on in another round."""
        ...

    @property
    def parks(self) -> Parks:
        """Requests that wait in their servers for another round."""
        ...

    def hold(self) -> AbstractContextManager[Any]:
        """Keep the parts in use for as long as a block takes."""
        ...

    @property
    def deny_as_error(self) -> bool:
        """Whether a denied tool call is a JSON-RPC error."""
        ...


async def look_up(
    parts: Parts, kind: Kind, name: str, operation: Operation, caller: Caller | None
) -> Target | None:
    """Find the server that has a name, if any, and note in the operation where it goes.

    Raises `ServerUnavailableError` or `RpcError` where it can't be told.
    """
    operation.name = name
    try:
        target = await parts.catalog.find(kind, name, caller)
    except ServerError as error:
        raise cant_list(kind, error) from error
    operation.server = target.member.name if target else ""
    operation.definition = target.definition if target else None
    return target


async def find(
    parts: Parts, kind: Kind, name: str, operation: Operation, caller: Caller | None
) -> Target:
    """Find the server that has a name as `look_up` does; raises `RpcError` if there is none."""
    target = await look_up(parts, kind, name, operation, caller)
    if target is None:
        raise unknown(kind, name)
    return target


def unknown(kind: Kind, name: str) -> RpcError:
    """Return the error for a name that nobody has."""
    what = "resource" if kind is Kind.RESOURCE else kind.name.lower()
    data = {"uri": name} if kind is Kind.RESOURCE else None
    return RpcError(INVALID_PARAMS, f"Unknown {what}: {name}", data)


def cant_list(kind: Kind, error: ServerError) -> RpcError:
    """Return the error for a server that refuses to list; no guard has seen its own text."""
    message = f"Server {error.server!r} can't list its {kind.value} (error {error.code})"
    return RpcError(UPSTREAM_UNAVAILABLE, message)
