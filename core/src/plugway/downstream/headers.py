"""Which of a client's HTTP headers plugins may ever see."""

from collections.abc import Mapping

_CREDENTIALS = frozenset(
    {
        "authorization",
        "cookie",
        "mcp-session-id",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
    }
)


def without_credentials(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the client's headers without its credentials, which no plugin gets to see."""
    return {name: value for name, value in headers.items() if name not in _CREDENTIALS}
