"""A generation: everything that requests are answered from, from one reload to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import anyio

from plugway.dispatch.parking import Parks
from plugway.dispatch.rounds import Rounds
from plugway.dispatch.routing import Chains, UpstreamCalls
from plugway.dispatch.sealing import Sealer
from plugway.federation.catalog import Catalog
from plugway.federation.endpoints import Endpoint
from plugway.federation.federation import Federation
from plugway.federation.view import WHOLE
from plugway_hookspecs.frozen import EMPTY


@dataclass(slots=True, eq=False)
class Generation:
    """The parts that belong together; implements `plugway.dispatch.routing.Parts`.

    None of them is ever replaced: a reload makes another generation, with the same `rounds`. A
    request enters the one that is in force when it comes (`with generation:`) and is answered from
    it to its end.
    """

    catalog: Catalog
    upstreams: Mapping[str, UpstreamCalls]
    chains: Chains
    federation: Federation
    request_timeout: float
    """Seconds for a whole request."""
    max_payload_bytes: int
    deny_as_error: bool = False
    endpoints: Mapping[str, Endpoint] = field(default_factory=lambda: EMPTY)
    """The endpoints that show a part of the federation, by name."""
    input_timeout: float = 600.0
    """Seconds that a client has for what servers ask it."""
    rounds: Rounds = field(default_factory=Rounds)
    """What is kept of requests that go on in another round, under whichever generation."""
    sealer: Sealer = field(default_factory=Sealer)
    """What seals the state of such requests."""
    parks: Parks = field(default_factory=Parks)
    """Requests that wait in their servers for another round."""
    requests: int = field(default=0, init=False)
    """How many requests are under way."""
    retired: bool = field(default=False, init=False)
    drained: anyio.Event = field(default_factory=anyio.Event, init=False)
    """Set when it is retired and its last request has left."""
    _whole: Endpoint = field(init=False)

    def __post_init__(self) -> None:
        self._whole = Endpoint(WHOLE, self.federation)

    def __enter__(self) -> Self:
        self.requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.requests -= 1
        if self.retired and not self.requests:
            self.drained.set()

    def hold(self) -> Self:
        """Return the block for as long as which something is answered from it."""
        return self

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint of that name, which is empty for the whole federation's."""
        return self.endpoints.get(name) if name else self._whole

    def retire(self) -> None:
        """Expect no new requests; `drained` is set as soon as none is left."""
        self.retired = True
        if not self.requests:
            self.drained.set()
