"""Write the head of a request, if it can be written: nothing in it may end a line but us."""

import re
from collections.abc import Sequence
from functools import lru_cache

from plugway.http1.errors import BadRequestError

Headers = Sequence[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_TARGET = re.compile(rb"/[!-~]*")
OURS = {
    b"accept-encoding",
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"keep-alive",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""What the connection and the framing of messages depend on, which the pool alone knows."""


def write(
    method: bytes, base: bytes, target: bytes, fixed: bytes, headers: Headers, body: bytes | None
) -> bytes:
    """Return the head of a request.

    `base` stands before the path, and `fixed` are lines, in all that one pool sends. Raises
    `BadRequestError`, which tells no values: they may be secrets.
    """
    if not _is_token(method):
        raise BadRequestError(f"{method!r} is no method")
    if not _TARGET.fullmatch(target):
        raise BadRequestError("the target is no path, or has characters that none may have")
    lines = [b"%b %b%b HTTP/1.1\r\n%b" % (method, base, target, fixed)]
    for name, value in headers:
        _check_name(name)
        lines.append(b"%b: %b\r\n" % (name, value))
    if body is not None or method == b"POST":
        lines.append(b"content-length: %d\r\n" % len(body or b""))
    head = b"".join(lines)
    # one search of all is cheaper than one of each value
    breaks = fixed.count(b"\n") + len(lines)
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise BadRequestError(f"the header {_broken(headers)!r} has a line break or NUL in it")
    return head + b"\r\n"


def _broken(headers: Headers) -> str:
    """Return the first header whose value can't be sent."""
    found = (
        name for name, value in headers if any(sign in value for sign in (b"\r", b"\n", b"\0"))
    )
    return next(found, b"?").decode("latin-1")


def _check_name(name: bytes) -> None:
    fault = _fault(name)
    if fault:
        raise BadRequestError(fault)


@lru_cache(maxsize=512)
def _is_token(word: bytes) -> bool:
    return _TOKEN.fullmatch(word) is not None


@lru_cache(maxsize=512)
def _fault(name: bytes) -> str:
    """Say what is wrong with a header's name; empty when nothing is."""
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is no name of a header"
    return f"the header {name.decode()!r} is set by the pool" if name.lower() in OURS else ""
