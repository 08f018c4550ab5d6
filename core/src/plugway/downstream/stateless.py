"""Answer clients of the stateless era (2026-07-28) without the SDK: one POST, one answer.

It takes the requests that there is nothing to say against; all others, and the methods that want a
stream of their own, go on to the SDK's edge, whose word on bad input is the only one. Both ask the
one dispatcher.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    decode_header_value,
)
from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Request
from plugway.downstream.answering import Answering, Asked
from plugway.downstream.endpoints import endpoint_of
from plugway.downstream.envelopes import envelope_of
from plugway.downstream.fields import Fields, fields_of
from plugway.downstream.headers import without_credentials
from plugway.federation.lens import Lens
from plugway.generation import Generation
from plugway.jsonvalues import is_object
from plugway.methods import LISTINGS, Kind
from plugway.mirrored import mirrored
from plugway.spans import recorded

MAX_REMEMBERED = 256
"""How long the values of headers may be that are remembered with what was made of them."""
_REMEMBERED = ("accept", "host", "origin")

_FIELDS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "tools/call": {"name": lambda it: isinstance(it, str), "arguments": is_object},
    "prompts/get": {
        "name": lambda it: isinstance(it, str),
        "arguments": lambda it: is_object(it) and all(isinstance(v, str) for v in it.values()),
    },
    "resources/read": {"uri": lambda it: isinstance(it, str)},
    **{name: {"cursor": lambda it: isinstance(it, str)} for name in LISTINGS},
}
"""Params that need no model of the SDK's to be checked; what has others goes to the SDK's edge."""


class Stateless:
    """An ASGI application in front of the SDK's; bodies arrive in one piece."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        dispatcher: Dispatcher,
        security: TransportSecuritySettings,
    ) -> None:
        """Answer what comes to `path`, and have `app` answer the rest."""
        self._app = app
        self._path = path
        self._dispatcher = dispatcher
        self._recorded = recorded()
        checked = security.enable_dns_rebinding_protection
        self._host_allowed = lru_cache(256)(_Allowed(security.allowed_hosts if checked else None))
        self._origin_allowed = lru_cache(256)(
            _Allowed(security.allowed_origins if checked else None)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on as it came."""
        fields = fields_of(scope)
        if scope["path"] != self._path or not self._is_for_here(scope, fields):
            await self._app(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            asked = self._read(scope, fields, first["body"])
            if asked is not None:
                await Answering(asked, receive, send).run(self._dispatcher)
                return
        unread = [first]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, again, send)

    def _is_for_here(self, scope: Scope, fields: Fields) -> bool:
        return (
            scope["method"] == "POST"
            and fields.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS
            and fields.get(MCP_METHOD_HEADER) in _FIELDS
            and not fields.doubled
            and all(len(fields.get(name, "")) <= MAX_REMEMBERED for name in _REMEMBERED)
            and fields.get("content-type", "").lower().startswith("application/json")
            and _accepts_both(fields.get("accept", ""))
            and self._host_allowed(fields.get("host", ""))
            and ("origin" not in fields or self._origin_allowed(fields["origin"]))
        )

    def _read(self, scope: Scope, fields: Fields, body: bytes) -> Asked | None:
        """Return the request in a body, or None where there is anything to be said against it."""
        try:
            message = from_json(body)
        except ValueError:
            return None
        match message:
            case {"jsonrpc": "2.0", "id": str() | int() as ident, "method": method} if (
                ident is not True
                and ident is not False
                and method == fields[MCP_METHOD_HEADER]
                and is_object(params := message.get("params"))
                and is_object(meta := params.get("_meta"))
            ):
                pass
            case _:
                return None
        if meta.get(PROTOCOL_VERSION_META_KEY) != fields[MCP_PROTOCOL_VERSION_HEADER]:
            return None
        token = meta.get("progressToken")
        envelope = envelope_of(meta)
        endpoint = self._dispatcher.generation.endpoint(endpoint_of(scope))
        if (
            envelope is None
            or endpoint is None
            or (token is not None and type(token) not in {str, int})
            or not _well_formed(method, params)
            or not _names_agree(method, params, fields)
        ):
            return None
        request = Request(
            method,
            params,
            envelope.client,
            modern=True,
            headers=without_credentials(fields),
            log_level=envelope.log_level,
            caller=envelope.caller,
            view=endpoint.view,
        )
        if method == "tools/call" and _mirrors(self._dispatcher.generation, request):
            return None
        return Asked(ident, request, token, self._recorded or "traceparent" in meta)


class _Allowed:
    """Whether a `Host` or `Origin` is one of those that are allowed, as the SDK decides it."""

    def __init__(self, allowed: list[str] | None) -> None:
        """Allow these, of which some stand for any port, or everything."""
        self._allowed = None if allowed is None else frozenset(allowed)
        self._any_port = tuple(each[:-1] for each in allowed or () if each.endswith(":*"))

    def __call__(self, value: str) -> bool:
        if self._allowed is None:
            return True
        return value in self._allowed or value.startswith(self._any_port)


@lru_cache(256)
def _accepts_both(accept: str) -> bool:
    kinds = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    return kinds >= {"application/json", "text/event-stream"}


def _well_formed(method: str, params: Mapping[str, Any]) -> bool:
    known = _FIELDS[method]
    for name, value in params.items():
        if name != "_meta" and ((check := known.get(name)) is None or not check(value)):
            return False
    return True


def _mirrors(generation: Generation, request: Request) -> bool:
    """Whether arguments of the tool are mirrored in headers, which the SDK's edge checks."""
    target = Lens(request.view, generation.catalog).known(Kind.TOOL, request.params["name"])
    schema = target and target.definition and target.definition.get("inputSchema")
    return is_object(schema) and bool(mirrored(schema))


def _names_agree(method: str, params: Mapping[str, Any], fields: Fields) -> bool:
    key = NAME_BEARING_METHODS.get(method)
    if key is None:
        return True
    name, header = params.get(key), fields.get(MCP_NAME_HEADER)
    return name is not None and decode_header_value(header) == name
