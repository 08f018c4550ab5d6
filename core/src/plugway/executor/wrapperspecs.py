"""How async wrappers are registered: pluggy, which only knows synchronous ones, sees plain hooks.

`hookimpl(wrapper=True)` on a coroutine function means a wrapper here. pluggy's own are generators,
which can neither await nor call the rest a second time; it refuses anything else. So a wrapper of
`hook` is registered for a second hook, named `hook` and `WRAPPER`, that takes `call_next` as well.
"""

import inspect
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pluggy

from plugway_hookspecs import PROJECT, CallNext, Context, hookspec

WRAPPER = "__wrapper"
"""What the name of a wrapper's hook ends with."""


class Manager(pluggy.PluginManager):
    """pluggy's plugin manager, which takes coroutine functions as wrappers."""

    def __init__(self) -> None:
        """Manage the plugins of this project."""
        super().__init__(PROJECT)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> "pluggy.HookimplOpts | None":
        """Return the options of an implementation; a wrapper's name the hook for wrappers."""
        if name.startswith("__"):  # pluggy looks at every attribute, and most are Python's own
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None or not options.get("wrapper"):
            return options
        if not inspect.iscoroutinefunction(inspect.unwrap(getattr(plugin, name))):
            return options
        hook = (options.get("specname") or name) + WRAPPER
        return {**options, "wrapper": False, "specname": hook}


def wrapper_specs(hooks: Iterable[str]) -> Any:
    """Return a namespace with the specification of every hook's wrappers."""

    def spec(payload: Any, context: Context, call_next: CallNext[Any, Any]) -> None: ...

    return SimpleNamespace(**{hook + WRAPPER: hookspec(spec) for hook in hooks})


__all__ = ["WRAPPER", "Manager", "wrapper_specs"]
