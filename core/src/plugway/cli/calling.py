"""Send one request through the whole gateway, and see everything that happens to it."""

import contextlib
import difflib
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plugway.cli.app import App, CommandLineError
from plugway.cli.output import printable
from plugway.config import Config
from plugway.dispatch.exchange import Caller, Progress, Request, Session
from plugway.executor.record import StepRecord, Turn, lines
from plugway.federation.catalog import Catalog, Target
from plugway.federation.naming import inward_name, inward_uri
from plugway.gateway import VERSION, Gateway, open_gateway
from plugway.jsonrpc import RpcError
from plugway.methods import FETCHES, Fetch, Kind
from plugway.upstream import Upstream
from plugway_hookspecs import Client, Deny, Operation, PlugwayError

MODERN = "2026-07-28"

Arguments = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Makes a request's params, given the definition of what it is about."""


@dataclass(slots=True, eq=False)
class Called:
    """One request: what came back, who did what to it, and what it cost, in nanoseconds."""

    operation: Operation
    result: dict[str, Any] | None
    error: RpcError | None
    total: int
    server: int | None
    """The server's part of `total`; None where it was not asked."""

    @property
    def steps(self) -> list[tuple[StepRecord, Turn]]:
        """What each plugin did, readable and raw."""
        turns: Sequence[Turn] = self.operation.record or ()
        return list(zip(lines(self.operation), turns, strict=True))

    @property
    def denial(self) -> tuple[StepRecord, Deny | None] | None:
        """The step that stopped the request; no `Deny` where its plugin failed."""
        for step, turn in self.steps:
            if step.applied == "deny":
                answer = turn[4]
                return step, answer if isinstance(answer, Deny) else None
        return None

    @property
    def failed(self) -> bool:
        """Whether there is no good result."""
        if self.result is None:
            return True
        unfinished = self.result.get("resultType", "complete") != "complete"
        return unfinished or self.result.get("isError") is True


@dataclass(slots=True)
class _Stopwatch:
    """An upstream that takes the time of the requests it passes on."""

    upstream: Upstream
    times: list[int] = field(default_factory=list[int])

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        began = time.perf_counter_ns()
        try:
            return await self.upstream.request(method, params, **options)
        finally:
            self.times.append(time.perf_counter_ns() - began)

    @property
    def extensions(self) -> Sequence[str] | None:
        return self.upstream.extensions

    def link(self, caller: Caller | None) -> Hashable:
        return self.upstream.link(caller)

    def asks(self, caller: Caller | None) -> Mapping[str, Any]:
        return self.upstream.asks(caller)

    def pushes(self, caller: Caller | None) -> bool:
        return self.upstream.pushes(caller)

    def needs_roots(self, caller: Caller | None) -> bool:
        return self.upstream.needs_roots(caller)

    async def watch(self, *arguments: Any) -> None:
        await self.upstream.watch(*arguments)

    async def tell(self, session: Session, method: str) -> None:
        await self.upstream.tell(session, method)

    async def set_level(self, session: Session, level: str) -> None:
        await self.upstream.set_level(session, level)


def call(app: App, method: str, name: str, params: Arguments) -> Called:
    """Start the gateway, send one request, stop the gateway.

    Raises `CommandLineError` where nobody has the name, `StartupError` where a guard is missing.
    """
    config = app.load_config()
    with app.err.status("starting …") as status:

        async def on_progress(params: dict[str, Any]) -> None:
            total, progress = params.get("total"), params["progress"]
            of = f" of {total:g}" if total else ""
            status.update(printable(f"{name}: {params.get('message') or f'{progress:g}{of}'}"))

        fetch = FETCHES[method]
        return app.run(lambda _: _call(config, fetch, name, params, on_progress))


async def _call(
    config: Config, fetch: Fetch, name: str, params: Arguments, on_progress: Progress
) -> Called:
    # a trial of the operator's, while the audit file belongs to the gateway that runs
    async with open_gateway(config, one_client=True, audited=False) as gateway:
        target = await _find(gateway, fetch.kind, name)
        request = Request(
            fetch.name,
            {fetch.kind.identifier: name, **params(target.definition or {})},
            Client("plugway", VERSION, MODERN),
            modern=True,
            on_progress=on_progress,
            record=[],
        )
        watches = {name: _Stopwatch(upstream) for name, upstream in gateway.upstreams.items()}
        generation = gateway.dispatcher.generation
        gateway.dispatcher.generation = replace(generation, upstreams=watches)
        return await _timed(gateway, request, watches)


async def _timed(gateway: Gateway, request: Request, watches: Mapping[str, _Stopwatch]) -> Called:
    finished: list[tuple[Operation, RpcError | None]] = []
    gateway.dispatcher.listen(lambda operation, error: finished.append((operation, error)))
    result: dict[str, Any] | None = None
    began = time.perf_counter_ns()
    with contextlib.suppress(RpcError):  # the listener has it
        result = await gateway.dispatcher.handle(request)
    total = time.perf_counter_ns() - began
    ((operation, error),) = finished
    times = [each for watch in watches.values() for each in watch.times]
    return Called(operation, result, error, total, sum(times) if times else None)


async def _connect(catalog: Catalog, kind: Kind, name: str) -> None:
    """Wait until the servers that may have the name are up, however long they may take."""
    inward = inward_name if kind.identifier == "name" else inward_uri
    members = [m for prefix, m in catalog.prefixed.items() if inward(prefix, name) is not None]
    for member in members or catalog.unprefixed:
        with contextlib.suppress(PlugwayError):  # said again by whoever needs the server
            await member.source.connect()


async def _find(gateway: Gateway, kind: Kind, name: str) -> Target:
    await _connect(gateway.catalog, kind, name)
    target = await gateway.catalog.find(kind, name)
    if target is not None:
        return target
    federated = await gateway.catalog.list(kind)
    known = [str(item[kind.identifier]) for item in federated.items]
    same = [each for each in known if each.endswith((f"__{name}", f"+{name}"))]
    close = same or difflib.get_close_matches(name, known, n=1)
    what = "resource" if kind is Kind.RESOURCE else kind.name.lower()
    hint = f"did you mean {close[0]!r}?" if close else "`plugway tools --all` lists what there is"
    missing = ", ".join(each.server for each in federated.unavailable)
    because = f" (servers that could not be asked: {missing})" if missing else ""
    raise CommandLineError(f"there is no {what} {name!r}{because}; {hint}")
