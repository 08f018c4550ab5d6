"""The plugin kinds that are installed, imported to see what they are."""

import inspect
from dataclasses import dataclass
from types import ModuleType

from plugway.errors import PluginLoadError
from plugway.plugins.discovery import Discovery, KindSource, discover
from plugway.plugins.hookcheck import implementations
from plugway_hookspecs import Plugin

LIFECYCLE = frozenset({"plugin_startup", "plugin_shutdown", "plugin_health", "register_commands"})


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One installed kind; `error` says why it can't be used."""

    source: KindSource
    loaded: type[Plugin] | ModuleType | None = None
    error: PluginLoadError | None = None

    @property
    def hooks(self) -> list[str]:
        """The hooks it implements, in alphabetical order."""
        return sorted(set(implementations(self.loaded).values())) if self.loaded else []

    @property
    def only_adds_commands(self) -> bool:
        """Whether it can't be configured: it is there for the command line."""
        return self.error is None and LIFECYCLE.issuperset(self.hooks) and not self._has_parts

    @property
    def _has_parts(self) -> bool:
        return isinstance(self.loaded, type) and self.loaded.parts is not Plugin.parts

    @property
    def description(self) -> str:
        """The first line of its own docstring, not of one that it inherits."""
        own = self.loaded.__doc__ if self.loaded else None
        return inspect.cleandoc(own or "").partition("\n")[0]


def load_kinds(discovery: Discovery | None = None) -> list[Kind]:
    """Import every installed kind; a broken one says so, and never hides the others."""
    found: list[Kind] = []
    for source in (discovery or discover()).kinds.values():
        try:
            found.append(Kind(source, source.load()))
        except PluginLoadError as error:
            found.append(Kind(source, error=error))
    return found
