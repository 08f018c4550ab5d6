"""Take a payload the way that the gateway takes it: which hooks, in which order, on what."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from plugway.config import Config
from plugway.dispatch.passing import Passage
from plugway.executor.record import lines
from plugway.federation.naming import inward_name, inward_uri, is_app
from plugway.methods import EXCHANGES, FETCHES, LISTINGS, SUBSCRIPTION, Exchange, Fetch, Kind
from plugway.plugins.registry import Registry
from plugway.testing.options import CallOptions
from plugway.testing.outcome import Outcome
from plugway_hookspecs import (
    CompletionRequest,
    Deny,
    Operation,
    Payload,
    ResourceSubscribe,
    Respond,
)
from plugway_hookspecs import Outcome as Chained
from plugway_hookspecs.context import ANONYMOUS, NO_CLIENT
from plugway_hookspecs.frozen import EMPTY, freeze

REQUESTS: Mapping[type[Payload], Exchange] = {exchange.request: exchange for exchange in EXCHANGES}
_METHODS: Mapping[type[Payload], str] = {
    **{kind: each.name for each in EXCHANGES for kind in (each.request, each.result)},
    **{listing.result: listing.name for listing in LISTINGS.values()},
    SUBSCRIPTION.request: SUBSCRIPTION.name,
}


class _About(NamedTuple):
    """What a payload is about."""

    kind: Kind | None = None
    name: str = ""
    method: str = ""
    """The method that fetches it."""


def _about(payload: Payload | None) -> _About:
    if payload is None:
        return _About()
    for fetch in FETCHES.values():
        if type(payload) is fetch.request:
            name = getattr(payload, fetch.kind.identifier)
            return _About(fetch.kind, name, fetch.name)
    match payload:
        case ResourceSubscribe():
            return _About(Kind.RESOURCE, payload.uri)
        case CompletionRequest() if payload.of_prompt:
            return _About(Kind.PROMPT, payload.about, "prompts/get")
        case CompletionRequest():
            return _About(Kind.RESOURCE, payload.about, "resources/read")
        case _:
            return _About()


def make_operation(config: Config, payload: Payload, options: CallOptions) -> Operation:
    """Return what the plugins will see in their context."""
    request = options.get("request")
    method = _METHODS.get(type(payload), "")
    asked = payload if request is None else request
    kind, name, fetched_by = _about(options.get("during", asked))
    headers = {key.lower(): value for key, value in options.get("headers", EMPTY).items()}
    return Operation(
        options.get("request_id", uuid4().hex),
        method,
        name,
        options.get("server", server_of(config, kind, name) if kind else ""),
        freeze(options.get("definition")),
        request,
        options.get("principal", ANONYMOUS),
        options.get("client", NO_CLIENT),
        trace=freeze(options.get("trace", EMPTY)),
        headers=freeze(headers),
        record=[],
        within="" if fetched_by == method else fetched_by,
    )


def server_of(config: Config, kind: Kind, name: str) -> str:
    """Return the configured server whose prefix a name has; empty where there is none."""
    if kind is Kind.RESOURCE and is_app(name):
        return ""
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
        exchange = REQUESTS[type(request)]
        before = await self._before(exchange, request)
        if isinstance(before.verdict, Deny):
            return self._outcome(request, before, None)
        self.operation.request = before.payload
        found = before.verdict.result if isinstance(before.verdict, Respond) else self.answer
        if found is None:
            return self._outcome(request, before, None)
        after = await self.registry.chain(exchange.post)(found, self.operation)
        if isinstance(after.verdict, Deny):
            verdict = Chained(before.payload, after.verdict, after.plugin)
            return self._outcome(request, verdict, None)
        return self._outcome(request, before, after.payload)

    async def one_hook(self, hook: str, payload: Payload) -> Outcome:
        """Take a payload through one hook."""
        exchange = REQUESTS.get(type(payload))
        if exchange is not None and hook == exchange.pre:
            pre = self.registry.chain(hook)
            wrapped = (self._wrapped,) if pre.wraps else ()
            before: Chained[Any] = await pre(payload, self.operation, *wrapped)
            verdict = before.verdict
            result = verdict.result if isinstance(verdict, Respond) else None
            return self._outcome(payload, before, result)
        found: Any = await self.registry.chain(hook)(payload, self.operation)
        left = None if isinstance(found.verdict, Deny) else found.payload
        return Outcome(payload, None, left, found.verdict, found.plugin, self.operation)

    async def _before(self, exchange: Exchange, payload: Payload) -> Chained[Any]:
        """Run the pre hooks; what a plugin renames passes them again under its new name."""
        operation, pre = self.operation, self.registry.chain(exchange.pre)
        kind = _about(payload).kind
        if kind is None:  # a server's question, which goes nowhere else
            outcome = await pre(payload, operation)
            self.asked = outcome.verdict is None
            return outcome

        async def found(name: str) -> None:
            operation.name, operation.definition = name, None
            operation.server = server_of(self.config, kind, name)

        async def ask(final: Payload, _: None) -> Chained[Any]:
            self.asked = True
            return await self._wrapped(final) if pre.wraps else Chained(final)

        identifier = exchange.kind.identifier if isinstance(exchange, Fetch) else "about"
        return await Passage(pre, operation, identifier, found, ask).run(payload, None)

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
