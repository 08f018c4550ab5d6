"""Tell what is wrong with a plugin's hook implementations before they are registered."""

import difflib
import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter
from types import ModuleType
from typing import Any

import pluggy

from plugway_hookspecs import PROJECT, Specs

_READER = pluggy.PluginManager(PROJECT)
HOOKS = {
    name: tuple(inspect.signature(getattr(Specs, name)).parameters)[1:]
    for name in vars(Specs)
    if _READER.parse_hookspec_opts(Specs, name) is not None
}
"""The names of all hooks with the names of their arguments."""

_NAMED = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}


def implementations(plugin: object) -> dict[str, str]:
    """Return the attributes marked with `hookimpl`, with the names of the hooks they are for."""
    found: dict[str, str] = {}
    for name in dir(plugin):
        options = None if name.startswith("__") else _READER.parse_hookimpl_opts(plugin, name)
        if options is not None:
            found[name] = options.get("specname") or name
    return found


def validate_hooks(plugin: object) -> list[str]:
    """Say, one sentence each, what is wrong with the hooks of a class, an instance or a module.

    Finds what would fail only when it is called, and what would never be called: unknown hooks,
    unknown arguments, a hook that is not marked.
    """
    wrong: list[str] = []
    marked = implementations(plugin)
    for name, hook in marked.items():
        wrong += _wrong(plugin, name, hook)
    served = {*marked, *marked.values()}
    return wrong + [
        f"{hook} is not marked with `@hookimpl`: it would never be called"
        for hook in HOOKS
        if hook not in served and callable(inspect.getattr_static(plugin, hook, None))
    ]


def _wrong(plugin: object, name: str, hook: str) -> Iterator[str]:
    if hook not in HOOKS:
        close = difflib.get_close_matches(hook, HOOKS, n=1)
        yield f"there is no hook {hook!r}" + (f"; did you mean {close[0]!r}?" if close else "")
        return
    known = HOOKS[hook]
    options = _READER.parse_hookimpl_opts(plugin, name)
    if options and (options.get("wrapper") or options.get("hookwrapper")):
        known = (*known, "call_next")
        yield from _wrong_wrapper(plugin, name, hook)
    for parameter in _parameters(plugin, name):
        if parameter.kind not in _NAMED:
            yield f"{name}: {str(parameter)!r} would never be passed: name arguments in order"
        elif parameter.name not in known:
            has = f"the hook has {', '.join(known)}" if known else "the hook has none"
            yield f"{name}: there is no argument {parameter.name!r}; {has}"


def _wrong_wrapper(plugin: object, name: str, hook: str) -> Iterator[str]:
    if "payload" not in HOOKS[hook]:
        yield f"{name} is a wrapper: {hook} has nothing to wrap"
    elif not inspect.iscoroutinefunction(inspect.unwrap(getattr(plugin, name))):
        yield f"{name} is a wrapper: make it `async def`, and await `call_next`, do not yield"
    elif "call_next" not in {parameter.name for parameter in _parameters(plugin, name)}:
        yield f"{name} is a wrapper: take `call_next`, or the rest would never run"


def _parameters(plugin: object, name: str) -> list[Parameter]:
    """Return the parameters of an implementation, without `self`."""
    function: Callable[..., Any] = getattr(plugin, name)
    parameters = list(inspect.signature(function).parameters.values())
    static = inspect.getattr_static(plugin, name)
    bare = inspect.isclass(plugin) and not isinstance(static, staticmethod | classmethod)
    return parameters[1:] if bare and not isinstance(plugin, ModuleType) else parameters
