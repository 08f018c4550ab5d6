"""Asking a server at startup what it is and what it has."""

from dataclasses import dataclass
from typing import Any

from plugway_external_bridge.config import ExternalConfig
from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.wire import contextforge, sep2624
from plugway_external_bridge.wire.operations import HOST_META
from plugway_external_bridge.wire.plain import as_object, list_or_none, object_or_none
from plugway_hookspecs import Server, ServerError

_MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a list method has, from all its pages."""

    items: list[Any]
    host: dict[str, Any] | None
    """What a plugway host says about itself; None from any other server."""


async def list_all(server: Server, method: str, key: str) -> Listing:
    """Follow a list method to its end; raises `SetupError` for a list without one."""
    items: list[Any] = []
    host: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    for _ in range(_MAX_PAGES):
        result = await server.request(method, params)
        page = list_or_none(result.get(key))
        if page is None:
            raise SetupError(f"server {server.name!r} answered {method} without {key!r}")
        items += page
        host = host or object_or_none(as_object(result.get("_meta")).get(HOST_META))
        if not isinstance(cursor := result.get("nextCursor"), str):
            return Listing(items, host)
        params = {"cursor": cursor}
    raise SetupError(f"server {server.name!r} has more than {_MAX_PAGES} pages of {method}")


async def list_interceptors(server: Server, config: ExternalConfig) -> Listing | None:
    """Return the server's interceptors, or None where ContextForge's protocol is to be tried.

    Raises `SetupError` where the configuration, or the server itself, says interceptors and the
    list can't be had.
    """
    if config.dialect == "contextforge" or config.plugin is not None:
        return None
    expected = (
        config.dialect == "interceptors"
        or config.interceptors is not None
        or sep2624.declared(server.capabilities)
    )
    try:
        return await list_all(server, sep2624.LIST, "interceptors")
    except ServerError as error:
        # older servers have other codes than "method not found" for a method they do not know
        if expected:
            message = f"server {server.name!r} answered {sep2624.LIST} with error {error.code}"
            raise SetupError(message) from error
        return None


async def list_tools(server: Server) -> frozenset[str]:
    """Return the names of the server's tools; raises `SetupError` if none takes hooks."""
    try:
        listing = await list_all(server, "tools/list", "tools")
    except ServerError as error:
        raise SetupError(_no_plugins(server)) from error
    names = frozenset(str(as_object(tool).get("name")) for tool in listing.items)
    if contextforge.INVOKE_HOOK not in names:
        raise SetupError(_no_plugins(server))
    return names


def _no_plugins(server: Server) -> str:
    return (
        f"server {server.name!r} offers no plugins: it knows neither the method {sep2624.LIST!r} "
        f"nor the tool {contextforge.INVOKE_HOOK!r}"
    )
