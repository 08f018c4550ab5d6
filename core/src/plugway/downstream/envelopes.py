"""What clients of the stateless era say of themselves in every request, checked once.

A client sends the same `_meta` with each of its requests (2026-07-28, basic/index), so what the
SDK's models say of it, and what is made of it, is remembered.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    methods,
)

from plugway.dispatch.exchange import Caller
from plugway.jsonvalues import is_object
from plugway_hookspecs import Client

MAX_KEY_BYTES = 1024
"""How long an envelope may be that is remembered, so that no client can fill the memory."""
MAX_KNOWN = 256
"""How many are remembered."""

_KEYS = (
    PROTOCOL_VERSION_META_KEY,
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
)


class Envelope(NamedTuple):
    """What a request says of its client."""

    client: Client
    caller: Caller
    log_level: str | None


def envelope_of(meta: Mapping[str, Any]) -> Envelope | None:
    """Return what the `_meta` of a request says, or None where it is not as it has to be.

    So it is with one that is too long to be remembered.
    """
    try:
        key = orjson.dumps([[meta[name]] if name in meta else 0 for name in _KEYS])
    except TypeError:  # such as integers beyond 64 bits
        return None
    return _read(key) if len(key) <= MAX_KEY_BYTES else None


@lru_cache(MAX_KNOWN)
def _read(key: bytes) -> Envelope | None:
    given = zip(_KEYS, orjson.loads(key), strict=True)
    meta: dict[str, Any] = {name: value[0] for name, value in given if value}
    version = str(meta.get(PROTOCOL_VERSION_META_KEY))
    try:
        methods.validate_client_request("tools/list", version, {"_meta": meta})
    except ValueError:  # pydantic's is one
        return None
    if not is_object(capabilities := meta.get(CLIENT_CAPABILITIES_META_KEY)):
        return None
    info: Mapping[str, Any] = meta.get(CLIENT_INFO_META_KEY) or {}
    client = Client(
        name=info.get("name", ""),
        version=info.get("version", ""),
        protocol_version=version,
        transport="http",
        capabilities=capabilities,
    )
    return Envelope(client, Caller(client.capabilities), meta.get(LOG_LEVEL_META_KEY))
