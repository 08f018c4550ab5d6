"""Fire custom hooks: a plugin runs a chain in the middle of its own turn."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from plugway.executor.chain import Chain
from plugway.methods import HOOKS
from plugway_hookspecs import Context, Outcome, Payload, PluginError
from plugway_hookspecs.context import operation_of

MAX_DEPTH = 8
"""Hooks that may be under way inside one another."""

P = TypeVar("P", bound=Payload)
Chains = Callable[[str], Chain[Any]]
"""Returns the chain of a hook as it is compiled now; raises `KeyError` for an unknown one."""

_under_way: ContextVar[tuple[str, ...]] = ContextVar("plugway_hooks_under_way", default=())


def custom_chain(chains: Chains, hook: str, plugin: str) -> Chain[Any]:
    """Return the chain of a custom hook; raises `PluginError`, for which `plugin` is to blame."""
    if hook in HOOKS:
        raise PluginError("only the gateway fires this hook", plugin=plugin, hook=hook)
    try:
        return chains(hook)
    except KeyError:
        message = "there is no such hook to fire: no configured plugin adds it"
        raise PluginError(message, plugin=plugin, hook=hook) from None


async def fire(
    chains: Chains, hook: str, payload: P, context: Context, *, plugin: str
) -> Outcome[P]:
    """Run the chain of a custom hook in the operation of `context`; see `Host.fire`."""
    chain: Chain[P] = custom_chain(chains, hook, plugin)
    if payload.__class__ is not chain.payload_type:
        message = f"fired with {type(payload).__name__}; it takes {chain.payload_type.__name__}"
        raise PluginError(message, plugin=plugin, hook=hook)
    if not chain:
        return Outcome(payload)
    outer = _under_way.get()
    if len(outer) >= MAX_DEPTH:
        message = f"fired inside {' > '.join(outer)}: hooks may be {MAX_DEPTH} deep"
        raise PluginError(message, plugin=plugin, hook=hook)
    token = _under_way.set((*outer, hook))
    try:
        return await chain(payload, operation_of(context))
    finally:
        _under_way.reset(token)
