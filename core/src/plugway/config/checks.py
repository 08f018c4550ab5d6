"""What can be wrong between the parts of a configuration, each of which is right by itself."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic_core import InitErrorDetails, PydanticCustomError

from plugway.config.fields import problem
from plugway.config.models import PluginEntry, ServerConfig
from plugway.executor.conditions import Condition, compile_patterns, impossible
from plugway.federation.naming import URI_SEPARATOR, outward_name, outward_uri, uri_prefix
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
            found = problem("server", "expected a server in mcpServers", choices=list(servers))
            yield at(found, "plugins", index, "server")


def _same_names(plugins: Plugins) -> Iterator[InitErrorDetails]:
    first: dict[str, int] = {}
    for index, plugin in enumerate(plugins):
        other = first.setdefault(plugin.name, index)
        if other != index:
            message = "plugins[{other}] has the same name: each name only once"
            yield at(problem("twice", message, other=other), "plugins", index, "name")


def _same_prefixes(servers: Servers) -> Iterator[InitErrorDetails]:
    first: dict[str, str] = {}
    for name, server in servers.items():
        prefix = server.effective_prefix(name)
        if not prefix or not server.expose:
            continue
        start = uri_prefix(prefix)  # of URIs, which have fewer letters than names
        other = first.setdefault(start, name)
        if other != name:
            message = "has the same prefix as the server {other}: give one of them another"
            if prefix != servers[other].effective_prefix(other):
                message = (
                    "has the same prefix in URIs, {start}, as the server {other}: give one of them "
                    "another"
                )
            found = problem("twice", message, other=repr(other), start=repr(start + URI_SEPARATOR))
            yield at(found, "mcpServers", name)


def _never_called(servers: Servers, plugins: Plugins) -> Iterator[InitErrorDetails]:
    for index, plugin in enumerate(plugins):
        reasons = [_impossible(condition, servers) for condition in plugin.when]
        if plugin.mode is not Mode.DISABLED and reasons and all(reasons):
            message = "the plugin would never be called: {reason}"
            yield at(problem("never", message, reason=reasons[0]), "plugins", index, "when")


def _impossible(condition: Condition, servers: Servers) -> str | None:
    """Say why a condition can't match in this configuration; None if it can."""
    for reason in impossible(condition):
        return reason
    patterns = condition.server_ids or ()
    names_some = any(not pattern.startswith("!") for pattern in patterns)
    if servers and names_some and not any(map(compile_patterns(patterns), servers)):
        return "server_ids: no server in mcpServers has such a name"
    return _unknown_people(condition) or _unknown_names(condition, servers) if servers else None


def _unknown_people(condition: Condition) -> str | None:
    """Say which field names people; a gateway knows none, unlike a plugin host."""
    for field in ("tenant_ids", "user_patterns"):
        if any(not pattern.startswith("!") for pattern in getattr(condition, field) or ()):
            return f"{field}: the gateway does not authenticate single users yet"
    return None


def _unknown_names(condition: Condition, servers: Servers) -> str | None:
    """Say which field only has names that no server's prefix makes possible."""
    prefixes = {server.effective_prefix(n) for n, server in servers.items() if server.expose}
    if "" in prefixes:
        return None
    fields = (("tools", outward_name), ("prompts", outward_name), ("resources", outward_uri))
    for field, outward in fields:
        patterns = [p for p in getattr(condition, field) or () if not p.startswith("!")]
        heads = sorted(outward(prefix, "") for prefix in prefixes)
        if patterns and not any(may_begin(p, head) for p in patterns for head in heads):
            return f"{field}: names begin with {' or '.join(map(repr, heads))} here"
    return None


def may_begin(pattern: str, head: str) -> bool:
    """Whether a glob may match something that begins with `head`."""
    literal = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    if literal == pattern:
        return pattern.startswith(head)
    return literal.startswith(head) or head.startswith(literal)


def at(error: PydanticCustomError, *place: str | int) -> InitErrorDetails:
    """Return an error about a place in the configuration."""
    return InitErrorDetails(type=error, loc=place, input=None)
