"""Send HTTP requests to a server's own origin, and to nowhere else."""

import httpx2

from plugway.upstream import faults
from plugway.upstream.errors import Fault, NoAnswerError

MAX_REDIRECTS = 3


async def send_within_origin(
    pool: httpx2.AsyncBaseTransport, request: httpx2.Request
) -> httpx2.Response:
    """Send a request, and again where the server redirects it within its own origin.

    The response's `request` is the one that was answered. Raises `NoAnswerError`.
    """
    for _ in range(MAX_REDIRECTS):
        response = await _send(pool, request)
        if not response.has_redirect_location:
            return response
        await response.aclose()
        there = redirected(
            request.url,
            response.headers["location"],
            method=request.method,
            status=response.status_code,
        )
        request = copy(request, url=there)
    raise NoAnswerError(faults.ENDLESS)


async def _send(pool: httpx2.AsyncBaseTransport, request: httpx2.Request) -> httpx2.Response:
    try:
        response = await pool.handle_async_request(request)
    except httpx2.HTTPError as error:
        raise NoAnswerError(faults.of_http_error(error, str(request.url))) from None
    response.headers.pop("set-cookie", None)  # callers share the connection, not a cookie jar
    response.request = request
    return response


def copy(request: httpx2.Request, *, url: httpx2.URL, without: bytes = b"") -> httpx2.Request:
    """Return the request for another URL, without one of its headers."""
    return httpx2.Request(
        request.method,
        url,
        headers=[item for item in request.headers.raw if item[0].lower() != without],
        stream=request.stream,
        extensions=request.extensions,
    )


def same_origin(here: httpx2.URL, there: httpx2.URL) -> bool:
    """Tell whether two addresses have scheme, host and port in common."""
    return _origin(here) == _origin(there)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def content_type(response: httpx2.Response) -> str:
    """Return a response's media type, without parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def redirected(here: httpx2.URL, location: str, *, method: str, status: int) -> httpx2.URL:
    """Return where to send a request instead; raises `NoAnswerError` to go nowhere else.

    Only 307 and 308 let a POST be a POST (RFC 9110, section 15.4).
    """
    try:
        there = here.join(location)
    except httpx2.InvalidURL:
        raise NoAnswerError(faults.of_status(status)) from None
    upgraded = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
    near = same_origin(here, there) or (upgraded and here.host == there.host)
    kept = status in {307, 308} or method == "GET"
    if near and kept:
        return there.copy_with(userinfo=b"")
    where = faults.public_url(str(there))
    hint = "set `url` to that address if it is the intended server"
    raise NoAnswerError(Fault(f"redirects to {where}", hint, status=status))
