"""Put into words why a transport failed; never the text of an exception, which may hold secrets."""

import dataclasses
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import httpx2

from plugway.http1 import (
    BadRequestError,
    ConnectError,
    ConnectTimeoutError,
    DecodingError,
    HttpError,
    TooLongError,
)
from plugway.upstream import hints
from plugway.upstream.errors import Fault

GONE = Fault("closed the connection", unsent=True)
CLOSED = Fault("closed the connection before it answered")
SESSION_LOST = Fault("has forgotten the session", unsent=True, status=404)
STREAM_BROKEN = Fault("broke off its response before the answer")
ABANDONED = Fault("was asked by a caller that has given up")
NOT_JSON_RPC = Fault("answered with something that is not JSON-RPC")
BAD_REQUEST = Fault("was not asked: the request is not valid HTTP", "check `url` and `headers`")
TOO_LONG = Fault("answered with a message that is too long to be read")
NO_ENDPOINT = Fault(
    "is no server of the old HTTP+SSE transport: it opens no event stream that names an endpoint",
    "correct `url` (it usually ends in /sse), or remove `type`",
)
_PHRASES = {int(status): status.phrase for status in HTTPStatus}

NO_CERTIFICATES = Fault(
    "can't be connected: the trusted TLS certificates can't be read",
    "check SSL_CERT_FILE and SSL_CERT_DIR",
)
ENDLESS = Fault("redirects without end", "correct `url`")
SHUT_DOWN = Fault("is no longer connected: the gateway closed its connections")


def public_url(url: str) -> str:
    """Return an address without what may be secret in it: user, password, path, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))


def of_http_error(error: httpx2.HTTPError, url: str) -> Fault:
    """Say why an HTTP request failed; where no connection was made, nothing was sent."""
    where = f"could not be reached at {public_url(url)}"
    match error:
        case httpx2.ConnectTimeout():
            return Fault(f"{where}: no connection in time", "check host and port", unsent=True)
        case httpx2.ConnectError():
            why, hint = _connect_error(error)
            return Fault(f"{where}: {why}", hint, unsent=True)
        case httpx2.LocalProtocolError() | httpx2.UnsupportedProtocol():
            return BAD_REQUEST
        case httpx2.DecodingError():
            return NOT_JSON_RPC
        case _:
            return Fault("broke off the connection before it answered")


def of_http1_error(error: HttpError, url: str) -> Fault:
    """Say why an HTTP request failed; where no connection was made, nothing was sent."""
    where = f"could not be reached at {public_url(url)}"
    match error:
        case ConnectTimeoutError():
            return Fault(f"{where}: no connection in time", "check host and port", unsent=True)
        case ConnectError():
            why, hint = _connect_error(error)
            return Fault(f"{where}: {why}", hint, unsent=True)
        case BadRequestError():
            return BAD_REQUEST
        case DecodingError():
            return NOT_JSON_RPC
        case TooLongError():
            return TOO_LONG
        case _:
            return Fault("broke off the connection before it answered")


def of_status(status: int) -> Fault:
    """Say what an HTTP status means, where there is no JSON-RPC error with it."""
    phrase = f" ({_PHRASES[status]})" if status in _PHRASES else ""
    return Fault(f"answered HTTP {status}{phrase}", hints.from_status(status), status=status)


def of_stream_status(status: int) -> Fault:
    """Say what an HTTP status means where an event stream was asked for (HTTP+SSE)."""
    hint = hints.from_stream_status(status)
    return dataclasses.replace(of_status(status), hint=hint)


def of_endpoint_status(status: int) -> Fault:
    """Say what an HTTP status means where a message was posted to what the server named."""
    hint = hints.from_endpoint_status(status)
    return dataclasses.replace(of_status(status), hint=hint)


def of_foreign_endpoint(url: str) -> Fault:
    """Say that a server wants its messages, and our credentials, sent to another origin."""
    return Fault(
        f"wants messages sent to another origin, {public_url(url)}",
        "set `url` to that address if it is the intended server",
    )


def of_spawn_error(error: OSError, command: str, cwd: str) -> Fault:
    """Say why a program could not be started."""
    match error:
        case NotADirectoryError() if cwd:
            return Fault(f"could not be started: its folder {cwd!r} is not there", "correct `cwd`")
        case FileNotFoundError():
            place = "" if "/" in command else " on PATH"
            why = f"command {command!r} was not found{place}"
            return Fault(f"could not be started: {why}", "install it or give a full path")
        case PermissionError():
            why = f"command {command!r} may not be executed"
            return Fault(f"could not be started: {why}", "make the file executable")
        case _:
            return Fault(f"could not be started: command {command!r}: {error.strerror}")


def of_exit(code: int) -> Fault:
    """Say how a program ended that should have answered; negative codes are signals."""
    how = f"exited with code {code}" if code >= 0 else f"was ended by signal {-code}"
    return Fault(f"{how} before it answered")


def of_crash(error: BaseException) -> Fault:
    """Name an exception that nothing here foresees."""
    names = [type(cause).__name__ for cause in _causes(error)]
    return Fault(f"lost its connection ({names[-1]})")


def _connect_error(error: BaseException) -> tuple[str, str]:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                why = f"its TLS certificate is not trusted ({cause.verify_message})"
                return why, "correct the host in `url`, or install the certificate's authority"
            case ssl.SSLError():
                return "TLS failed", "check whether `url` must begin with http or https"
            case socket.gaierror():
                return "the host's name is not known", "check the host in `url`"
            case ConnectionRefusedError():
                return "connection refused", "is the server running there?"
            case _:
                pass
    return "no connection", "is the server running there?"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an exception comes from, and what the exceptions in a group come from."""
    seen: list[BaseException | None] = [error]
    while seen:
        current = seen.pop()
        if current is None:
            continue
        yield current
        seen += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            seen += cast("BaseExceptionGroup[BaseException]", current).exceptions
