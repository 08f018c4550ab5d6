"""Compile the chains: hooks bound and ordered once, so that a call inspects nothing.

pluggy checks and keeps the plugins; what could only fail at the first call is refused here.
"""

import asyncio
import inspect
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

import anyio
import pluggy

from plugway.errors import ChainError, PluginSetupError
from plugway.executor.chain import Chain, EmptyChain, Offer
from plugway.executor.steps import Call, Policy, Step
from plugway.executor.threads import Threads
from plugway.executor.wrapperspecs import WRAPPER, Manager, wrapper_specs
from plugway.executor.wrapping import WrappingChain
from plugway.methods import HOOKS, UNWRAPPED
from plugway_hookspecs import Deny, Mode, Payload, Scope, Specs

Hooks: TypeAlias = Mapping[str, tuple[type[Payload], type[Payload] | None]]
"""Hook to what it takes and what a `Respond` in it may carry."""

BLOCKED_SECONDS = 0.1
"""How late a call has to be before the log says that it blocks."""

log = logging.getLogger(__name__)

_STARRED = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def compile_chains(
    plugins: Sequence[tuple[str, object, Policy]],
    pool: Threads | None = None,
    offer: Offer | None = None,
    *,
    hooks: Hooks = HOOKS,
    specs: Sequence[type | ModuleType] = (),
) -> dict[str, Chain[Any]]:
    """Register plugins (name, object, policy) with pluggy and compile the chain of every hook.

    `pool` has the threads of threaded plugins, `offer` takes what background plugins get; `hooks`
    are those that have chains, `specs` declare the ones among them that packages add. Raises
    `PluginSetupError` or `ChainError`, naming the plugin, for what can't be called.
    """
    manager = Manager()
    for declared in (Specs, *specs, wrapper_specs(hooks)):
        manager.add_hookspecs(declared)
    # pluggy calls first what was registered last; ties shall keep the order of the configuration
    for name, plugin, _ in reversed(plugins):
        try:
            manager.register(plugin, name=name)
        except ValueError:  # its text has the `repr` of every plugin in it
            message = f"there are two plugins {name!r}, or one object stands for two"
            raise PluginSetupError(message, plugin=name) from None
        except pluggy.PluginValidationError as error:
            raise PluginSetupError(str(error), plugin=name) from error
    policies = {name: policy for name, _, policy in plugins}
    pool = pool or Threads()
    chains: dict[str, Chain[Any]] = {}
    for hook, (payload, result) in hooks.items():
        steps = _compile_steps(hook, manager, policies, pool)
        kind = _chain_kind(steps)
        chains[hook] = kind(hook, steps, payload, result, offer)
    return chains


def _chain_kind(steps: Sequence[Step]) -> type[Chain[Any]]:
    if any(step.wraps for step in steps):
        return WrappingChain
    return Chain if steps else EmptyChain


def _compile_steps(
    hook: str,
    manager: pluggy.PluginManager,
    policies: Mapping[str, Policy],
    pool: Threads,
) -> tuple[Step, ...]:
    """Bind and order the implementations of one hook.

    Lower priority first; ties keep pluggy's own order, in which wrappers come before the others.
    Raises `ChainError`, naming plugin and hook, for what could only fail at the first call.
    """
    callers: list[pluggy.HookCaller] = [
        getattr(manager.hook, hook),
        getattr(manager.hook, hook + WRAPPER),
    ]
    impls = [(impl, caller is callers[1]) for caller in callers for impl in caller.get_hookimpls()]
    impls.reverse()  # pluggy lists first what it would call last
    impls.sort(key=lambda pair: policies[pair[0].plugin_name].priority)
    return tuple(
        _compile(hook, impl, policies[impl.plugin_name], pool, wraps=wraps)
        for impl, wraps in impls
        if policies[impl.plugin_name].mode is not Mode.DISABLED
    )


def _compile(
    hook: str, impl: pluggy.HookImpl, policy: Policy, pool: Threads, *, wraps: bool
) -> Step:
    def refuse(message: str) -> ChainError:
        return ChainError(message, plugin=impl.plugin_name, hook=hook)

    if impl.wrapper or impl.hookwrapper:
        raise refuse("a wrapper is `async def`, and awaits `call_next` instead of yielding")
    if wraps and (why := UNWRAPPED.get(hook)):
        raise refuse(f"{why}: leave out `wrapper=True`, and keep notes in `context.state`")
    if isinstance(impl.plugin, type):
        raise refuse("register an instance, not a class")
    awaits = inspect.iscoroutinefunction(impl.function)
    if wraps and policy.mode is Mode.BACKGROUND:
        raise refuse("a wrapper is called before the chain has ended: no mode background for it")
    call, blind = _bind(hook, impl, wraps=wraps)
    if policy.threaded:
        if awaits:
            raise refuse("'threaded: true' is for a plain def that blocks; this one is async")
        call, awaits = partial(pool.run, impl.plugin_name, call), True
    if wraps and policy.mode.observes and policy.timeout is not None:
        message = "a wrapper's timeout ends the call that it wraps, which mode audit may not"
        raise refuse(f"{message}: leave it out, or say 'mode: enforce'")
    if policy.timeout is not None:
        if not awaits:
            message = "a timeout can't stop a plain def: make it async, or say 'threaded: true'"
            raise refuse(message)
        call = partial(_within, policy.timeout, impl.plugin_name, call)
    scope = Scope(impl.plugin_name, hook, policy.capabilities)
    return Step(call, scope, policy, awaits=awaits, blind=blind, wraps=wraps)


def _bind(hook: str, impl: pluggy.HookImpl, *, wraps: bool) -> tuple[Call, bool]:
    """Adapt what the implementation asks for to what the chain gives.

    Returns what takes payload and context (a wrapper's takes the rest of the chain as well), or
    the payload alone, and whether it is that.
    """
    function, asked = impl.function, (*impl.argnames, *impl.kwargnames)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or code.co_kwonlyargcount or code.co_flags & _STARRED:
        _refuse_unpassable(hook, impl)
    given = ("payload", "context", "call_next") if wraps else ("payload", "context")
    if not set(asked) <= set(given):
        message = f"takes {', '.join(asked)}; the hook gives {' and '.join(given)}"
        raise ChainError(message, plugin=impl.plugin_name, hook=hook)
    if asked == given:
        return function, False
    if asked == ("payload",) and not wraps:
        return function, True
    places = tuple(map(given.index, asked))
    return partial(_pick, function, places), False


def _refuse_unpassable(hook: str, impl: pluggy.HookImpl) -> None:
    """Raise `ChainError` for an argument that can't be passed by position."""
    for parameter in inspect.signature(impl.function).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            message = f"the argument {str(parameter)!r} must be positional"
            raise ChainError(message, plugin=impl.plugin_name, hook=hook)


def _pick(function: Call, places: Sequence[int], *given: Any) -> Any:
    """Call with some of what is given, in the order in which it was asked for."""
    return function(*[given[place] for place in places])


async def _within(seconds: float, plugin: str, call: Call, *given: Any) -> Any:
    """Call within a time; raises `TimeoutError`, also where only the clock shows that it is over.

    Nothing can end a call that blocks the loop. What it denies counts all the same.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    with anyio.CancelScope(deadline=deadline) as scope:
        answer = await call(*given)
        late = loop.time() - deadline
        if late <= 0 or answer.__class__ is Deny:
            return answer
        if late > BLOCKED_SECONDS and not scope.cancel_called:
            what = "plugin %r blocked the event loop %.1f s beyond its timeout: see 'threaded'"
            log.warning(what, plugin, late)
    raise TimeoutError
