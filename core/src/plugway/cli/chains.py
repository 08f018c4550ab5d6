"""The chains as they run, in words that people and machines can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plugway.config import Config
from plugway.executor.conditions import Condition
from plugway.executor.steps import Step, opened
from plugway.plugins.discovery import Discovery
from plugway.plugins.instances import Instance
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Problem, Registry
from plugway.upstream import open_upstreams
from plugway_hookspecs import Mode

EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Link:
    """One step of one chain."""

    order: str
    """Its place; neighbours that run at the same time have the same, background ones none."""
    name: str
    kind: str
    source: str
    """The distribution and version that the kind comes from."""
    priority: int
    mode: str
    on_error: str
    when: str

    @property
    def external(self) -> bool:
        """Whether it runs on another server."""
        return self.kind == EXTERNAL


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """All chains, and what is configured but in none of them."""

    links: dict[str, list[Link]]
    problems: Sequence[Problem]
    disabled: Sequence[str]
    used: frozenset[str]
    """The kinds that are configured."""
    added: Mapping[str, str]
    """The hooks that packages add, with the package of each."""
    routes: Sequence[str]
    """The paths of the HTTP routes that plugins add."""


async def open_chains(config: Config, discovery: Discovery) -> Chains:
    """Start the plugins, read the chains, stop the plugins."""
    async with (
        open_upstreams(config.servers) as upstreams,
        open_registry(config, discovery, upstreams, strict=False) as registry,
    ):
        links = {hook: _links(registry, hook) for hook in registry.hooks.chains}
        disabled = [entry.name for entry in config.plugins if entry.mode is Mode.DISABLED]
        used = frozenset(entry.kind for entry in config.plugins)
        added = {hook.name: hook.package for hook in registry.hooks.custom.values()}
        routes = [url for instance in registry.instances for url in instance.urls]
        return Chains(links, list(registry.problems), disabled, used, added, routes)


def _links(registry: Registry, hook: str) -> list[Link]:
    chain = registry.chain(hook)
    links: list[Link] = []
    for number, step in enumerate(chain.steps, start=1):
        sign = f"{number}∥" if step.members else str(number)
        links += [_link(registry, each, sign) for each in opened([step])]
    return links + [_link(registry, step, "") for step in chain.background]


def _link(registry: Registry, step: Step, order: str) -> Link:
    name, policy = step.scope.plugin, step.policy
    instance = _owner(registry, name)
    return Link(
        order,
        name,
        instance.entry.kind,
        instance.source.package,
        policy.priority,
        policy.mode.value,
        policy.on_error.value,
        _conditions(instance.entry.when),
    )


def _owner(registry: Registry, step: str) -> Instance:
    """Return the plugin that a step belongs to; the steps of a plugin in parts are `name/part`."""
    return next(i for i in registry.instances if f"{step}/".startswith(f"{i.name}/"))


def _conditions(conditions: Sequence[Condition]) -> str:
    parts: list[str] = []
    for condition in conditions:
        given: dict[str, list[str]] = condition.model_dump(exclude_none=True)
        parts.append(" and ".join(f"{key}: {', '.join(v)}" for key, v in given.items()))
    return " or ".join(filter(None, parts))
