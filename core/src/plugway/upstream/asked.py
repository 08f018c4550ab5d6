"""What is declared of a client to a server: what the server may ask of it, and extensions."""

from collections.abc import Collection, Mapping
from typing import Any

from plugway.upstream.values import as_object

ASKS: Mapping[str, tuple[str, ...]] = {
    "elicitation": ("form", "url"),
    "sampling": ("context", "tools"),
    "roots": (),
}
"""The client capabilities that are about questions of servers, and what may be in them."""


def asked_of(capabilities: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    """Return what a server may ask of a client, in one spelling for all that mean the same.

    What clients declare besides is left out: few different answers are possible.
    """
    return {
        name: {part: {} for part in parts if part in as_object(capabilities[name])}
        for name, parts in ASKS.items()
        if name in allowed and capabilities.get(name) is not None
    }


def declared_in_session(asks: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is declared at a handshake for a client with a session."""
    return {**asks, "roots": {"listChanged": True}} if "roots" in asks else dict(asks)


def declared_per_request(asks: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is declared with a request (2026-07-28), where plain elicitation is by form."""
    plain = asks.get("elicitation") == {}
    return {**asks, "elicitation": {"form": {}}} if plain else dict(asks)
