"""What all servers offer together: one list per kind, in names that stay unique."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from plugway.jsonvalues import is_object
from plugway.methods import LIST_METHOD, Kind
from plugway.naming import inward_name, inward_uri, outward_name, outward_uri
from plugway_hookspecs import PlugwayError, ServerUnavailableError, freeze

MAX_PAGES = 1000
"""Pages of one list; a server that hands out cursors for ever is cut off with an error."""

RELOOK_SECONDS = 1.0
"""How long a name that was just not found is not looked up again."""

CHANGED = {
    "notifications/tools/list_changed": (Kind.TOOL,),
    "notifications/prompts/list_changed": (Kind.PROMPT,),
    "notifications/resources/list_changed": (Kind.RESOURCE, Kind.TEMPLATE),
}

log = logging.getLogger(__name__)


class Source(Protocol):
    """The part of an upstream that the catalog needs."""

    @property
    def name(self) -> str:
        """The server's name in the configuration."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the server declared; empty before it is connected."""
        ...

    async def connect(self) -> None:
        """Connect if there is no live connection."""
        ...

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Send one request and return its raw result."""
        ...

    def on_list_changed(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the notification's method, and with `connected` after a connect."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool, prompt, resource or template of one server."""

    inward: str
    definition: Mapping[str, Any]
    """Immutable, under the name that clients use."""


@dataclass(slots=True)
class _Listing:
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    loaded: float = float("-inf")
    fresh_until: float = float("-inf")
    lock: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A server whose part of a list is missing, and why."""

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class Federated:
    """One federated list: the definitions in configuration order, and what is missing."""

    items: tuple[Mapping[str, Any], ...]
    unavailable: tuple[Unavailable, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request for one name goes."""

    member: "Member"
    inward: str
    definition: Mapping[str, Any] | None


class Member:
    """One federated server: its prefix and its lists."""

    def __init__(self, source: Source, prefix: str, list_timeout: float) -> None:
        """Join a server under `prefix`; its lists must answer within `list_timeout` seconds."""
        self.source = source
        self.prefix = prefix
        self.list_timeout = list_timeout
        self._listings = {kind: _Listing() for kind in Kind}

    @property
    def name(self) -> str:
        """The server's name in the configuration."""
        return self.source.name

    def forget(self, kinds: Sequence[Kind] = tuple(Kind)) -> None:
        """Make the lists stale; they are fetched again when somebody asks."""
        for kind in kinds:
            self._listings[kind].fresh_until = float("-inf")

    def known(self, kind: Kind) -> Mapping[str, Entry]:
        """Return what was listed last, without asking the server."""
        return self._listings[kind].entries

    async def entries(self, kind: Kind) -> Mapping[str, Entry]:
        """Return what the server lists now; from memory while the server's own hints allow it.

        Raises `ServerUnavailableError` or `ServerError`; never takes longer than `list_timeout`.
        """
        listing = self._listings[kind]
        try:
            with anyio.fail_after(self.list_timeout):
                await self.source.connect()  # what is down is missing, whatever is remembered
                async with listing.lock:
                    if listing.fresh_until < time.monotonic():
                        await self._load(kind, listing)
        except TimeoutError:
            message = f"server {self.name!r} did not list its {kind.value} within"
            raise ServerUnavailableError(
                f"{message} {self.list_timeout:g} s", server=self.name
            ) from None
        return listing.entries

    async def look_up(self, kind: Kind, name: str) -> Entry | None:
        """Find one entry by the name that clients use; asks the server only if it must."""
        listing = self._listings[kind]
        if (entry := listing.entries.get(name)) is not None:
            return entry
        if time.monotonic() - listing.loaded > RELOOK_SECONDS:
            listing.fresh_until = float("-inf")
        return (await self.entries(kind)).get(name)

    async def _load(self, kind: Kind, listing: _Listing) -> None:
        items: list[Any] = []
        ttl = 0.0
        if kind.capability in self.source.capabilities:
            items, ttl = await self._pages(kind)
        listing.entries = self._index(kind, items)
        listing.loaded = time.monotonic()
        listing.fresh_until = listing.loaded + max(ttl, self._lease(kind))

    def _lease(self, kind: Kind) -> float:
        """Trust a list until its server says that it changed, if the server promised to say so."""
        declared = self.source.capabilities.get(kind.capability)
        if declared is None:
            return float("inf")
        promised = is_object(declared) and declared.get("listChanged") is True
        return float("inf") if promised else 0.0

    async def _pages(self, kind: Kind) -> tuple[list[Any], float]:
        items: list[Any] = []
        params: dict[str, Any] = {}
        ttl = float("inf")
        for _ in range(MAX_PAGES):
            page = await self.source.request(LIST_METHOD[kind], params)
            part = page.get(kind.value)
            if not isinstance(part, list):
                message = f"server {self.name!r} answered {LIST_METHOD[kind]} without {kind.value}"
                raise ServerUnavailableError(message, server=self.name)
            items += part
            hint = page.get("ttlMs")
            ttl = min(ttl, hint / 1000 if isinstance(hint, int | float) and hint > 0 else 0.0)
            cursor = page.get("nextCursor")
            if cursor is None:
                return items, ttl
            params = {"cursor": cursor}
        message = f"server {self.name!r} lists its {kind.value} on more than {MAX_PAGES} pages"
        raise ServerUnavailableError(message, server=self.name)

    def _index(self, kind: Kind, items: Sequence[Any]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        key = kind.identifier
        outward = outward_name if key == "name" else outward_uri
        for item in items:
            inward = item.get(key) if is_object(item) else None
            if not isinstance(inward, str):
                log.warning("server %r lists a %s without %s; left out", self.name, kind.name, key)
                continue
            try:
                definition = freeze({**item, key: outward(self.prefix, inward)})
            except PlugwayError as error:
                log.warning("server %r lists %r: %s; left out", self.name, inward, error)
                continue
            entries[definition[key]] = Entry(inward, definition)
        return entries


class Catalog:
    """All federated servers, in configuration order."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Federate `members` and follow their list changes."""
        self.members = tuple(members)
        self.prefixed = {member.prefix: member for member in members if member.prefix}
        self.unprefixed = tuple(member for member in members if not member.prefix)
        self._listeners: dict[object, Callable[[str], None]] = {}
        for member in members:
            member.source.on_list_changed(self._follow(member))

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each list change's method; returns the way to stop that."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None

    def _follow(self, member: Member) -> Callable[[str], None]:
        def changed(method: str) -> None:
            kinds = CHANGED.get(method, tuple(Kind))
            member.forget(kinds)
            methods = [method] if method in CHANGED else list(CHANGED)
            for listener in list(self._listeners.values()):
                for each in methods:
                    listener(each)

        return changed

    async def list(self, kind: Kind) -> Federated:
        """List one kind over all servers at once; what can't be had is reported, not waited for."""
        results: list[Mapping[str, Entry] | Unavailable] = [{}] * len(self.members)

        async def one(index: int, member: Member) -> None:
            try:
                results[index] = await member.entries(kind)
            except PlugwayError as error:
                log.warning("%s is missing from %s: %s", member.name, kind.value, error)
                results[index] = Unavailable(member.name, str(error))

        async with anyio.create_task_group() as tasks:
            for index, member in enumerate(self.members):
                tasks.start_soon(one, index, member)
        return self._merge(results)

    def _merge(self, results: Sequence[Mapping[str, Entry] | Unavailable]) -> Federated:
        owners: dict[str, str] = {}
        items: list[Mapping[str, Any]] = []
        missing: list[Unavailable] = []
        for member, result in zip(self.members, results, strict=True):
            if isinstance(result, Unavailable):
                missing.append(result)
                continue
            for name, entry in result.items():
                owner = owners.setdefault(name, member.name)
                if owner == member.name:
                    items.append(entry.definition)
                    continue
                reason = (
                    f"{name!r} is offered by {owner!r} and by {member.name!r}: "
                    f"give one of them a prefix"
                )
                log.error("%s", reason)
                missing.append(Unavailable(member.name, reason))
        return Federated(tuple(items), tuple(missing))

    async def find(self, kind: Kind, name: str) -> Target | None:
        """Find the server that a name belongs to; None if no server has it.

        Resources need not be listed: what only a template describes goes by its prefix, or to the
        one server without a prefix. Raises `ServerUnavailableError` where the server that may have
        it can't be asked.
        """
        inward = inward_name if kind.identifier == "name" else inward_uri
        for prefix, member in self.prefixed.items():
            own = inward(prefix, name)
            if own is not None:
                return await self._target(kind, member, name, own)
        return await self._find_unprefixed(kind, name)

    async def _target(self, kind: Kind, member: Member, name: str, own: str) -> Target | None:
        entry = await member.look_up(kind, name)
        if entry is not None:
            return Target(member, entry.inward, entry.definition)
        return Target(member, own, None) if kind is Kind.RESOURCE else None

    async def _find_unprefixed(self, kind: Kind, name: str) -> Target | None:
        failure: PlugwayError | None = None
        for member in self.unprefixed:
            try:
                entry = await member.look_up(kind, name)
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
