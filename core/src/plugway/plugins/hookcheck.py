"""Tell what is wrong with a plugin's hook implementations before they are registered."""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
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
"""The names of plugway's own hooks with the names of their arguments."""

_NAMED = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}


def implementations(plugin: object) -> dict[str, str]:
    """Return the attributes marked with `hookimpl`, with the names of the hooks they are for."""
    found: dict[str, str] = {}
    for name in dir(plugin):
        options = None if name.startswith("__") else _READER.parse_hookimpl_opts(plugin, name)
        if options is not None:
            found[name] = options.get("specname") or name
    return found


def specifications(namespace: type | ModuleType) -> dict[str, Mapping[str, Any]]:
    """Return the attributes marked with `hookspec`, with pluggy's options for them."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in dir(namespace):
        options = None if name.startswith("__") else _READER.parse_hookspec_opts(namespace, name)
        if options is not None:
            found[name] = dict(options)
    return found


def validate_hooks(plugin: object, hooks: Mapping[str, tuple[str, ...]] = HOOKS) -> list[str]:
    """Say, one sentence each, what is wrong with the hooks of a class, an instance or a module.

    Finds what would fail only when it is called, and what would never be called: unknown hooks,
    unknown arguments, a hook that is not marked. `hooks` has the arguments of those there are.
    """
    wrong: list[str] = []
    marked = implementations(plugin)
    for name, hook in marked.items():
        wrong += check_hook(plugin, name, hook, hooks)
    served = {*marked, *marked.values()}
    return wrong + [
        f"{hook} is not marked with `@hookimpl`: it would never be called"
        for hook in hooks
        if hook not in served and callable(inspect.getattr_static(plugin, hook, None))
    ]


def check_hook(
    plugin: object, name: str, hook: str, hooks: Mapping[str, tuple[str, ...]] = HOOKS
) -> Iterator[str]:
    """Say what is wrong with the implementation `name` of one hook."""
    options = _READER.parse_hookimpl_opts(plugin, name)
    if hook not in hooks:
        if not (options and options.get("optionalhook")):
            yield f"there is no hook {hook!r}; {_advice(hook, hooks)}"
        return
    known = hooks[hook]
    if options and (options.get("wrapper") or options.get("hookwrapper")):
        known = (*known, "call_next")
        yield from _wrong_wrapper(plugin, name, hook, hooks)
    for parameter in parameters(plugin, name):
        if parameter.kind not in _NAMED:
            yield f"{name}: {str(parameter)!r} would never be passed: name arguments in order"
        elif parameter.name not in known:
            has = f"the hook has {', '.join(known)}" if known else "the hook has none"
            yield f"{name}: there is no argument {parameter.name!r}; {has}"


def _wrong_wrapper(
    plugin: object, name: str, hook: str, hooks: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    if "payload" not in hooks[hook]:
        yield f"{name} is a wrapper: {hook} has nothing to wrap"
    elif not inspect.iscoroutinefunction(inspect.unwrap(getattr(plugin, name))):
        yield f"{name} is a wrapper: make it `async def`, and await `call_next`, do not yield"
    elif "call_next" not in {parameter.name for parameter in parameters(plugin, name)}:
        yield f"{name} is a wrapper: take `call_next`, or the rest would never run"


def _advice(hook: str, hooks: Mapping[str, tuple[str, ...]]) -> str:
    close = difflib.get_close_matches(hook, hooks, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "if a package adds it, configure one of its plugins"


def parameters(plugin: object, name: str) -> list[Parameter]:
    """Return the parameters of an implementation or a specification, without `self`."""
    function: Callable[..., Any] = getattr(plugin, name)
    found = list(inspect.signature(function).parameters.values())
    static = inspect.getattr_static(plugin, name)
    bare = inspect.isclass(plugin) and not isinstance(static, staticmethod | classmethod)
    return found[1:] if bare else found
