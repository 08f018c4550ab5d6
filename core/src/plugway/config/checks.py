"""What can be wrong between the parts of a configuration, each of which is right by itself."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic_core import InitErrorDetails, PydanticCustomError

from plugway.conditions import Condition, compile_patterns, impossible
from plugway.config.fields import problem
from plugway.config.models import PluginEntry, ServerConfig
from plugway_hookspecs import Mode

Servers = Mapping[str, ServerConfig]
Plugins = Sequence[PluginEntry]


def inconsistencies(servers: Servers, plugins: Plugins) -> list[InitErrorDetails]:
    """Return one error for everything that does not fit together."""
    return [
        *_unknown_servers(servers, plugins),
        *_same_names(plugins),
        *_same_prefixes(servers),
        *_never_called(servers, plugins),
    ]


def dead_conditions(servers: Servers, plugins: Plugins) -> Iterator[str]:
    """Name the conditions that can't match, of plugins that have others."""
    for plugin in plugins:
        for condition in plugin.when:
            if reason := _impossible(condition, servers):
                yield f"the plugin {plugin.name!r} has a condition that never matches: {reason}"


def _unknown_servers(servers: Servers, plugins: Plugins) -> Iterator[InitErrorDetails]:
    for index, plugin in enumerate(plugins):
        if plugin.server is not None and plugin.server not in servers:
            found = problem("server", "is not in mcpServers", choices=list(servers))
            yield _at(found, "plugins", index, "server")


def _same_names(plugins: Plugins) -> Iterator[InitErrorDetails]:
    first: dict[str, int] = {}
    for index, plugin in enumerate(plugins):
        other = first.setdefault(plugin.name, index)
        if other != index:
            message = "plugins[{other}] has the same name: each name only once"
            yield _at(problem("twice", message, other=other), "plugins", index, "name")


def _same_prefixes(servers: Servers) -> Iterator[InitErrorDetails]:
    first: dict[str, str] = {}
    for name, server in servers.items():
        prefix = server.effective_prefix(name)
        if not prefix or not server.expose:
            continue
        other = first.setdefault(prefix, name)
        if other != name:
            message = "has the same prefix as the server {other}: give one of them another"
            yield _at(problem("twice", message, other=repr(other)), "mcpServers", name)


def _never_called(servers: Servers, plugins: Plugins) -> Iterator[InitErrorDetails]:
    for index, plugin in enumerate(plugins):
        reasons = [_impossible(condition, servers) for condition in plugin.when]
        if plugin.mode is not Mode.DISABLED and reasons and all(reasons):
            message = "the plugin would never be called: {reason}"
            yield _at(problem("never", message, reason=reasons[0]), "plugins", index, "when")


def _impossible(condition: Condition, servers: Servers) -> str | None:
    """Say why a condition can't match in this configuration; None if it can."""
    for reason in impossible(condition):
        return reason
    patterns = condition.server_ids or ()
    names_some = any(not pattern.startswith("!") for pattern in patterns)
    if servers and names_some and not any(map(compile_patterns(patterns), servers)):
        return "server_ids: no server in mcpServers has such a name"
    return None


def _at(error: PydanticCustomError, *place: str | int) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=place, input=None)
