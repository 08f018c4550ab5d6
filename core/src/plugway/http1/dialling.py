"""Reach a host: the first of its addresses that answers, by way of a proxy where there is one."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

import anyio

from plugway.http1.errors import ConnectError
from plugway.http1.origin import Origin, Proxy

_HEAD_START = 0.25
"""Seconds that an address has before the next one is tried too (RFC 8305, section 5)."""
_MAX_REPLY = 65536
_Info = tuple[int, int, int, str, Any]


async def dial(origin: Origin, proxy: Proxy | None) -> socket.socket:
    """Return a connected socket; raises `OSError`, `UnicodeError` or `ConnectError`."""
    if origin.uds is not None:
        return await _connect((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", origin.uds))
    if proxy is None:
        return await _dial_host(origin.host, origin.port)
    sock = await _dial_host(proxy.origin.host, proxy.origin.port)
    if origin.scheme == "https":
        try:
            await _tunnel(sock, origin, proxy)
        except BaseException:
            sock.close()
            raise
    return sock


async def _dial_host(host: str, port: int) -> socket.socket:
    """Try a host's addresses, each a little after the last, as uvloop does not by itself."""
    loop = asyncio.get_running_loop()
    found: Sequence[_Info] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(found) == 1:
        return await _connect(found[0])
    won: list[socket.socket] = []
    failed: list[OSError] = []

    async def attempt(info: _Info, over: anyio.Event) -> None:
        try:
            sock = await _connect(info)
        except OSError as error:
            failed.append(error)
            over.set()
        else:
            won.append(sock)
            tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for info in _alternating(found):
                over = anyio.Event()
                tasks.start_soon(attempt, info, over)
                with anyio.move_on_after(_HEAD_START):
                    await over.wait()
    except BaseException:
        _close(won)
        raise
    _close(won[1:])  # two may get through in the same turn of the loop
    if won:
        return won[0]
    raise failed[0] if failed else OSError(f"{host!r} has no address")


def _alternating(found: Iterable[_Info]) -> Iterable[_Info]:
    """Order addresses so that the families take turns, beginning with the resolver's choice."""
    families: dict[int, list[_Info]] = {}
    for info in found:
        families.setdefault(info[0], []).append(info)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [info for info in turns if info is not None]


def _close(socks: Iterable[socket.socket]) -> None:
    for sock in socks:
        sock.close()


async def _connect(info: _Info) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Have a proxy connect the socket with the origin (RFC 9110, section 9.3.6)."""
    loop = asyncio.get_running_loop()
    to = origin.authority
    asked = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (to, to)
    if proxy.authorization is not None:
        asked += b"proxy-authorization: %b\r\n" % proxy.authorization
    await loop.sock_sendall(sock, asked + b"\r\n")
    reply = b""
    while b"\r\n\r\n" not in reply:
        data = await loop.sock_recv(sock, 4096)
        if not data or len(reply) > _MAX_REPLY:
            raise ConnectError("the proxy gave no answer to CONNECT")
        reply += data
    head, _, rest = reply.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or not (status and status[0][:1] == b"2"):
        said = head.partition(b"\r\n")[0].decode("latin-1")
        raise ConnectError(f"the proxy answered CONNECT with {said!r}")
    if rest:  # a TLS server waits for its client
        raise ConnectError("the proxy sent more than an answer to CONNECT")
