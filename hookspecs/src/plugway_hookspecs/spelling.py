"""See through the ways to write one path or URI, so that no guard misses any of them."""

import posixpath
from urllib.parse import unquote

DECODINGS = 3
"""How often percent signs are decoded; servers that decode more often than that are not known."""


def spellings(text: str) -> set[str]:
    """Return a path or URI and what it comes to.

    Percent signs are decoded; `.`, `..`, `//` and backslashes are resolved; a URI's scheme and host
    are in lower case, as RFC 3986 section 6.2 compares them.
    """
    found = {text}
    decoded = text
    for _ in range(DECODINGS):
        if "%" not in decoded:
            break
        decoded = unquote(decoded)
        found.add(decoded)
    if any(mark in text for mark in "/\\%"):
        found |= {_resolve(each) for each in found}
    return found


def _resolve(path: str) -> str:
    scheme, mark, rest = path.replace("\\", "/").partition("://")
    if not mark:
        scheme, rest = "", scheme
    elif rest:
        host, slash, tail = rest.partition("/")
        host = "" if host.lower() == "localhost" else host.lower()
        rest = host + slash + tail
    resolved = posixpath.normpath(rest) if rest else ""
    if resolved.startswith("//"):
        resolved = resolved[1:]
    return scheme.lower() + mark + resolved
