"""The JSON-RPC errors of a host; an invoker never decides by their numbers."""

from mcp import MCPError
from pydantic import ValidationError

from plugway_external_bridge.wire.sep2624.descriptors import Descriptor
from plugway_external_bridge.wire.sep2624.invocations import Invocation

INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
TIMED_OUT = -32000


def invalid_params(error: ValidationError) -> MCPError:
    """Return the error for params that are no invocation; it names fields, never values."""
    fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
    message = f"Invalid params: {', '.join(fields) or 'not an object'}"
    return MCPError(INVALID_PARAMS, message, {"fields": fields})


def unknown_interceptor(name: str) -> MCPError:
    """Return the error for a name that is not listed."""
    return MCPError(INVALID_PARAMS, "Unknown interceptor", {"interceptor": name})


def not_hooked(descriptor: Descriptor, call: Invocation) -> MCPError:
    """Return the error for an event or a phase that the interceptor is not bound to."""
    data = {
        "interceptor": call.name,
        "event": call.event,
        "phase": call.phase.value,
        "advertisedHooks": descriptor.to_wire()["hooks"],
    }
    return MCPError(INVALID_PARAMS, "The interceptor is not bound to this event and phase", data)


def refused(name: str, reason: str) -> MCPError:
    """Return the error for params that this interceptor can't work on."""
    return MCPError(INVALID_PARAMS, "Invalid params", {"interceptor": name, "reason": reason})


def failed(name: str) -> MCPError:
    """Return the error for an interceptor that failed; the reason stays in the host's log."""
    data = {"interceptor": name, "reason": "the plugin failed"}
    return MCPError(INTERNAL_ERROR, "Interceptor failed", data)


def timed_out(call: Invocation) -> MCPError:
    """Return the error for an interceptor that took longer than the invoker allowed."""
    data = {"interceptor": call.name, "timeoutMs": call.timeout_ms, "phase": call.phase.value}
    return MCPError(TIMED_OUT, "Interceptor timed out", data)
