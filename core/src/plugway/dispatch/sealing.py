"""Seal what a client has to bring back with its answers, so that only it can, and unchanged.

A server that asks by `input_required` (2026-07-28, multi round-trip requests) gives its state to
the client. Servers see the gateway and not its clients, so the gateway binds what they give: to who
asked, to the request, and to a time.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from plugway.jsonrpc import INVALID_PARAMS, RpcError
from plugway_hookspecs import Operation

_NOT_OF_THE_REQUEST = frozenset({"_meta", "inputResponses", "requestState"})


@dataclass(frozen=True, slots=True)
class Round:
    """What is known of a request between two rounds."""

    server: str
    inward: str
    """The server's own name of what was asked for; plugins may have sent the request there."""
    state: str | None = None
    """What the server gave."""
    parked: str = ""
    """Which request of this gateway waits for the answers, where one does."""
    turn: int = 0
    """How often the waiting request has asked."""
    asked: Mapping[str, str] = field(default_factory=dict[str, str])
    """The method of each question."""
    answers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What plugins have answered already."""
    roots: Mapping[str, Any] | None = None
    """What the client has said of its roots."""


class Sealer:
    """Encrypts rounds with AES-256-GCM; the first key seals, every key opens."""

    def __init__(
        self, keys: Sequence[str] = (), ttl: float = 600.0, clock: Callable[[], float] = time.time
    ) -> None:
        """Seal for `ttl` seconds; without keys, with one that only this process has."""
        self._codec = AESGCMRequestStateCodec(keys or [os.urandom(32)])
        self._ttl = ttl
        self._clock = clock

    def seal(self, state: Round, bound: str) -> str:
        """Return the `requestState` of a round; `bound` is what `binding` returned."""
        claims = {"until": self._clock() + self._ttl, "bound": bound, **asdict(state)}
        return self._codec.seal(json.dumps(claims, separators=(",", ":")).encode())

    def open(self, token: object, bound: str) -> Round:
        """Return what was sealed; raises `RpcError` unless it was sealed here for the same."""
        try:
            claims: dict[str, Any] = json.loads(self._codec.unseal(token))  # type: ignore[arg-type]
            until, of = claims.pop("until"), claims.pop("bound")
            state = Round(**claims)  # another version may have sealed it, with the same key
        except (InvalidRequestState, AttributeError, KeyError, TypeError, ValueError):
            raise _refused("not_ours", "it was not given out here, or has been changed") from None
        if of != bound:
            raise other_request
        if until <= self._clock():
            raise _refused("expired", "it has expired")
        return state


def binding(operation: Operation, params: Mapping[str, Any]) -> str:
    """Return a digest of who asks for what: a round's state is worth nothing to anybody else."""
    who = operation.principal
    asked = {key: value for key, value in params.items() if key not in _NOT_OF_THE_REQUEST}
    about = [operation.method, who.user, who.tenant, asked]
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _refused(reason: str, why: str) -> RpcError:
    message = f"Invalid requestState: {why}; send the request again without it"
    return RpcError(INVALID_PARAMS, message, {"reason": reason})


other_request = _refused("other_request", "it belongs to another request")
replayed = _refused(
    "replayed", "its answers were given before, or the request does not wait any more"
)
