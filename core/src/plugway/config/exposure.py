"""Whether an address can be reached from other machines, and what that asks for."""

from ipaddress import ip_address

EXPOSED = (
    "`host` can be reached from other machines: set `token` (for example to ${PLUGWAY_TOKEN}), "
    "or use 127.0.0.1"
)


def is_loopback(host: str) -> bool:
    """Whether a bind address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def stands_for_all(host: str) -> bool:
    """Whether it means every address of this machine, which is no address to connect to."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
