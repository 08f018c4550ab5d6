"""One federated server: its prefix, and what it lists, remembered for as long as that is true."""

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import anyio

from plugway.dispatch.exchange import Caller
from plugway.federation.naming import outward_item
from plugway.jsonvalues import is_array, is_object
from plugway.limits import wire_size
from plugway.methods import LIST_METHOD, Kind
from plugway_hookspecs import PlugwayError, ServerUnavailableError, freeze

MAX_PAGES = 1000
"""Pages of one list; a server that hands out cursors for ever is cut off with an error."""

MAX_LIST_BYTES = 4 * 1024 * 1024
"""How large one list of one server may be; a larger one is missing, and hides nobody else's."""

MAX_TTL_SECONDS = 86_400.0
"""How long a list is believed at most, whatever its server says."""

RELOOK_SECONDS = 1.0
"""How long a name that was just not found is not looked up again."""

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

    def link(self, caller: Caller | None) -> Hashable:
        """Return what a client's requests go through; each link may have lists of its own."""
        ...

    def refuses(self, tool: Mapping[str, Any]) -> str:
        """Say why a tool that the server lists can't be called through it; empty if it can."""
        ...

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        caller: Caller | None = None,
    ) -> dict[str, Any]:
        """Send one request and return its raw result."""
        ...

    def on_list_changed(self, listener: Callable[[str, Any], None]) -> Callable[[], None]:
        """Call `listener` with the notification's method, or `connected`, and the link.

        Returns the way to stop that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool, prompt, resource or template of one server."""

    inward: str
    definition: Mapping[str, Any]
    """Immutable, under the name that clients use."""


@dataclass(slots=True)
class Listing:
    """One list as a server gave it last."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    size: int = 0
    """Bytes that it took on the wire."""
    ttl: float = 0.0
    """Seconds that the server says it holds, from when it was asked."""
    public: bool = False
    """Whether the server says that it is the same for everybody."""
    loaded: float = float("-inf")
    fresh_until: float = float("-inf")
    changes: int = 0
    """How often the list was said to have changed."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def remaining(self) -> float:
        """Seconds that it still holds, by what the server said."""
        return max(0.0, self.ttl - (time.monotonic() - self.loaded))


class Member:
    """One federated server: its prefix and its lists."""

    def __init__(
        self,
        source: Source,
        prefix: str,
        list_timeout: float,
        max_list_bytes: int = MAX_LIST_BYTES,
    ) -> None:
        """Join a server under `prefix`; its lists must answer within `list_timeout` seconds."""
        self.source = source
        self.prefix = prefix
        self.list_timeout = list_timeout
        self.max_list_bytes = max_list_bytes
        self._listings: WeakKeyDictionary[Hashable, dict[Kind, Listing]] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The server's name in the configuration."""
        return self.source.name

    def same(self, other: "Member") -> bool:
        """Whether another member would offer the same."""
        mine = self.source, self.prefix, self.list_timeout, self.max_list_bytes
        return mine == (other.source, other.prefix, other.list_timeout, other.max_list_bytes)

    def forget(self, kinds: Sequence[Kind] = tuple(Kind), link: Hashable | None = None) -> None:
        """Make the lists of one link stale, or of all; they are fetched again when asked for."""
        links = list(self._listings) if link is None else [link]
        for each in links:
            for kind in kinds:
                listing = self._of(each, kind)
                listing.fresh_until = float("-inf")
                listing.changes += 1

    def known(self, kind: Kind, caller: Caller | None = None) -> Mapping[str, Entry]:
        """Return what was listed last, without asking the server."""
        return self._of(self.source.link(caller), kind).entries

    async def entries(self, kind: Kind, caller: Caller | None = None) -> Mapping[str, Entry]:
        """Return what the server lists now; see `listing`."""
        return (await self.listing(kind, caller)).entries

    async def listing(self, kind: Kind, caller: Caller | None = None) -> Listing:
        """Return what the server lists now; from memory while the server's own hints allow it.

        Who waits while another fetches takes what the other gets. Raises `ServerUnavailableError`
        or `ServerError`; never takes longer than `list_timeout`.
        """
        try:
            with anyio.fail_after(self.list_timeout):
                await self.source.connect()  # what is down is missing, whatever is remembered
                listing = self._of(self.source.link(caller), kind)
                asked = time.monotonic()
                async with listing.lock:
                    if listing.fresh_until < asked:
                        await self._load(kind, listing, caller)
        except TimeoutError:
            message = f"server {self.name!r} did not list its {kind.value} within"
            raise ServerUnavailableError(
                f"{message} {self.list_timeout:g} s", server=self.name
            ) from None
        return listing

    async def look_up(self, kind: Kind, name: str, caller: Caller | None = None) -> Entry | None:
        """Find one entry by the name that clients use; asks the server only if it must."""
        listing = self._of(self.source.link(caller), kind)
        if (entry := listing.entries.get(name)) is not None:
            return entry
        if time.monotonic() - listing.loaded < RELOOK_SECONDS:
            return None
        listing.fresh_until = float("-inf")
        return (await self.entries(kind, caller)).get(name)

    def _of(self, link: Hashable, kind: Kind) -> Listing:
        if (listings := self._listings.get(link)) is None:
            listings = self._listings[link] = {kind: Listing() for kind in Kind}
        return listings[kind]

    async def _load(self, kind: Kind, listing: Listing, caller: Caller | None) -> None:
        changes = listing.changes
        items: list[Any] = []
        ttl, size, public = MAX_TTL_SECONDS, 0, True
        if kind.capability in self.source.capabilities:
            items, ttl, size, public = await self._pages(kind, caller)
        listing.entries, listing.size = self._index(kind, items), size
        listing.ttl, listing.public = ttl, public
        listing.loaded = time.monotonic()
        if listing.changes == changes:  # else it may be older than the change
            listing.fresh_until = listing.loaded + max(ttl, self._lease(kind))

    def _lease(self, kind: Kind) -> float:
        """Trust a list until its server says that it changed, if the server promised to say so."""
        if kind.capability not in self.source.capabilities:
            return float("inf")
        declared = self.source.capabilities[kind.capability]
        promised = is_object(declared) and declared.get("listChanged") is True
        return float("inf") if promised else 0.0

    async def _pages(self, kind: Kind, caller: Caller | None) -> tuple[list[Any], float, int, bool]:
        items: list[Any] = []
        params: dict[str, Any] = {}
        ttl, size, public = MAX_TTL_SECONDS, 0, True
        for _ in range(MAX_PAGES):
            page: object = await self.source.request(LIST_METHOD[kind], params, caller=caller)
            part = page.get(kind.value) if is_object(page) else None
            if not is_object(page) or not is_array(part):
                raise self._useless(f"answered {LIST_METHOD[kind]} without {kind.value}")
            size += wire_size(part)
            if size > self.max_list_bytes:
                raise self._useless(f"lists more than {self.max_list_bytes} bytes of {kind.value}")
            items += part
            ttl = min(ttl, _seconds(page.get("ttlMs")))
            public = public and page.get("cacheScope") == "public"
            cursor = page.get("nextCursor")
            if cursor is None:
                return items, ttl, size, public
            params = {"cursor": cursor}
        raise self._useless(f"lists its {kind.value} on more than {MAX_PAGES} pages")

    def _useless(self, what: str) -> ServerUnavailableError:
        return ServerUnavailableError(f"server {self.name!r} {what}", server=self.name)

    def _index(self, kind: Kind, items: Sequence[Any]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        key = kind.identifier
        for item in items:
            inward = item.get(key) if is_object(item) else None
            if not isinstance(inward, str):
                log.warning("server %r lists a %s without %s; left out", self.name, kind.name, key)
                continue
            if kind is Kind.TOOL and (why := self.source.refuses(item)):
                log.warning("server %r lists %r: %s; left out", self.name, inward, why)
                continue
            try:
                definition = freeze(outward_item(self.prefix, key, item))
            except PlugwayError as error:
                log.warning("server %r lists %r: %s; left out", self.name, inward, error)
                continue
            entries[definition[key]] = Entry(inward, definition)
        return entries


def _seconds(hint: object) -> float:
    """Read a `ttlMs`; nothing that is no positive number counts."""
    if isinstance(hint, bool) or not isinstance(hint, int | float) or not hint > 0:
        return 0.0
    return min(hint, MAX_TTL_SECONDS * 1000) / 1000
