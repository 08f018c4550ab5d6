"""The endpoints beside the federation's own: one for each server, one for each virtual server."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from plugway.config import Config, VirtualServer
from plugway.config.checks import may_begin
from plugway.executor.conditions import Matcher, compile_patterns
from plugway.federation.federation import LISTS, Federation
from plugway.federation.member import Member
from plugway.federation.naming import outward_name, outward_uri
from plugway.federation.view import View, nothing
from plugway.methods import Kind
from plugway_hookspecs import spellings

InstructionsOf = Callable[[str], str]
"""Takes a server's name and returns what it says of itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One place where clients connect: what it shows, and what they learn at their handshake."""

    view: View
    federation: Federation


def make_endpoints(
    config: Config, members: Sequence[Member], instructions_of: InstructionsOf
) -> Mapping[str, Endpoint]:
    """Return the endpoints of a configuration, by name; `members` are the exposed servers."""
    found: dict[str, Endpoint] = {}
    for member in members:
        view = View(
            member.name,
            {member.name: member.prefix},
            prefixed=config.servers[member.name].endpoint_prefix,
        )
        found[member.name] = Endpoint(view, Federation([member], None, instructions_of))
    for name, virtual in config.virtual_servers.items():
        found[name] = _virtual(name, virtual, members, instructions_of)
    return found


def _virtual(
    name: str, virtual: VirtualServer, members: Sequence[Member], instructions_of: InstructionsOf
) -> Endpoint:
    chosen = [member for member in members if _has_part(virtual, member)]
    offered = dict(_offered(virtual))
    view = View(name, {m.name: m.prefix for m in chosen}, virtual.prefix, offered)
    lists = [key for key in LISTS if offered.get(Kind(key)) is not nothing]
    own = virtual.instructions
    said = instructions_of if own is None else _silent
    return Endpoint(view, Federation(chosen, own, said, lists))


def _silent(_: str) -> str:
    return ""


def _has_part(virtual: VirtualServer, member: Member) -> bool:
    """Whether a virtual server may show anything of a server."""
    if virtual.servers is not None:
        return member.name in virtual.servers
    name, uri = [outward_name(member.prefix, "")], [outward_uri(member.prefix, ""), "ui://"]
    return any(
        _may_match(patterns, member.prefix, heads)
        for patterns, heads in (
            (virtual.tools, name),
            (virtual.prompts, name),
            (virtual.resources, uri),
        )
    )


def _may_match(patterns: Sequence[str] | None, prefix: str, heads: Sequence[str]) -> bool:
    """Whether patterns may match what begins so; apps have no prefix, so they are anybody's."""
    if not patterns or not prefix:
        return bool(patterns)
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    return not wanted or any(may_begin(pattern, head) for pattern in wanted for head in heads)


def _offered(virtual: VirtualServer) -> Iterator[tuple[Kind, Matcher]]:
    """Return what is shown of each kind: a missing list is all of `servers`, or nothing."""
    for kind, patterns in (
        (Kind.TOOL, virtual.tools),
        (Kind.PROMPT, virtual.prompts),
        (Kind.RESOURCE, virtual.resources),
        (Kind.TEMPLATE, virtual.resources),
    ):
        if patterns:
            yield (
                kind,
                _uris(patterns) if kind.capability == "resources" else compile_patterns(patterns),
            )
        elif patterns is not None or virtual.servers is None:
            yield kind, nothing


def _uris(patterns: Sequence[str]) -> Matcher:
    """Match URIs, however they are written: none that may mean something else gets through."""
    forms = [
        sign + form
        for pattern in patterns
        for sign in ("!" if pattern.startswith("!") else "",)
        for form in spellings(pattern.removeprefix("!"))
    ]
    matches = compile_patterns(forms)
    return lambda uri: all(map(matches, spellings(uri)))
