"""What can be wrong with endpoints: names that clash, servers that clients may not see."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic_core import InitErrorDetails

from plugway.config.checks import at, may_begin
from plugway.config.fields import problem
from plugway.config.models import HEALTH_PATH, ServerConfig
from plugway.config.virtual import VirtualServer
from plugway.federation.naming import outward_name, outward_uri

Servers = Mapping[str, ServerConfig]


def endpoint_faults(
    servers: Servers, virtual: Mapping[str, VirtualServer], path: str
) -> Iterator[InitErrorDetails]:
    """Return one error for everything that does not fit together; `path` is `gateway.path`."""
    for name, each in virtual.items():
        if name in servers:
            message = "is the name of a server in mcpServers, too: give one of them another"
            yield at(problem("twice", message), "virtualServers", name)
        yield from _servers(servers, name, each.servers or ())
        kinds = (("tools", outward_name), ("prompts", outward_name), ("resources", outward_uri))
        for key, outward in kinds:
            patterns: Sequence[str] = getattr(each, key) or ()
            heads = _heads(servers, each.servers, outward)
            for index, pattern in enumerate(patterns):
                if heads and not _possible(pattern.removeprefix("!"), heads):
                    message = "matches nothing: names begin with {heads} here"
                    found = problem("nothing", message, heads=" or ".join(map(repr, heads)))
                    yield at(found, "virtualServers", name, key, index)
    yield from _health(servers, virtual, path)


def _servers(servers: Servers, name: str, given: Sequence[str]) -> Iterator[InitErrorDetails]:
    exposed = [key for key, server in servers.items() if server.expose]
    for index, server in enumerate(given):
        place = "virtualServers", name, "servers", index
        if server not in servers:
            yield at(problem("server", "expected a server in mcpServers", choices=exposed), *place)
        elif server not in exposed:
            message = "the server {server} is not exposed: remove it, or its `expose: false`"
            yield at(problem("server", message, server=repr(server)), *place)


def _heads(
    servers: Servers, chosen: Sequence[str] | None, outward: Callable[[str, str], str]
) -> list[str]:
    """Return what names begin with; nothing where they may begin with anything."""
    prefixes = {
        server.effective_prefix(name)
        for name, server in servers.items()
        if server.expose and (chosen is None or name in chosen)
    }
    return [] if "" in prefixes else sorted(outward(prefix, "") for prefix in prefixes)


def _possible(pattern: str, heads: Sequence[str]) -> bool:
    apps = ["ui://"] if heads[0].endswith("+") else []
    return any(may_begin(pattern, head) for head in [*heads, *apps])


def _health(
    servers: Servers, virtual: Mapping[str, object], path: str
) -> Iterator[InitErrorDetails]:
    """Refuse an endpoint where the health check is, which everybody may reach."""
    for place, names in (("mcpServers", servers), ("virtualServers", virtual)):
        for name in names:
            if f"{path.rstrip('/')}/{name}" == HEALTH_PATH:
                message = "its endpoint would be where the health check is: change `gateway.path`"
                yield at(problem("path", message), place, name)
