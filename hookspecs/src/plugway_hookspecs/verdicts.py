"""What a plugin may say besides "unchanged" and "changed": deny, or answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugway_hookspecs.frozen import EMPTY, freeze
from plugway_hookspecs.payloads import Payload


@dataclass(frozen=True, slots=True)
class Deny:
    """Stop the operation.

    For `tools/call` the client gets an `isError` result that the model can read and react to (by
    configuration a JSON-RPC error); for everything else a JSON-RPC error. `reason` and `code` reach
    the client; `description` and `details` stay in the record.
    """

    reason: str
    code: str = "denied"
    description: str = ""
    details: Mapping[str, Any] = EMPTY
    http_status: int | None = None
    mcp_error_code: int | None = None
    http_headers: Mapping[str, str] = EMPTY

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", freeze(self.details))
        object.__setattr__(self, "http_headers", freeze(self.http_headers))


@dataclass(frozen=True, slots=True)
class Respond:
    """Stop the pre chain and answer with `result`; the post chain still runs on it.

    `result` is the payload of the operation's post hook: `ToolResult`, `PromptResult` or
    `ResourceResult`.
    """

    result: Payload
