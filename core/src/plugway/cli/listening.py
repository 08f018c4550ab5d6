"""Take the address that the gateway serves on, before anything else is started."""

import os
import socket

from click import ClickException


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises `ClickException`, which says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
        message = f"can't listen on {host}, port {port}: {reason}; choose another with --port"
        raise ClickException(message) from None
    # asyncio does it for sockets of its own only; without it each answer waits 40 ms for an ACK
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
