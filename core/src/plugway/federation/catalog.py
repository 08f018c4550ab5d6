"""What all servers offer together: one list per kind, in names that stay unique."""

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from plugway.dispatch.exchange import Caller
from plugway.federation.member import Entry, Listing, Member, Source
from plugway.federation.naming import app_of, inward_uri, is_app, outward_name
from plugway.methods import Kind
from plugway_hookspecs import PlugwayError

CHANGED = {
    "notifications/tools/list_changed": (Kind.TOOL,),
    "notifications/prompts/list_changed": (Kind.PROMPT,),
    "notifications/resources/list_changed": (Kind.RESOURCE, Kind.TEMPLATE),
}

log = logging.getLogger(__name__)


__all__ = ["Catalog", "Entry", "Federated", "Member", "Source", "Target", "Unavailable"]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A server whose part of a list is missing, and why.

    `reason` may quote the server, and is for operators; clients get `kind`.
    """

    server: str
    reason: str
    kind: Literal["unavailable", "name taken"] = "unavailable"


@dataclass(frozen=True, slots=True)
class Federated:
    """One federated list: the definitions in configuration order, and what is missing."""

    items: tuple[Mapping[str, Any], ...]
    unavailable: tuple[Unavailable, ...] = ()
    size: int = 0
    """Bytes that it takes on the wire, about: what its parts took, under their own names."""
    ttl: float = 0.0
    """Seconds that it holds, as its servers say; not at all while one of them is missing."""
    public: bool = False
    """Whether it is the same for everybody, as all its servers say."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request for one name goes."""

    member: Member
    inward: str
    definition: Mapping[str, Any] | None


class Catalog:
    """All federated servers, in configuration order."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Federate `members` and follow their list changes."""
        self.members = tuple(members)
        self.by_name = {member.name: member for member in members}
        self.prefixed = {member.prefix: member for member in members if member.prefix}
        self._longest_first = sorted(self.prefixed.values(), key=lambda m: -len(m.prefix))
        self._names_start = [(outward_name(m.prefix, ""), m) for m in self._longest_first]
        self.unprefixed = tuple(member for member in members if not member.prefix)
        self._listeners: dict[object, Callable[[str], None]] = {}
        self._following = [m.source.on_list_changed(self._follow(m)) for m in members]

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each list change's method; returns the way to stop that."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    def close(self) -> None:
        """Follow the servers' list changes no longer."""
        for stop in self._following:
            stop()

    def _follow(self, member: Member) -> Callable[[str, Any], None]:
        def changed(method: str, link: Any = None) -> None:
            kinds = CHANGED.get(method, tuple(Kind))
            member.forget(kinds, link)
            if link is not None:
                return  # only its own client is concerned, and hears of it there
            methods = [method] if method in CHANGED else list(CHANGED)
            for listener in list(self._listeners.values()):
                for each in methods:
                    listener(each)

        return changed

    async def list(
        self, kind: Kind, caller: Caller | None = None, servers: Container[str] | None = None
    ) -> Federated:
        """List one kind over all servers at once; what can't be had is reported, not waited for.

        With `servers`, only those are asked, and only what they have is listed.
        """
        results: list[Listing | Unavailable | None] = [None] * len(self.members)

        async def one(index: int, member: Member) -> None:
            try:
                results[index] = await member.listing(kind, caller)
            except PlugwayError as error:
                log.warning("%s is missing from %s: %r", member.name, kind.value, str(error)[:300])
                results[index] = Unavailable(member.name, str(error))

        async with anyio.create_task_group() as tasks:
            for index, member in enumerate(self.members):
                if servers is None or member.name in servers:
                    tasks.start_soon(one, index, member)
        return self._merge(kind, results, caller)

    def _merge(
        self,
        kind: Kind,
        results: Sequence[Listing | Unavailable | None],
        caller: Caller | None,
    ) -> Federated:
        owners: dict[str, Member] = {}
        items: list[Mapping[str, Any]] = []
        missing: list[Unavailable] = []
        ttls: list[float] = []
        size, public = 0, True
        for member, result in zip(self.members, results, strict=True):
            if result is None:  # not asked, but what it is known to have is still its own
                for name in member.known(kind, caller):
                    self._taken(kind, name, member, owners)
                continue
            if isinstance(result, Unavailable):
                missing.append(result)
                continue
            size += result.size
            ttls.append(result.remaining)
            public = public and result.public
            for name, entry in result.entries.items():
                if reason := self._taken(kind, name, member, owners):
                    log.error("%s", reason)
                    missing.append(Unavailable(member.name, reason, "name taken"))
                else:
                    items.append(entry.definition)
        if missing or not ttls:
            return Federated(tuple(items), tuple(missing), size)
        return Federated(tuple(items), (), size, min(ttls), public)

    def _taken(self, kind: Kind, name: str, member: Member, owners: dict[str, Member]) -> str:
        """Say why requests for a name that `member` lists would go to another server."""
        meant = self.by_prefix(kind, name) or member
        if meant is not member:
            whose = f"{name!r} of {member.name!r} has the prefix of {meant.name!r}"
            return f"{whose}: give one of them another"
        owner = owners.setdefault(name, member)
        if owner is not member:
            whose = f"{name!r} is offered by {owner.name!r} and by {member.name!r}"
            app = kind.identifier != "name" and is_app(name)
            return f"{whose}: {'the first keeps it' if app else 'give one of them a prefix'}"
        return ""

    def by_prefix(self, kind: Kind, name: str) -> Member | None:
        """Return the server whose prefix a name has: requests for it go there."""
        if kind.identifier == "name":
            for start, member in self._names_start:
                if name.startswith(start):
                    return member
            return None
        if is_app(name):
            return None
        matching = (m for m in self._longest_first if inward_uri(m.prefix, name) is not None)
        return next(matching, None)

    async def find(self, kind: Kind, name: str, caller: Caller | None = None) -> Target | None:
        """Find the server that a name belongs to; None if no server has it.

        Resources need not be listed: what only a template describes goes by its prefix, or to the
        one server without a prefix, and an app to the server that lists it, or whose tool has it.
        Raises `ServerUnavailableError` where the server that may have it can't be asked, and
        `ServerError` where it refuses to list what it has.
        """
        member = self.by_prefix(kind, name)
        if member is None:
            return await self._find_unprefixed(kind, name, caller)
        entry = await member.look_up(kind, name, caller)
        if entry is not None:
            return Target(member, entry.inward, entry.definition)
        return self.unlisted(kind, name, caller)

    def known(self, kind: Kind, name: str, caller: Caller | None = None) -> Target | None:
        """Find a name in what was listed last, without asking any server."""
        meant = self.by_prefix(kind, name)
        for member in self._without_prefix(kind, name) if meant is None else (meant,):
            if (entry := member.known(kind, caller).get(name)) is not None:
                return Target(member, entry.inward, entry.definition)
        return None

    def unlisted(self, kind: Kind, name: str, caller: Caller | None = None) -> Target | None:
        """Return where a resource goes that nobody lists; None for all else that nobody lists."""
        if kind is not Kind.RESOURCE:
            return None
        member = self.by_prefix(kind, name) or self._app_owner(name, caller)
        if member is None:
            candidates = [m for m in self.unprefixed if kind.capability in m.source.capabilities]
            member = candidates[0] if len(candidates) == 1 else None
        inward = None if member is None else inward_uri(member.prefix, name)
        return None if member is None or inward is None else Target(member, inward, None)

    def _without_prefix(self, kind: Kind, name: str) -> Sequence[Member]:
        """Return the servers that may have a name as it is: for an app, that is all of them."""
        return self.members if kind.identifier != "name" and is_app(name) else self.unprefixed

    def _app_owner(self, uri: str, caller: Caller | None) -> Member | None:
        """Return the server that has a tool with this app."""
        if not is_app(uri):
            return None
        for member in self.members:
            tools = member.known(Kind.TOOL, caller).values()
            if any(app_of(tool.definition) == uri for tool in tools):
                return member
        return None

    async def _find_unprefixed(self, kind: Kind, name: str, caller: Caller | None) -> Target | None:
        if (target := self.known(kind, name, caller)) is not None:
            return target  # nobody waits for a server that need not be asked
        if kind is Kind.RESOURCE and self._app_owner(name, caller) is not None:
            return self.unlisted(kind, name, caller)
        failure: PlugwayError | None = None
        for member in self._without_prefix(kind, name):
            try:
                entry = await member.look_up(kind, name, caller)
            except PlugwayError as error:
                failure = failure or error
                continue
            if entry is not None:
                return Target(member, entry.inward, entry.definition)
        if failure is not None:
            raise failure
        return self.unlisted(kind, name, caller)
