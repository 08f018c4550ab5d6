"""Where requests go: an origin, and the proxy before it."""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: scheme (`http` or `https`), host and port.

    With `uds`, the path of a Unix socket, connections go there and the host is only a name.
    """

    scheme: str
    host: str
    port: int
    uds: str | None = None

    def __post_init__(self) -> None:
        if self.scheme not in _PORTS:
            raise ValueError(f"{self.scheme!r} is neither http nor https")
        if not _HOST.fullmatch(self.host) or any(sign in self.host for sign in "/?#@[]"):
            raise ValueError(f"{self.host!r} is no host")
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is no port")

    @classmethod
    def of(cls, url: str, *, uds: str | None = None) -> Self:
        """Return the origin of a URL; raises `ValueError`."""
        parts = urlsplit(url)
        port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        return cls(parts.scheme, _host(parts), port, uds)

    @property
    def authority(self) -> bytes:
        """Host and port, as CONNECT has them."""
        return f"{self._bracketed}:{self.port}".encode()

    @property
    def field(self) -> bytes:
        """The value of `Host`: with the port only where it is not the scheme's own."""
        own = self.port == _PORTS[self.scheme]
        return self._bracketed.encode() if own else self.authority

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the value of `Proxy-Authorization` where it wants one."""

    origin: Origin
    authorization: bytes | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `http://user:password@host:port`; raises `ValueError`, without the password."""
        parts = urlsplit(url)
        if parts.scheme != "http":
            raise ValueError(f"the proxy is reached by http, not by {parts.scheme!r}")
        if parts.username is None:
            return cls(Origin.of(url), None)
        pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        return cls(Origin.of(url), b"Basic " + b64encode(pair))


def _host(parts: SplitResult) -> str:
    """Return the host as DNS has it."""
    host = parts.hostname or ""
    return host if host.isascii() else host.encode("idna").decode()
