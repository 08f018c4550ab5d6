"""Take a payload the way that the gateway takes it: which hooks, in which order, on what."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from plugway.config import Config
from plugway.dispatch.passing import Passage
from plugway.executor.record import lines
from plugway.federation.naming import inward_name, inward_uri
from plugway.methods import FETCHES, LISTINGS, Fetch, Kind
from plugway.plugins.registry import Registry
from plugway.testing.options import CallOptions
from plugway.testing.outcome import Outcome
from plugway_hookspecs import Deny, Operation, Payload, Respond
from plugway_hookspecs import Outcome as Chained
from plugway_hookspecs.context import ANONYMOUS, NO_CLIENT
from plugway_hookspecs.frozen import EMPTY, freeze

REQUESTS: Mapping[type[Payload], Fetch] = {fetch.request: fetch for fetch in FETCHES.values()}
_METHODS: Mapping[type[Payload], str] = {
    **{kind: fetch.name for fetch in FETCHES.values() for kind in (fetch.request, fetch.result)},
    **{listing.result: listing.name for listing in LISTINGS.values()},
}


def make_operation(config: Config, payload: Payload, options: CallOptions) -> Operation:
    """Return what the plugins will see in their context."""
    request = options.get("request")
    about = payload if request is None else request
    fetch = REQUESTS.get(type(about))
    name = str(getattr(about, fetch.kind.identifier)) if fetch else ""
    headers = {key.lower(): value for key, value in options.get("headers", EMPTY).items()}
    return Operation(
        options.get("request_id", uuid4().hex),
        _METHODS.get(type(payload), ""),
        name,
        options.get("server", server_of(config, fetch.kind, name) if fetch else ""),
        freeze(options.get("definition")),
        request,
        options.get("principal", ANONYMOUS),
        options.get("client", NO_CLIENT),
        trace=freeze(options.get("trace", EMPTY)),
        headers=freeze(headers),
        record=[],
    )


def server_of(config: Config, kind: Kind, name: str) -> str:
    """Return the configured server whose prefix a name has; empty where there is none."""
    strip = inward_uri if kind is Kind.RESOURCE else inward_name
    prefixes = {s.effective_prefix(key): key for key, s in config.servers.items() if s.expose}
    for prefix in sorted(filter(None, prefixes), key=len, reverse=True):
        if strip(prefix, name) is not None:
            return prefixes[prefix]
    return ""


class Call:
    """One call on its way: pre hooks, answer, post hooks."""

    def __init__(
        self, registry: Registry, config: Config, operation: Operation, answer: Payload | None
    ) -> None:
        """Prepare to call the plugins of a registry; `answer` is what the server says."""
        self.registry = registry
        self.config = config
        self.operation = operation
        self.answer = answer
        self.asked = False
        """Whether the call came to where the server would be asked."""

    async def exchange(self, request: Payload) -> Outcome:
        """Take a request through the pre hooks, and what comes back through the post hooks."""
        fetch = REQUESTS[type(request)]
        before = await self._before(fetch, request)
        if isinstance(before.verdict, Deny):
            return self._outcome(request, before, None)
        self.operation.request = before.payload
        found = before.verdict.result if isinstance(before.verdict, Respond) else self.answer
        if found is None:
            return self._outcome(request, before, None)
        after = await self.registry.chain(fetch.post)(found, self.operation)
        if isinstance(after.verdict, Deny):
            verdict = Chained(before.payload, after.verdict, after.plugin)
            return self._outcome(request, verdict, None)
        return self._outcome(request, before, after.payload)

    async def one_hook(self, hook: str, payload: Payload) -> Outcome:
        """Take a payload through one hook."""
        fetch = REQUESTS.get(type(payload))
        if fetch is not None and hook == fetch.pre:
            pre = self.registry.chain(hook)
            wrapped = (self._wrapped,) if pre.wraps else ()
            before: Chained[Any] = await pre(payload, self.operation, *wrapped)
            verdict = before.verdict
            result = verdict.result if isinstance(verdict, Respond) else None
            return self._outcome(payload, before, result)
        found: Any = await self.registry.chain(hook)(payload, self.operation)
        left = None if isinstance(found.verdict, Deny) else found.payload
        return Outcome(payload, None, left, found.verdict, found.plugin, self.operation)

    async def _before(self, fetch: Fetch, payload: Payload) -> Chained[Any]:
        """Run the pre hooks; what a plugin renames passes them again under its new name."""
        operation, pre = self.operation, self.registry.chain(fetch.pre)

        async def found(name: str) -> None:
            operation.name, operation.definition = name, None
            operation.server = server_of(self.config, fetch.kind, name)

        async def ask(final: Payload, _: None) -> Chained[Any]:
            self.asked = True
            return await self._wrapped(final) if pre.wraps else Chained(final)

        passage = Passage(pre, operation, fetch.kind.identifier, found, ask)
        return await passage.run(payload, None)

    async def _wrapped(self, final: Payload) -> Chained[Any]:
        """Answer as the server does, to the plugins that wrap the call."""
        self.asked, self.operation.request = True, final
        if self.answer is None:
            raise TypeError("a plugin wraps the call: say what comes back, with answer=")
        return Chained(final, Respond(self.answer))

    def _outcome(self, given: Payload, found: Chained[Any], result: Payload | None) -> Outcome:
        """Return what a request came to; the server's own answer is no verdict."""
        verdict, plugin = found.verdict, found.plugin
        if isinstance(verdict, Respond):
            verdict = None if self.asked else verdict
            responds = (r.plugin for r in lines(self.operation) if r.applied == "respond")
            plugin = next(responds, "") if verdict else ""
        return Outcome(given, found.payload, result, verdict, plugin, self.operation)
