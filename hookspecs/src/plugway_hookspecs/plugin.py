"""The base class of plugin kinds, their configuration, and their parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from plugway_hookspecs.modes import Mode

DEFAULT_PRIORITY = 100
"""Where a plugin stands in the chains, if neither its kind nor the operator says."""


class PluginConfig(BaseModel):
    """Base of a kind's configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One step that a plugin puts at its place in the chain, where it is more than one.

    `plugin` carries functions marked with `hookimpl`. The parts of one plugin run in the order in
    which `Plugin.parts` returns them. `mode` and `fail_open` are what the part asks for; the
    operator's own `mode` and `on_error` win.
    """

    name: str
    plugin: object
    mode: Mode | None = None
    fail_open: bool = False
    description: str = ""


class Plugin:
    """Base class of a plugin kind.

    Subclass it, mark methods with `hookimpl`, name the class in an entry point. The configuration
    makes instances: `__init__` gets the validated `Config` and the instance's name.
    """

    Config: ClassVar[type[PluginConfig]] = PluginConfig
    """What goes under `config:`; replace it with a nested class of the same name."""

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """What the plugin needs to read besides payloads, such as `read_headers`."""

    priority: ClassVar[int] = DEFAULT_PRIORITY
    """Where it stands in the chains, lower first, if the operator does not say."""

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        self.config = config
        self.name = name

    def parts(self) -> Sequence[Part]:
        """Return the steps this plugin consists of; empty means that it is its only step.

        Read after `plugin_startup`, and again after `Host.parts_changed()`.
        """
        return ()
