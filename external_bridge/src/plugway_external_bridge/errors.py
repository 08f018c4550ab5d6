"""The errors that the bridge adds to the contract's own.

plugway_hookspecs.PlugwayError
 ├─ SetupError   a server that can't be used, or a host that can't be opened, as configured
 └─ WireError    the other side sent what the dialect does not allow
"""

from plugway_hookspecs import PlugwayError


class SetupError(PlugwayError):
    """The configuration asks for something that the server, or this machine, does not offer."""


class WireError(PlugwayError):
    """The other side sent a message that its dialect does not allow; the text quotes no payload."""
