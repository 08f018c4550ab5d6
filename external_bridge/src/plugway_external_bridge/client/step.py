"""Hook implementations that are made while the gateway runs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from plugway_external_bridge.wire.hooks import Hook
from plugway_hookspecs import Context, Deny, Payload, Respond, hookimpl

Answer = Payload | Deny | Respond | None
Call = Callable[[Hook, Payload, Context], Awaitable[Answer]]


class Step:
    """An object with one hook implementation for each of `hooks`, all of them calling `call`.

    They are attributes of the instance because pluggy looks them up statically.
    """

    def __init__(self, hooks: Iterable[Hook], call: Call) -> None:
        for hook in hooks:
            setattr(self, hook.name, _implement(hook, call))


def _implement(hook: Hook, call: Call) -> Any:
    async def implementation(payload: Payload, context: Context) -> Answer:
        return await call(hook, payload, context)

    implementation.__name__ = hook.name
    return hookimpl(implementation)
