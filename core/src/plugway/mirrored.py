"""Which arguments of a tool are mirrored in HTTP headers (2026-07-28, SEP-2243)."""

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map

MAX_KNOWN = 1_000
"""How many schemas are remembered; all are forgotten then."""

_known: dict[int, tuple[Mapping[str, Any], Mapping[tuple[str, ...], str]]] = {}
"""By identity: a tool's schema is the same object until the list is fetched again."""


def mirrored(schema: Mapping[str, Any]) -> Mapping[tuple[str, ...], str]:
    """Return the headers' names by the path of the argument; none where annotations are invalid.

    A client may not call such a tool, and catalogs leave it out.
    """
    known = _known.get(id(schema))
    if known is None or known[0] is not schema:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        valid = find_invalid_x_mcp_header(schema) is None
        paths: Mapping[tuple[str, ...], str] = x_mcp_header_map(schema) if valid else {}
        known = _known[id(schema)] = (schema, paths)
    return known[1]
