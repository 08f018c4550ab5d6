"""The running plugins of one configuration, and their chains."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from plugway.errors import PluginSetupError
from plugway.executor.background import Background
from plugway.executor.chain import Chain, Failed
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Step, opened
from plugway.executor.threads import Threads
from plugway.foreign import describe, is_failure
from plugway.plugins.guarding import Guarded, guarded, weaker
from plugway.plugins.hooktable import HookTable
from plugway.plugins.instances import Instance
from plugway.plugins.lifecycle import call_lifecycle, read_parts
from plugway_hookspecs import (
    Operation,
    Outcome,
    Part,
    Payload,
    Plugin,
    PluginError,
    PluginInfo,
    PlugwayError,
    Server,
)

HEALTH_SECONDS = 5.0
"""How long a plugin may take to say how it is."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """A configured plugin that is not in the chains."""

    plugin: str
    message: str
    fatal: bool
    """Whether the gateway must not start without it."""


class Registry:
    """The plugins of one configuration, with their chains."""

    def __init__(
        self,
        hooks: HookTable,
        *,
        queue: int,
        threads: int,
        workers: int = 1,
        timeout: float = 120.0,
    ) -> None:
        """Make an empty registry.

        `queue` and `workers` bound background work, `threads` threaded plugins, `timeout` one `run`
        (seconds).
        """
        self.hooks = hooks
        self._timeout = timeout
        self.instances: list[Instance] = []
        self.problems: list[Problem] = []
        self.background = Background(queue, workers)
        self._pool = Threads(threads)
        self._chains: dict[str, Chain[Any]] = {}
        self._compiled: list[tuple[Part, ...]] = []
        self._single: dict[tuple[str, str], Chain[Any]] = {}
        self.compile()

    def chain(self, hook: str) -> Chain[Any]:
        """Return the hook's chain as it is compiled now; raises `KeyError` for an unknown hook."""
        return self._chains[hook]

    def add(self, instance: Instance) -> None:
        """Take in a started plugin; it is called once `compile` has run.

        Raises `PluginSetupError` or `ChainError` where it can't be compiled with the others.
        """
        if self._clashes(instance):
            self._compile([*self.instances, instance])  # says what is wrong
        guards = not instance.policy.mode.observes and not self._only_extends(instance)
        if not any(self._compile([instance]).values()) and guards:
            raise PluginSetupError("it has no hook: nothing would be guarded", plugin=instance.name)
        self.instances.append(instance)
        instance.running.users += 1

    def _only_extends(self, instance: Instance) -> bool:
        """Whether a plugin is there for the routes or the hooks that it adds, and for no chain."""
        extends = bool(instance.routes) or self.hooks.extended_by(instance.entry.kind)
        return extends and not instance.is_for_chains

    def compile(self) -> None:
        """Register everything anew and replace all chains at once; raises `PluginSetupError`."""
        self._chains = self._compile(self.instances)
        self._compiled = [instance.parts for instance in self.instances]
        self._single.clear()

    def _compile(self, instances: Sequence[Instance]) -> dict[str, Chain[Any]]:
        steps = [step for instance in instances for step in instance.steps()]
        return compile_chains(
            steps,
            self._pool,
            self.background.offer,
            hooks=self.hooks.chains,
            specs=self.hooks.specs,
        )

    def _clashes(self, instance: Instance) -> bool:
        """Whether a step has the name or the object of another plugin's."""
        others = [step for each in self.instances for step in each.steps()]
        names = {name for name, _, _ in others}
        objects = {id(plugin) for _, plugin, _ in others}
        return any(name in names or id(plugin) in objects for name, plugin, _ in instance.steps())

    def _guarded(self, instance: Instance) -> Guarded:
        return guarded(self._compile([instance]).values())

    def close(self) -> None:
        """Let the threads end when their calls have."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def take_over(self, servers: Mapping[str, Server]) -> None:
        """Have the plugins that were kept from another registry report here, about `servers`.

        Raises `PluginSetupError` where their parts changed meanwhile and don't fit any more.
        """
        if self._compiled != [instance.parts for instance in self.instances]:
            self.compile()
        for instance in self.instances:
            if (host := instance.running.host) is not None:
                host.servers, host.chains = servers, self.chain
                host.changed = partial(self.parts_changed, instance)

    def parts_changed(self, instance: Instance) -> None:
        """Take over a plugin's new parts, or keep the old chains.

        They stay where the new parts can't be compiled, and where less would be guarded: what a
        plugin, or a server behind it, says in passing is not the operator's word.
        """
        old, before = instance.parts, self._guarded(instance)
        try:
            read_parts(instance, self.hooks)
            if lost := weaker(before, self._guarded(instance)):
                message = f"{'; '.join(lost)}; restart the gateway to accept that"
                raise PluginSetupError(message, plugin=instance.name)
            self.compile()
        except PlugwayError as error:
            instance.running.parts = old
            log.error("plugin %r: new parts refused: %s", instance.name, error)  # noqa: TRY400

    def steps(self, hook: str) -> list[Step]:
        """Return the hook's steps in calling order, groups opened, background ones last."""
        chain = self._chains[hook]
        return [*opened(chain.steps), *chain.background]

    # plugway_hookspecs.PluginRunner

    def plugins(self) -> list[PluginInfo]:
        """Return the running plugins in the order of their priority."""
        return [self._info(i) for i in sorted(self.instances, key=lambda i: i.policy.priority)]

    def _info(self, instance: Instance) -> PluginInfo:
        names = {name for name, _, _ in instance.steps()}
        hooks = [h for h in self._chains if any(_serves(step, names) for step in self.steps(h))]
        kind = type(instance.plugin)
        schema = kind.Config.model_json_schema() if issubclass(kind, Plugin) else {}
        return PluginInfo(
            name=instance.name,
            kind=instance.entry.kind,
            hooks=tuple(hooks),
            mode=instance.policy.mode,
            on_error=instance.policy.on_error,
            priority=instance.policy.priority,
            version=instance.source.version or "",
            description=(instance.plugin.__doc__ or "").strip().partition("\n")[0],
            config_schema=schema,
        )

    async def run(
        self, plugin: str, hook: str, payload: Payload, operation: Operation
    ) -> Outcome[Payload]:
        """Call one hook of one plugin under its own mode, conditions and limits.

        Raises `KeyError` where there is nothing to call, `PluginError` where the plugin failed.
        """
        chain = self._single.get((plugin, hook)) or self._only(plugin, hook)
        try:
            with anyio.fail_after(self._timeout) as scope:
                operation.deadline = scope.deadline
                outcome: Outcome[Payload] = await chain(payload, operation)
        except TimeoutError:
            raise PluginError("timed out", plugin=plugin, hook=hook) from None
        if isinstance(outcome, Failed):
            raise PluginError("failed", plugin=plugin, hook=hook)
        return outcome

    def _only(self, plugin: str, hook: str) -> Chain[Any]:
        instance = next((i for i in self.instances if i.name == plugin), None)
        if instance is None or hook not in self._chains:
            raise KeyError(plugin if instance is None else hook)
        chain = self._compile([instance])[hook].without_wrappers()
        if not chain:
            raise KeyError(hook)
        self._single[plugin, hook] = chain
        return chain

    async def health(self) -> dict[str, str | None]:
        """Ask every plugin how it is: None when all is well, else one sentence."""
        report: dict[str, str | None] = {}
        for instance in self.instances:
            try:
                with anyio.fail_after(HEALTH_SECONDS):
                    report[instance.name] = await call_lifecycle(instance.plugin, "plugin_health")
            except BaseException as error:  # foreign code
                if not is_failure(error):
                    raise
                report[instance.name] = f"the health check {describe(error)}"
        return report


def _serves(step: Step, plugins: set[str]) -> bool:
    """Whether a step can be called for itself: a wrapper can't, there is no call to wrap."""
    return step.scope.plugin in plugins and not step.wraps
