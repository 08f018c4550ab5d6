"""The gateway as one plugin sees it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from plugway.plugins.firing import Chains, custom_chain, fire
from plugway_hookspecs import (
    Context,
    Outcome,
    Payload,
    Server,
)
from plugway_hookspecs.context import operation_of

P = TypeVar("P", bound=Payload)


@dataclass(slots=True, eq=False)
class PluginHost:
    """The gateway as a plugin sees it; implements `plugway_hookspecs.Host`."""

    name: str
    servers: Mapping[str, Server]
    changed: Callable[[], None]
    chains: Chains
    """Where hooks are fired for an operation that does not bring its own chains."""
    asked: dict[str, Server | None] = field(default_factory=dict[str, Server | None], init=False)
    """The servers that the plugin wanted to know, with what it got."""
    logger: logging.Logger = field(init=False)

    def __post_init__(self) -> None:
        self.logger = logging.getLogger(f"plugway.plugins.{self.name}")

    def server(self, name: str) -> Server:
        """Return the configured MCP server of that name; raises `KeyError`."""
        self.asked[name] = self.servers.get(name)
        return self.servers[name]

    def parts_changed(self) -> None:
        """Read the plugin's parts again and compile the chains anew."""
        self.changed()

    def implemented(self, hook: str, context: Context) -> bool:
        """Whether firing a custom hook would call anybody; raises `PluginError`."""
        return bool(custom_chain(self._chains_of(context), hook, self.name))

    async def fire(self, hook: str, payload: P, context: Context) -> Outcome[P]:
        """Run the chain of a custom hook in the operation of `context`; raises `PluginError`."""
        return await fire(self._chains_of(context), hook, payload, context, plugin=self.name)

    def _chains_of(self, context: Context) -> Chains:
        """Return the chains that a request began with: a reload replaces those of the host."""
        return operation_of(context).chains or self.chains
