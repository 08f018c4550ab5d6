"""Tell how long a result may be repeated, as the server says and as MCP means it."""

from typing import TypeVar

from plugway_hookspecs import PromptResult, ResourceResult, ToolResult

Result = ToolResult | PromptResult | ResourceResult
R = TypeVar("R", ToolResult, PromptResult, ResourceResult)


def lifetime(result: Result, ttl: float) -> float:
    """Return for how many seconds a result may be repeated: `ttl` at most, 0 for not at all.

    Failures may not, nor may questions to the client and tasks that are still running. A server's
    `ttlMs` and `cacheScope` (2026-07-28, caching) count for every kind of result; a value that MCP
    does not know means no.
    """
    failed = result.error is not None or (isinstance(result, ToolResult) and result.is_error)
    hints = result.extra
    if failed or hints.get("resultType", "complete") != "complete" or "task" in hints:
        return 0.0
    if hints.get("cacheScope", "private") not in {"public", "private"}:
        return 0.0
    if "ttlMs" not in hints:
        return ttl
    granted = hints["ttlMs"]
    return max(0, min(ttl * 1000, granted)) / 1000 if type(granted) is int else 0.0


def aged(result: R, seconds: float) -> R:
    """Return a result as it is `seconds` later: what it grants clients has become less."""
    granted = result.extra.get("ttlMs")
    if granted is None:
        return result
    left = max(0, granted - int(seconds * 1000))
    return result.replace(extra={**result.extra, "ttlMs": left})
