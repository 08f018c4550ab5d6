"""Find out which era a server speaks, and what it offers.

Modern servers answer `server/discover` (2026-07-28); everything that does not is taken for a server
of the `initialize` handshake (2025-11-25 and older). Only a server that names modern versions, none
of which is spoken here, is given up at once.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import anyio
from mcp_types import SERVER_INFO_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from plugway.upstream.calls import Call
from plugway.upstream.connection import Peer
from plugway.upstream.envelope import CLIENT_INFO
from plugway.upstream.errors import NoAnswerError
from plugway.upstream.values import as_object, as_strings
from plugway_hookspecs import ServerError
from plugway_hookspecs.frozen import EMPTY

_FINAL_STATUSES = frozenset({401, 403, 429})
"""HTTP statuses that are no verdict on the era: asking in another way would not help."""


class Exchange(Protocol):
    """The part of a connection that negotiation needs."""

    async def exchange(self, call: Call, *, protocol_version: str, modern: bool) -> dict[str, Any]:
        """Send one request; raises `ServerError` or `NoAnswerError`."""
        ...

    async def initialized(self, protocol_version: str) -> None:
        """Send `notifications/initialized`."""
        ...


class NotSpokenError(Exception):
    """The server's answer is no sign of the era that was asked for; `args[0]` continues "it"."""


async def negotiate(
    link: Exchange, era: str, *, probe_timeout: float, capabilities: Mapping[str, Any] = EMPTY
) -> Peer:
    """Agree with the server on an era (`auto`, `modern`, `legacy`) and a protocol version.

    A server that keeps silent for `probe_timeout` seconds is asked in the legacy way;
    `capabilities` are what is declared of the client then. Raises `ServerError`, `NoAnswerError` or
    `NotSpokenError`.
    """
    if era == "modern":
        return await _discover(link)
    if era == "legacy":
        return await _initialize(link, capabilities)
    with anyio.move_on_after(probe_timeout):
        try:
            return await _discover(link)
        except NotSpokenError:
            pass
        except NoAnswerError as error:
            if error.fault.status is None or error.fault.status in _FINAL_STATUSES:
                raise
        except ServerError as error:
            if _only_unknown_versions(error):
                raise
    return await _fall_back(link, capabilities)


async def _fall_back(link: Exchange, capabilities: Mapping[str, Any]) -> Peer:
    try:
        return await _initialize(link, capabilities)
    except ServerError as error:
        # the probe timed out here, but has made a slow server choose the modern era there
        if error.code == UNSUPPORTED_PROTOCOL_VERSION and (version := _mutual(_supported(error))):
            return await _discover(link, version)
        raise


async def _discover(link: Exchange, version: str = LATEST_MODERN_VERSION) -> Peer:
    try:
        result = await _ask_discover(link, version)
    except ServerError as error:
        other = _mutual(_supported(error))
        if error.code != UNSUPPORTED_PROTOCOL_VERSION or not other:
            raise
        result = await _ask_discover(link, other)
    agreed = _mutual(as_strings(result.get("supportedVersions")))
    if not agreed:
        raise NotSpokenError("does not speak the modern protocol (2026-07-28)")
    meta = as_object(result.get("_meta"))
    return _peer(result, as_object(meta.get(SERVER_INFO_META_KEY)), "modern", agreed)


async def _ask_discover(link: Exchange, version: str) -> dict[str, Any]:
    call = Call("server/discover", cancellable=False)
    return await link.exchange(call, protocol_version=version, modern=True)


async def _initialize(link: Exchange, capabilities: Mapping[str, Any]) -> Peer:
    params = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": capabilities,
        "clientInfo": CLIENT_INFO,
    }
    call = Call("initialize", params, cancellable=False)
    result = await link.exchange(call, protocol_version="", modern=False)
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise NotSpokenError(
            f"answered with protocol version {version!r}, which is not spoken here"
        )
    await link.initialized(version)
    info = as_object(result.get("serverInfo"))
    return _peer(result, info, "legacy", version, session=bool(call.session))


def _peer(
    result: dict[str, Any],
    info: Mapping[str, Any],
    era: Any,
    version: str,
    *,
    session: bool = False,
) -> Peer:
    instructions = result.get("instructions")
    return Peer(
        era=era,
        protocol_version=version,
        capabilities=as_object(result.get("capabilities")),
        server_info=info,
        instructions=instructions if isinstance(instructions, str) else "",
        session=session,
    )


def _supported(error: ServerError) -> list[str]:
    return as_strings(as_object(error.data).get("supported"))


def _mutual(versions: list[str]) -> str:
    """Return the newest modern version that both sides speak, or the empty string."""
    spoken = [version for version in MODERN_PROTOCOL_VERSIONS if version in versions]
    return spoken[-1] if spoken else ""


def _only_unknown_versions(error: ServerError) -> bool:
    versions = _supported(error)
    return (
        error.code == UNSUPPORTED_PROTOCOL_VERSION
        and bool(versions)
        and not any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in versions)
    )
