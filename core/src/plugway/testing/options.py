"""What a test may say about a call, and about a plugin's place in a configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from plugway_hookspecs import Client, Mode, OnError, Payload, Principal


class CallOptions(TypedDict, total=False):
    """What the plugins see in their `context`, besides the payload."""

    principal: Principal
    """Who is asking; anonymous where it is not given."""
    client: Client
    """The MCP client."""
    headers: Mapping[str, str]
    """The client's HTTP headers; only plugins with the capability `read_headers` see them."""
    trace: Mapping[str, str]
    """W3C trace context: `traceparent`, `tracestate`, `baggage`."""
    server: str
    """The server that would answer; by default the one that the name's prefix stands for."""
    definition: Mapping[str, Any]
    """The tool, prompt or resource as its server would list it."""
    request: Payload
    """For a call with a result: the request that it answers."""
    during: Payload
    """For a server's question, or the answer to it: the call in whose course the server asks."""
    request_id: str
    """The gateway's id of the request; a new one by default."""


class EntryOptions(TypedDict, total=False):
    """The keys of the plugin's entry in a configuration, as `docs/configuration.md` has them."""

    mode: Mode | str
    on_error: OnError | str
    timeout: float | str
    threaded: bool
    when: Mapping[str, Sequence[str]] | Sequence[Mapping[str, Sequence[str]]]
    capabilities: Sequence[str]


class RunOptions(CallOptions, EntryOptions, total=False):
    """Both."""
