"""Find names through a view: what its clients mean, and what they are shown."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from plugway.dispatch.exchange import Caller
from plugway.executor.conditions import Matcher
from plugway.federation.catalog import Catalog, Member, Target, Unavailable
from plugway.federation.naming import inward_name, inward_uri, is_app, outward_name, outward_uri
from plugway.federation.view import View
from plugway.methods import Kind
from plugway_hookspecs import ServerError, ServerUnavailableError

Failure = ServerError | ServerUnavailableError


class Shown(NamedTuple):
    """The name that something has in a view; None where it is not shown."""

    name: str | None = None
    missing: Unavailable | None = None
    """Why it is not shown although it should be."""


class Candidate(NamedTuple):
    """A federated name that a client may mean."""

    name: str
    server: str | None = None
    """The server that must have it; None for any that the view shows."""


class Lens:
    """One view onto one catalog, as it is for one caller."""

    def __init__(self, view: View, catalog: Catalog, caller: Caller | None = None) -> None:
        """Look through `view` at what `catalog` has for `caller`."""
        self.view = view
        self.catalog = catalog
        self.caller = caller
        self.servers: Mapping[str, str] = view.servers or {}

    async def inward(self, kind: Kind, name: str) -> str | None:
        """Return the federated name of what a client means; None if the view has no such thing.

        Raises `ServerUnavailableError` and `ServerError` as `Catalog.find` does, but only about
        servers that the view shows.
        """
        if self.view.whole:
            return name
        candidates = self._candidates(kind, name)
        listed = self._listed(kind, candidates)
        if listed is not None:
            return listed
        failure = await self._ask(kind, candidates)
        found = self.resolve(kind, name) if failure is None else None
        if found is None and failure is None and kind is Kind.RESOURCE:
            failure = await self._ask(Kind.TEMPLATE, candidates)
            found = self.resolve(kind, name) if failure is None else None
        if failure is not None:
            raise failure
        return found

    def resolve(self, kind: Kind, name: str) -> str | None:
        """Return the federated name of what a client means, as far as it is known already."""
        if self.view.whole:
            return name
        candidates = self._candidates(kind, name)
        listed = self._listed(kind, candidates)
        if listed is not None or kind is not Kind.RESOURCE:
            return listed
        return self._unlisted(candidates)

    def known(self, kind: Kind, name: str) -> Target | None:
        """Return where what a client means is, if a server is known to list it."""
        inward = self.resolve(kind, name)
        return None if inward is None else self.catalog.known(kind, inward, self.caller)

    def shown(self, kind: Kind, name: str) -> Shown:
        """Return the name that a federated name has in the view.

        Of two that would be the same, the one of the first server has it.
        """
        if self.view.whole:
            return Shown(name)
        owner = self._owner(kind, name)
        if owner is None or not self.view.offers(kind, name):
            return Shown()
        if self.view.prefixed:
            return Shown(name)
        own = _own(owner, kind, name)
        meant = self.resolve(kind, own)
        if meant is None or meant == name:
            return Shown(own)
        reason = f"{own!r} of {owner.name!r} is {meant!r} at the endpoint {self.view.name!r}"
        return Shown(None, Unavailable(owner.name, f"{reason}: give it prefixes", "name taken"))

    def outward_uri(self, uri: str) -> str:
        """Return the URI that clients read a resource by: with its prefix, if no other will do."""
        if self.view.whole or self.view.prefixed:
            return uri
        owner = self._owner(Kind.RESOURCE, uri)
        if owner is None:
            return uri
        own = _own(owner, Kind.RESOURCE, uri)
        return own if self.resolve(Kind.RESOURCE, own) == uri else uri

    def _candidates(self, kind: Kind, name: str) -> Sequence[Candidate]:
        """Return what a client may mean by a name, best first; only what the view shows."""
        found = self._all_candidates(kind, name)
        return [each for each in found if self.view.offers(kind, each.name)]

    def _all_candidates(self, kind: Kind, name: str) -> Iterator[Candidate]:
        is_name = kind.identifier == "name"
        if self.view.prefixed or (not is_name and is_app(name)):
            yield Candidate(name)
            return
        outward = outward_name if is_name else outward_uri
        for server, prefix in self.servers.items():
            yield Candidate(outward(prefix, name), server)
        if not is_name and self.catalog.by_prefix(kind, name) is not None:
            yield Candidate(name)  # as results have it where the shorter one leads elsewhere

    async def _ask(self, kind: Kind, candidates: Sequence[Candidate]) -> Failure | None:
        """Have servers list what may be meant, until one has it; returns who could not, and why."""
        failure: Failure | None = None
        for candidate in candidates:
            owner = self.catalog.by_prefix(kind, candidate.name)
            if owner is not None and owner.name not in self.servers:
                continue
            try:
                await self.catalog.find(kind, candidate.name, self.caller)
            except (ServerError, ServerUnavailableError) as error:
                failure = failure or (error if error.server in self.servers else None)
                continue
            if self._listed(kind, [candidate]) is not None:
                return None
        return failure

    def _shows(self, candidate: Candidate, target: Target | None) -> bool:
        """Whether it is a server of the view, and the right one, that a candidate leads to."""
        if target is None:
            return False
        name = target.member.name
        return name in self.servers if candidate.server is None else name == candidate.server

    def _listed(self, kind: Kind, candidates: Sequence[Candidate]) -> str | None:
        for candidate in candidates:
            member = self.catalog.by_name.get(candidate.server or "")
            if member is not None and candidate.name not in member.known(kind, self.caller):
                continue  # the quick way for most of them
            if self._shows(candidate, self.catalog.known(kind, candidate.name, self.caller)):
                return candidate.name
        return None

    def _unlisted(self, candidates: Sequence[Candidate]) -> str | None:
        """Return what a resource that nobody lists is: by its prefix, or by the templates."""
        leads: list[tuple[str, Member]] = []
        for candidate in candidates:
            target = self.catalog.unlisted(Kind.RESOURCE, candidate.name, self.caller)
            if target is None or not self._shows(candidate, target):
                continue
            if candidate.server is None:
                return candidate.name
            if Kind.RESOURCE.capability in target.member.source.capabilities:
                leads.append((candidate.name, target.member))
        if len(leads) == 1:
            return leads[0][0]
        fitting = (name for name, member in leads if self._has_template(member, name))
        return next(fitting, None)

    def _has_template(self, member: Member, uri: str) -> bool:
        return any(_template(each)(uri) for each in member.known(Kind.TEMPLATE, self.caller))

    def _owner(self, kind: Kind, name: str) -> Member | None:
        """Return the server that a federated name belongs to, if the view shows it."""
        member = self.catalog.by_prefix(kind, name)
        if member is None and (target := self.catalog.known(kind, name, self.caller)) is not None:
            member = target.member
        return member if member is not None and member.name in self.servers else None


@lru_cache(1024)
def _template(template: str) -> Matcher:
    """Return what tells whether a URI may come of a template (RFC 6570); `{x}` is any text."""
    parts = re.split(r"\{[^{}]*\}", template)
    glob = "*".join(re.sub(r"([*?[])", r"[\1]", part) for part in parts)
    match = re.compile(fnmatch.translate(glob)).match  # linear, unlike `.*` for each of them
    return lambda uri: match(uri) is not None


def _own(owner: Member, kind: Kind, name: str) -> str:
    """Return a federated name without its server's prefix."""
    inward = inward_name if kind.identifier == "name" else inward_uri
    own = inward(owner.prefix, name)
    return name if own is None else own
