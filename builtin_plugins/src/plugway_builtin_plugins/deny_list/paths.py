"""See through the ways to write one path or URI, so that a glob catches them all."""

import posixpath
from urllib.parse import unquote


def spellings(text: str) -> set[str]:
    """Return a value and what it comes to: decoded, without `.`, `..`, `//` and backslashes."""
    found = {text}
    if "%" in text:
        found.add(unquote(text))
    if any(mark in text for mark in "/\\%"):
        found |= {_resolve(each) for each in found}
    return found


def _resolve(path: str) -> str:
    scheme, mark, rest = path.replace("\\", "/").partition("://")
    if not mark:
        scheme, rest = "", scheme
    resolved = posixpath.normpath(rest) if rest else ""
    if resolved.startswith("//"):
        resolved = resolved[1:]
    return scheme + mark + resolved
