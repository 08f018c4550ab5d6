"""Speak JSON-RPC with a server over streamable HTTP, through the SDK."""

import socket
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client

from plugway.config import ServerConfig
from plugway.upstream import faults
from plugway.upstream.calls import Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.envelope import CLIENT_INFO
from plugway.upstream.errors import Fault
from plugway.upstream.guard import GuardedTransport

CONNECT_TIMEOUT = 10.0
"""Seconds for one TCP and TLS handshake."""
KEPT_ALIVE = 64
"""Idle connections that one upstream keeps open."""

ssl_context = cache(httpx2.create_ssl_context)  # takes 20 ms, once in a process


@asynccontextmanager
async def http_pool() -> AsyncGenerator[httpx2.AsyncHTTPTransport]:
    """Open a pool of HTTP connections; it serves one upstream, across reconnects."""
    async with httpx2.AsyncHTTPTransport(
        verify=await anyio.to_thread.run_sync(ssl_context),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE),
        socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
    ) as pool:
        yield pool


@asynccontextmanager
async def http_transport(
    config: ServerConfig,
    pool: httpx2.AsyncBaseTransport,
    calls: Calls,
    retire: Callable[[Fault], None],
    listening: Callable[[bool], None],
) -> AsyncGenerator[Any]:
    """Open the SDK's transport to the server.

    `retire` is called when the server turns out to be out of reach, or to have lost the session;
    `listening` after each attempt to open the stream of what belongs to no request, with whether
    it is open.
    """
    url = httpx2.URL(config.url or "")
    shown = faults.public_url(config.url or "")  # the SDK and httpx2 write it into their logs
    async with (
        httpx2.AsyncClient(
            transport=GuardedTransport(pool, url.copy_with(userinfo=b""), calls, retire, listening),
            headers=headers_for(url, config.headers),
            timeout=httpx2.Timeout(None, connect=min(CONNECT_TIMEOUT, config.connect_timeout)),
            trust_env=False,
        ) as client,
        streamable_http_client(
            shown, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES
        ) as streams,
    ):
        yield streams


def headers_for(url: httpx2.URL, configured: Mapping[str, str]) -> httpx2.Headers:
    """Return the configured headers, with what the URL says about the user."""
    headers = httpx2.Headers({"user-agent": f"plugway/{CLIENT_INFO['version']}"})
    if url.userinfo:
        credentials = b":".join(unquote_to_bytes(part) for part in url.userinfo.split(b":", 1))
        headers["authorization"] = f"Basic {b64encode(credentials).decode()}"
    for name, value in configured.items():
        headers[name] = value
    return headers
