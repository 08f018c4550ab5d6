"""Compile the chains: hooks bound and ordered once, so that a call inspects nothing.

pluggy checks and keeps the plugins; what could only fail at the first call is refused here.
"""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any

import anyio
import pluggy

from plugway.chain import Chain, Offer
from plugway.errors import ChainError, PluginSetupError
from plugway.methods import HOOKS
from plugway.steps import Call, Policy, Step
from plugway_hookspecs import PROJECT, Mode, Scope, Specs


def compile_chains(
    plugins: Sequence[tuple[str, object, Policy]],
    pool: Executor | None = None,
    offer: Offer | None = None,
) -> dict[str, Chain[Any]]:
    """Register plugins (name, object, policy) with pluggy and compile the chain of every hook.

    `pool` has the threads of threaded plugins, `offer` takes what background plugins get. Raises
    `PluginSetupError` or `ChainError`, naming the plugin, for what can't be called.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
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
    chains: dict[str, Chain[Any]] = {}
    for hook, (payload, result) in HOOKS.items():
        caller: pluggy.HookCaller = getattr(manager.hook, hook)
        steps = _compile_steps(hook, caller.get_hookimpls(), policies, pool)
        chains[hook] = Chain(hook, steps, payload, result, offer)
    return chains


def _compile_steps(
    hook: str,
    impls: Sequence[pluggy.HookImpl],
    policies: Mapping[str, Policy],
    pool: Executor | None = None,
) -> tuple[Step, ...]:
    """Bind and order the implementations of one hook; `impls` as pluggy lists them.

    Lower priority first; ties keep pluggy's own order. Raises `ChainError`, naming plugin and hook,
    for what could only fail at the first call.
    """
    ordered = list(impls)
    ordered.reverse()  # pluggy lists first what it would call last
    ordered.sort(key=lambda impl: policies[impl.plugin_name].priority)
    return tuple(
        _compile(hook, impl, policies[impl.plugin_name], pool)
        for impl in ordered
        if policies[impl.plugin_name].mode is not Mode.DISABLED
    )


def _compile(hook: str, impl: pluggy.HookImpl, policy: Policy, pool: Executor | None) -> Step:
    if impl.hookwrapper or impl.wrapper:
        raise ChainError("wrappers are for synchronous hooks", plugin=impl.plugin_name, hook=hook)
    if isinstance(impl.plugin, type):
        raise ChainError("register an instance, not a class", plugin=impl.plugin_name, hook=hook)
    awaits = inspect.iscoroutinefunction(impl.function)
    call = _bind(hook, impl)
    if policy.threaded:
        if awaits:
            message = "'threaded: true' is for a plain def that blocks; this one is async"
            raise ChainError(message, plugin=impl.plugin_name, hook=hook)
        call, awaits = partial(_in_thread, call, pool), True
    if policy.timeout is not None:
        if not awaits:
            message = "a timeout can't stop a plain def: make it async, or say 'threaded: true'"
            raise ChainError(message, plugin=impl.plugin_name, hook=hook)
        call = partial(_within, policy.timeout, call)
    scope = Scope(impl.plugin_name, hook, policy.capabilities)
    return Step(call, scope, policy, awaits=awaits)


def _bind(hook: str, impl: pluggy.HookImpl) -> Call:
    """Adapt what the implementation asks for to `(payload, context)`."""
    function = impl.function
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            message = f"the argument {str(parameter)!r} must be positional"
            raise ChainError(message, plugin=impl.plugin_name, hook=hook)
    asked = tuple(parameter.name for parameter in parameters)
    adapters: dict[tuple[str, ...], Call] = {
        ("payload", "context"): function,
        ("context", "payload"): lambda payload, context: function(context, payload),
        ("payload",): lambda payload, context: function(payload),  # noqa: ARG005
        ("context",): lambda payload, context: function(context),  # noqa: ARG005
        (): lambda payload, context: function(),  # noqa: ARG005
    }
    if asked not in adapters:
        message = f"takes {', '.join(asked)}; the hook gives payload and context"
        raise ChainError(message, plugin=impl.plugin_name, hook=hook)
    return adapters[asked]


async def _in_thread(call: Call, pool: Executor | None, payload: Any, context: Any) -> Any:
    """Run a call in the pool; a call that is given up keeps its thread until it returns."""
    run = copy_context().run
    return await asyncio.get_running_loop().run_in_executor(
        pool, lambda: run(_without_stop_iteration, call, payload, context)
    )


def _without_stop_iteration(call: Call, payload: Any, context: Any) -> Any:
    """Call; a StopIteration can't be passed on through a future (PEP 479 says what instead)."""
    try:
        return call(payload, context)
    except StopIteration as error:
        raise RuntimeError from error


async def _within(seconds: float, call: Call, payload: Any, context: Any) -> Any:
    with anyio.fail_after(seconds):
        return await call(payload, context)
