"""What a plugin may say besides "unchanged" and "changed": deny, or answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from plugway_hookspecs.errors import NotJsonError
from plugway_hookspecs.frozen import EMPTY, freeze
from plugway_hookspecs.payloads import Payload

P_contra = TypeVar("P_contra", bound=Payload, contravariant=True)
R_co = TypeVar("R_co", bound=Payload, covariant=True)


@dataclass(frozen=True, slots=True)
class Deny:
    """Stop the operation.

    For `tools/call` the client gets an `isError` result that the model can read and react to (by
    configuration a JSON-RPC error); for everything else a JSON-RPC error. `reason` and `code` reach
    the client; `description` and `details` stay in the record. Raises `NotJsonError` for fields
    of another type.
    """

    reason: str
    code: str = "denied"
    description: str = ""
    details: Mapping[str, Any] = EMPTY
    http_status: int | None = None
    mcp_error_code: int | None = None
    http_headers: Mapping[str, str] = EMPTY

    def __post_init__(self) -> None:
        for name in ("reason", "code", "description"):
            object.__setattr__(self, name, _text(name, getattr(self, name)))
        for name in ("http_status", "mcp_error_code"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        object.__setattr__(self, "details", freeze(self.details))
        object.__setattr__(self, "http_headers", freeze(self.http_headers))


def _text(name: str, value: Any) -> str:
    """Return a text that can be encoded: a reason may quote a lone surrogate."""
    if not isinstance(value, str):
        raise NotJsonError(f"{type(value).__name__} instead of a string", name)
    plain = str.__str__(value)
    return plain if plain.isascii() else plain.encode(errors="backslashreplace").decode()


def _number(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotJsonError(f"{type(value).__name__} instead of an integer or None", name)
    return int.__int__(value)


@dataclass(frozen=True, slots=True)
class Respond:
    """Stop the pre chain and answer with `result`; the post chain still runs on it.

    `result` is the payload of the operation's post hook: `ToolResult`, `PromptResult` or
    `ResourceResult`.
    """

    result: Payload


class CallNext(Protocol[P_contra, R_co]):
    """The rest of the chain, as a wrapper (`hookimpl(wrapper=True)`) gets it.

    `CallNext[ToolCall, ToolResult]` in `tool_pre_invoke`: the plugins that come later and the call
    itself. In any other hook there is no call, and the result is the payload that comes out.
    """

    async def __call__(self, payload: P_contra, /) -> R_co | Deny:
        """Run the rest with a payload; may be called again, but not before it has returned.

        Returns the result, or the `Deny` of a plugin inside, which stays denied whatever the
        wrapper returns. Raises `ServerUnavailableError` or another error if the server can't be
        asked; let it pass, answer instead, or call again.
        """
        ...
