"""Speak JSON-RPC with a server over streamable HTTP, through the SDK."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client

from plugway.config import ServerConfig
from plugway.upstream.calls import Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.envelope import CLIENT_INFO
from plugway.upstream.errors import Fault
from plugway.upstream.guard import GuardedTransport

CONNECT_TIMEOUT = 10.0
"""Seconds for one TCP and TLS handshake."""
KEPT_ALIVE = 64
"""Idle connections that one upstream keeps open."""

_ssl_context = cache(httpx2.create_ssl_context)  # takes 20 ms, once in a process


@asynccontextmanager
async def http_pool() -> AsyncGenerator[httpx2.AsyncHTTPTransport]:
    """Open a pool of HTTP connections; it serves one upstream, across reconnects."""
    async with httpx2.AsyncHTTPTransport(
        verify=await anyio.to_thread.run_sync(_ssl_context),
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
) -> AsyncGenerator[Any]:
    """Open the SDK's transport to the server.

    `retire` is called when the server turns out to be out of reach, or to have lost the session.
    """
    url = config.url or ""
    async with (
        httpx2.AsyncClient(
            transport=GuardedTransport(pool, url, calls, retire),
            headers={"user-agent": f"plugway/{CLIENT_INFO['version']}"} | config.headers,
            timeout=httpx2.Timeout(None, connect=min(CONNECT_TIMEOUT, config.connect_timeout)),
            trust_env=False,
        ) as client,
        streamable_http_client(
            url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES
        ) as streams,
    ):
        yield streams
