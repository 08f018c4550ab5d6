"""What an invoker sends: the params of an invocation and the shape of its payload."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.wire.hooks import Hook, Phase, find_hook
from plugway_external_bridge.wire.plain import as_object
from plugway_hookspecs import Context

INVOKE = "interceptor/invoke"
INVOKE_NAMES = (INVOKE, "interceptors/invoke")
"""What a host answers to: the plural has been proposed."""
Shape = Literal["params", "request"]
"""What a request's payload is: the method's params, or `{"method", "params"}` round them."""


class Invocation(BaseModel):
    """The params of an invocation, as a host reads them."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    name: StrictStr
    event: StrictStr
    phase: Phase
    payload: dict[str, Any]
    config: dict[str, Any] | None = None
    timeout_ms: Annotated[StrictInt, Field(gt=0)] | None = None
    context: dict[str, Any] = {}

    @property
    def hook(self) -> Hook | None:
        """The plugway hook of this event and phase."""
        return find_hook(self.event, self.phase)


def invoke_params(
    name: str,
    hook: Hook,
    payload: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    timeout: float | None,
    context: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the params of an invocation; `timeout` is in seconds."""
    params: dict[str, Any] = {
        "name": name,
        "event": hook.event,
        "phase": hook.phase.value,
        "payload": payload,
        "context": context,
    }
    if config:
        params["config"] = config
    if timeout is not None:
        params["timeoutMs"] = max(1, round(timeout * 1000))
    return params


def invoke_context(context: Context) -> dict[str, Any]:
    """Return who asks and in which request; the ids are the gateway's own, never a client's."""
    user = context.principal.user
    principal = {"type": "anonymous"} if user is None else {"type": "user", "id": user}
    trace = context.trace.get("traceparent", "").split("-")
    return {
        "principal": principal,
        "traceId": trace[1] if len(trace) > 1 and trace[1] else context.request_id,
        "timestamp": datetime.now(UTC).isoformat(),
        "sessionId": context.request_id,
    }


def wrap(hook: Hook, payload: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return the payload in the shape that the interceptor expects."""
    if shape == "request" and hook.phase is Phase.REQUEST:
        return {"method": hook.event, "params": payload}
    return payload


def unwrap(hook: Hook, payload: object, shape: Shape) -> object:
    """Undo `wrap`; raises `WireError` where the method is another one now."""
    if shape == "params" or hook.phase is Phase.RESPONSE:
        return payload
    wrapper = as_object(payload)
    if wrapper.get("method") != hook.event:
        raise WireError("a mutated request whose 'method' is another one")
    return wrapper.get("params")


def shape_of(hook: Hook, payload: Mapping[str, Any]) -> Shape:
    """Tell in which of the two shapes a request's payload came."""
    wrapped = set(payload) == {"method", "params"} and payload["method"] == hook.event
    return "request" if wrapped and hook.phase is Phase.REQUEST else "params"
