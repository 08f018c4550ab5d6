"""Make a plugin kind of what a test has at hand: a class, a module, or the name of a kind."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import anyio.to_thread
from importlib_metadata import EntryPoint

from plugway.plugins.discovery import Discovery, KindSource, discover
from plugway_hookspecs import ENTRY_POINT_GROUP, Plugin

Kind = type[Plugin] | ModuleType


class _AtHand(EntryPoint):
    """An entry point that need not import what it stands for."""

    def load(self) -> Any:
        return vars(self)["found"]


def kind_name(plugin: object) -> str:
    """Return the name under which a test's plugin is configured; raises `TypeError`."""
    if isinstance(plugin, str):
        return plugin
    if isinstance(plugin, type | ModuleType):
        return plugin.__name__.rpartition(".")[2]
    advice = "give its class, and its settings as config={...}"
    raise TypeError(f"{type(plugin).__name__} object is no plugin kind: {advice}")


async def find_kinds(given: Mapping[str, Kind], wanted: set[str]) -> Discovery:
    """Return the kinds at hand, and the installed ones if others are `wanted`."""
    missing = wanted - given.keys()
    found = await anyio.to_thread.run_sync(discover) if missing else Discovery()
    for name, kind in given.items():
        found.kinds[name] = KindSource(name, _entry_point(name, kind))
    return found


def _entry_point(name: str, kind: Kind) -> EntryPoint:
    value = f"{kind.__module__}:{kind.__qualname__}" if isinstance(kind, type) else kind.__name__
    point = _AtHand(name, value, ENTRY_POINT_GROUP)
    vars(point)["found"] = kind  # entry points refuse attributes
    return point
