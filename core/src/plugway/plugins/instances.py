"""One configured plugin: its entry, and the object that is called for it."""

from dataclasses import dataclass
from types import ModuleType

import pluggy

from plugway import methods
from plugway.config import PluginEntry
from plugway.executor.steps import Policy
from plugway.plugins import hookcheck
from plugway.plugins.discovery import KindSource
from plugway.plugins.hookcheck import implementations
from plugway.plugins.host import PluginHost
from plugway.plugins.routes import ROUTES_PATH
from plugway_hookspecs import (
    PROJECT,
    HttpRoute,
    Mode,
    OnError,
    Part,
    Plugin,
)

_CHAINLESS = hookcheck.HOOKS.keys() - methods.HOOKS.keys()
"""The hooks for the life of a plugin, and for what it adds to the gateway."""

_markers = pluggy.PluginManager(PROJECT)


class ModuleInstance:
    """A module of hook implementations, configured under a name of its own.

    pluggy registers an object once; several entries may name the same module.
    """

    def __init__(self, module: ModuleType) -> None:
        """Take over the module's hook implementations and its description."""
        self.__doc__ = module.__doc__
        for name, value in vars(module).items():
            if callable(value) and _markers.parse_hookimpl_opts(module, name) is not None:
                setattr(self, name, value)


@dataclass(slots=True, eq=False)
class Running:
    """A plugin's object, from its start to its stop; a reload that leaves it alone shares it."""

    source: KindSource
    kind: type[Plugin] | ModuleType
    plugin: object
    host: PluginHost | None = None
    parts: tuple[Part, ...] = ()
    routes: tuple[HttpRoute, ...] = ()
    users: int = 0
    """How many registries have it."""


@dataclass(slots=True, eq=False)
class Instance:
    """One configured plugin: a running object, and what the operator says about it."""

    entry: PluginEntry
    running: Running
    policy: Policy

    @property
    def name(self) -> str:
        """The plugin's name in the configuration."""
        return self.entry.name

    @property
    def is_for_chains(self) -> bool:
        """Whether it has, or may have, something to say in a chain."""
        has_parts = isinstance(self.plugin, Plugin) and type(self.plugin).parts is not Plugin.parts
        others = set(implementations(self.plugin).values()) - _CHAINLESS
        return has_parts or bool(others)

    @property
    def urls(self) -> list[str]:
        """The paths under which its HTTP routes are served."""
        return [f"{ROUTES_PATH}/{self.name}{route.path}" for route in self.routes]

    @property
    def source(self) -> KindSource:
        """Where its kind comes from."""
        return self.running.source

    @property
    def plugin(self) -> object:
        """The object whose hooks are called."""
        return self.running.plugin

    @property
    def parts(self) -> tuple[Part, ...]:
        """The steps it consists of; empty where it is its only step."""
        return self.running.parts

    @property
    def routes(self) -> tuple[HttpRoute, ...]:
        """Its HTTP routes."""
        return self.running.routes

    def steps(self) -> list[tuple[str, object, Policy]]:
        """Return what goes into the chains: name, object and policy of each part."""
        if not self.parts:
            return [(self.name, self.plugin, self.policy)]
        return [
            (f"{self.name}/{part.name}", part.plugin, self._part_policy(part))
            for part in self.parts
        ]

    def _part_policy(self, part: Part) -> Policy:
        """Let what the operator says win over what the part asks for."""
        policy, entry = self.policy, self.entry
        on_error = OnError.IGNORE if part.fail_open else OnError.FAIL
        return Policy(
            mode=entry.mode or part.mode or Mode.ENFORCE,
            on_error=entry.on_error or on_error,
            priority=policy.priority,
            timeout=policy.timeout,
            threaded=policy.threaded,
            when=policy.when,
            capabilities=policy.capabilities,
            retry_after=policy.retry_after,
            skip_disabled=policy.skip_disabled,
            health=policy.health,
        )
