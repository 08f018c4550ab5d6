"""What all servers offer together: one list per kind, in names that stay unique."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from plugway.dispatch.exchange import Caller
from plugway.federation.member import Entry, Listing, Member, Source
from plugway.federation.naming import inward_name, inward_uri
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
        self.prefixed = {member.prefix: member for member in members if member.prefix}
        self._longest_first = sorted(self.prefixed.values(), key=lambda m: -len(m.prefix))
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
            methods = [method] if method in CHANGED else list(CHANGED)
            for listener in list(self._listeners.values()):
                for each in methods:
                    listener(each)

        return changed

    async def list(self, kind: Kind, caller: Caller | None = None) -> Federated:
        """List one kind over all servers at once; what can't be had is reported, not waited for."""
        results: list[Listing | Unavailable] = [Listing()] * len(self.members)

        async def one(index: int, member: Member) -> None:
            try:
                results[index] = await member.listing(kind, caller)
            except PlugwayError as error:
                log.warning("%s is missing from %s: %r", member.name, kind.value, str(error)[:300])
                results[index] = Unavailable(member.name, str(error))

        async with anyio.create_task_group() as tasks:
            for index, member in enumerate(self.members):
                tasks.start_soon(one, index, member)
        return self._merge(kind, results)

    def _merge(self, kind: Kind, results: Sequence[Listing | Unavailable]) -> Federated:
        owners: dict[str, Member] = {}
        items: list[Mapping[str, Any]] = []
        missing: list[Unavailable] = []
        ttls: list[float] = []
        size, public = 0, True
        for member, result in zip(self.members, results, strict=True):
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
        meant = self._by_prefix(kind, name) or member
        if meant is not member:
            whose = f"{name!r} of {member.name!r} has the prefix of {meant.name!r}"
            return f"{whose}: give one of them another"
        owner = owners.setdefault(name, member)
        if owner is not member:
            whose = f"{name!r} is offered by {owner.name!r} and by {member.name!r}"
            return f"{whose}: give one of them a prefix"
        return ""

    def _by_prefix(self, kind: Kind, name: str) -> Member | None:
        """Return the server whose prefix a name has: requests for it go there."""
        inward = inward_name if kind.identifier == "name" else inward_uri
        matching = (m for m in self._longest_first if inward(m.prefix, name) is not None)
        return next(matching, None)

    async def find(self, kind: Kind, name: str, caller: Caller | None = None) -> Target | None:
        """Find the server that a name belongs to; None if no server has it.

        Resources need not be listed: what only a template describes goes by its prefix, or to the
        one server without a prefix. Raises `ServerUnavailableError` where the server that may have
        it can't be asked, and `ServerError` where it refuses to list what it has.
        """
        member = self._by_prefix(kind, name)
        if member is None:
            return await self._find_unprefixed(kind, name, caller)
        entry = await member.look_up(kind, name, caller)
        if entry is not None:
            return Target(member, entry.inward, entry.definition)
        inward = inward_uri(member.prefix, name) if kind is Kind.RESOURCE else None
        return None if inward is None else Target(member, inward, None)

    async def _find_unprefixed(self, kind: Kind, name: str, caller: Caller | None) -> Target | None:
        for member in self.unprefixed:  # nobody waits for a server that need not be asked
            if (entry := member.known(kind, caller).get(name)) is not None:
                return Target(member, entry.inward, entry.definition)
        failure: PlugwayError | None = None
        for member in self.unprefixed:
            try:
                entry = await member.look_up(kind, name, caller)
            except PlugwayError as error:
                failure = failure or error
                continue
            if entry is not None:
                return Target(member, entry.inward, entry.definition)
        if failure is not None:
            raise failure
        if kind is Kind.RESOURCE:
            candidates = [m for m in self.unprefixed if kind.capability in m.source.capabilities]
            if len(candidates) == 1:
                return Target(candidates[0], name, None)
        return None
