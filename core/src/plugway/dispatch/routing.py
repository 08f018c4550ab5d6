"""What requests are answered from, and the way from a name to the server that has it."""

from collections.abc import Mapping
from typing import Any, Protocol

from plugway.dispatch.exchange import Log, Progress
from plugway.dispatch.rounds import Rounds
from plugway.executor.chain import Chain
from plugway.federation.catalog import Catalog, Target
from plugway.jsonrpc import INVALID_PARAMS, UPSTREAM_UNAVAILABLE, RpcError
from plugway.methods import Kind
from plugway_hookspecs import Operation, ServerError


class Chains(Protocol):
    """Where the chain of a hook is found; a reload replaces all of them at once."""

    def chain(self, hook: str) -> Chain[Any]:
        """Return the hook's chain as it is compiled now."""
        ...


class UpstreamCalls(Protocol):
    """The part of an upstream that requests need."""

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
    ) -> dict[str, Any]:
        """Send one request and return its raw result."""
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
    def deny_as_error(self) -> bool:
        """Whether a denied tool call is a JSON-RPC error."""
        ...


async def look_up(parts: Parts, kind: Kind, name: str, operation: Operation) -> Target | None:
    """Find the server that has a name, if any, and note in the operation where it goes.

    Raises `ServerUnavailableError` or `RpcError` where it can't be told.
    """
    operation.name = name
    try:
        target = await parts.catalog.find(kind, name)
    except ServerError as error:  # no guard has seen its text
        message = f"Server {error.server!r} can't list its {kind.value} (error {error.code})"
        raise RpcError(UPSTREAM_UNAVAILABLE, message) from error
    operation.server = target.member.name if target else ""
    operation.definition = target.definition if target else None
    return target


async def find(parts: Parts, kind: Kind, name: str, operation: Operation) -> Target:
    """Find the server that has a name as `look_up` does; raises `RpcError` if there is none."""
    target = await look_up(parts, kind, name, operation)
    if target is not None:
        return target
    what = "resource" if kind is Kind.RESOURCE else kind.name.lower()
    data = {"uri": name} if kind is Kind.RESOURCE else None
    raise RpcError(INVALID_PARAMS, f"Unknown {what}: {name}", data)
