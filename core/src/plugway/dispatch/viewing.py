"""Between a client's endpoint and the federation: names on the way in, names on the way out.

What lies between the two only ever sees federated names, so no rule about them depends on the
endpoint that a client chose.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plugway.dispatch.completing import KEYS, kind_of, unknown_reference
from plugway.dispatch.exchange import Request, Watches
from plugway.dispatch.routing import Parts, cant_list, unknown
from plugway.dispatch.shaping import META_UNAVAILABLE, unavailable_meta
from plugway.dispatch.subscribing import MAX_URIS
from plugway.federation.catalog import Unavailable
from plugway.federation.lens import Lens
from plugway.federation.naming import rename_app, rename_uris
from plugway.foreign import NAME
from plugway.jsonvalues import is_array, is_object
from plugway.methods import COMPLETION, FETCHES, LISTINGS, SUBSCRIPTION, Kind
from plugway_hookspecs import Operation, PlugwayError, Principal, ServerError

_LISTEN = "subscriptions/listen"
_URIS = "resourceSubscriptions"
_ABOUT = {
    **{fetch.name: fetch.kind for fetch in FETCHES.values()},
    SUBSCRIPTION.name: Kind.RESOURCE,
}
"""Methods that are about one thing, which their params name by the kind's identifier."""

log = logging.getLogger(__name__)


async def come_in(parts: Parts, request: Request, operation: Operation) -> Request:
    """Return the request in federated names; raises `RpcError` for what its endpoint has not."""
    if request.view.whole:
        return request
    coming = _Coming(Lens(request.view, parts.catalog, request.caller), request, operation)
    if (kind := _ABOUT.get(request.method)) is not None:
        return await coming.about(kind)
    if request.method == COMPLETION.name:
        return await coming.completion()
    if request.method == _LISTEN:
        return await coming.stream()
    return request


def go_out(parts: Parts, request: Request, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as the endpoint shows it of a request that `come_in` has returned."""
    if request.view.whole:
        return result
    lens = Lens(request.view, parts.catalog, request.caller)
    if (listing := LISTINGS.get(request.method)) is not None:
        return _shown(lens, listing.kind, result)
    if request.method in FETCHES:
        return rename_uris(result, lens.outward_uri)
    if request.method == _LISTEN and isinstance(request.watches, _Renamed):
        return request.watches.go_out(result)
    return result


class _Coming:
    """One request on its way in."""

    def __init__(self, lens: Lens, request: Request, operation: Operation) -> None:
        self.lens = lens
        self.request = request
        self.operation = operation

    async def about(self, kind: Kind) -> Request:
        key = kind.identifier
        name = self.request.params.get(key)
        if not isinstance(name, str):
            return self.request  # which is refused where all such are
        inward = await self._inward(kind, name)
        if inward is None:
            raise unknown(kind, name)
        return self._named({**self.request.params, key: inward}, {inward: name})

    async def completion(self) -> Request:
        params = self.request.params
        ref = params.get("ref")
        kind = kind_of(ref)
        name = ref.get(KEYS[kind]) if is_object(ref) else None
        inward = await self._inward(kind, name) if isinstance(name, str) else None
        if inward is None and kind is Kind.TEMPLATE and isinstance(name, str):
            inward = await self._inward(Kind.RESOURCE, name)
        if inward is None or not is_object(ref):
            raise unknown_reference(name if isinstance(name, str) else "")
        return self._named({**params, "ref": {**ref, KEYS[kind]: inward}}, {})

    async def stream(self) -> Request:
        """Leave out what the endpoint does not have, as is done with what nobody has."""
        wanted = self.request.params.get("notifications")
        uris = wanted.get(_URIS) if is_object(wanted) else None
        if not is_object(wanted) or not is_array(uris) or len(uris) > MAX_URIS:
            return self.request
        names: dict[str, str] = {}
        for uri in dict.fromkeys(each for each in uris if isinstance(each, str)):
            try:
                inward = await self._inward(Kind.RESOURCE, uri)
            except PlugwayError as error:
                about = self.operation.id, uri[:NAME], error
                log.info("request %s: %r is not followed: %s", *about)
            else:
                if inward is not None:
                    names.setdefault(inward, uri)
        self.operation.name = ""  # it is about many
        notifications = {**wanted, _URIS: list(names)}
        return self._named({**self.request.params, "notifications": notifications}, names)

    async def _inward(self, kind: Kind, name: str) -> str | None:
        """Return the federated name; if there is none, the record has at least what was asked."""
        self.operation.name = name
        try:
            return await self.lens.inward(kind, name)
        except ServerError as error:
            raise cant_list(kind, error) from error

    def _named(self, params: Mapping[str, Any], names: Mapping[str, str]) -> Request:
        """Return the request under federated names, without the header that has another."""
        given, watches = self.operation.headers, self.request.watches
        self.operation.headers = {key: value for key, value in given.items() if key != "mcp-name"}
        return replace(
            self.request,
            params=params,
            headers=self.operation.headers,
            watches=None if watches is None else _Renamed(watches, names),
        )


class _Renamed:
    """A client's watches, whose client has other names for what is followed."""

    def __init__(self, watches: Watches, names: Mapping[str, str]) -> None:
        self._watches = watches
        self._names = names
        """From federated URIs to those of the client."""

    async def add(self, uri: str, server: str, inward: str, principal: Principal) -> None:
        await self._watches.add(self._names[uri], server, inward, principal)

    def remove(self, uri: str) -> None:
        self._watches.remove(self._names[uri])

    def go_out(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return what is followed, in the names of the client."""
        followed = [self._names[uri] for uri in result["notifications"].get(_URIS, ())]
        return {**result, "notifications": {**result["notifications"], _URIS: followed}}


def _shown(lens: Lens, kind: Kind, result: dict[str, Any]) -> dict[str, Any]:
    """Select and rename what plugins left of a list, and report whose names are taken."""
    key = kind.identifier
    items: list[Any] = []
    missing: list[Unavailable] = []
    for item in result.get(kind.value, ()):
        name, taken = lens.shown(kind, str(item.get(key)))
        if name is not None:
            items.append({**rename_app(item, lens.outward_uri), key: name})
        elif taken is not None:
            log.error("%s", taken.reason)
            missing.append(taken)
    shown = {**result, kind.value: items}
    return _with_missing(shown, missing) if missing else shown


def _with_missing(result: dict[str, Any], missing: list[Unavailable]) -> dict[str, Any]:
    meta = result.get("_meta")
    meta = dict(meta) if is_object(meta) else {}
    told = meta.get(META_UNAVAILABLE)
    more = unavailable_meta(missing)[META_UNAVAILABLE]
    return {
        **result,
        "_meta": {**meta, META_UNAVAILABLE: [*(told if is_array(told) else ()), *more]},
    }
