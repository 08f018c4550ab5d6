"""Running configured plugins without a gateway round them: what `plugway host` serves."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from plugway_hookspecs.context import Operation
from plugway_hookspecs.frozen import EMPTY
from plugway_hookspecs.modes import Mode, OnError
from plugway_hookspecs.payloads import Payload
from plugway_hookspecs.verdicts import Deny, Respond

P_co = TypeVar("P_co", bound=Payload, covariant=True)


class Outcome(Generic[P_co]):
    """What a chain came to: the payload that goes on, or a verdict and the plugin that gave it."""

    __slots__ = ("payload", "plugin", "verdict")

    def __init__(
        self, payload: P_co, verdict: Deny | Respond | None = None, plugin: str = ""
    ) -> None:
        self.payload = payload
        self.verdict = verdict
        self.plugin = plugin


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A configured plugin as it runs."""

    name: str
    kind: str
    hooks: tuple[str, ...]
    mode: Mode
    on_error: OnError
    priority: int
    version: str = ""
    description: str = ""
    config_schema: Mapping[str, Any] = EMPTY


class PluginRunner(Protocol):
    """The plugins of one configuration, started and ready to be called."""

    def plugins(self) -> Sequence[PluginInfo]:
        """Return the plugins in the order of their priority."""
        ...

    async def run(
        self, plugin: str, hook: str, payload: Payload, operation: Operation
    ) -> Outcome[Payload]:
        """Call one hook of one plugin, under its mode, conditions and limits.

        Raises `KeyError` for an unknown plugin, or one that does not implement the hook, and
        `PluginError` where the plugin failed and `on_error` says so.
        """
        ...


class Application(Protocol):
    """The command line's context object, for commands that packages add."""

    def open_plugins(self, config: Path | None) -> AbstractAsyncContextManager[PluginRunner]:
        """Start the plugins of a configuration file and stop them on exit."""
        ...

    def report(self, error: BaseException) -> int:
        """Print an error as one clear sentence and return the exit code for it."""
        ...
