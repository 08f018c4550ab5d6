"""The SDK's server as an edge of the gateway: it speaks the protocol, the dispatcher decides.

A middleware answers every request of a method that the gateway serves, before the SDK's typed
handlers: what they return is cut down to the fields that the SDK knows.
"""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import mcp_types
from anyio.abc import TaskGroup
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ServerEvent, event_from_wire
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Log, Progress, Request
from plugway.dispatch.shaping import is_modern, shape
from plugway.downstream.headers import without_credentials
from plugway.downstream.sessions import Sessions, connection_of, wants_level
from plugway.federation.catalog import CHANGED
from plugway.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import Kind
from plugway_hookspecs import Client
from plugway_hookspecs.frozen import EMPTY

Context = ServerRequestContext[Any, Any]

log = logging.getLogger(__name__)


class Edge:
    """One SDK server for all clients of one gateway; `server` is what a transport runs."""

    def __init__(self, name: str, version: str, dispatcher: Dispatcher) -> None:
        """Make the SDK server and route what it receives into the dispatcher."""
        self.dispatcher = dispatcher
        self.sessions = Sessions()
        self._tasks: TaskGroup | None = None
        self._unsubscribe = dispatcher.generation.catalog.subscribe(self._changed)
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self.server: Server[Any] = Server(
            name,
            version=version,
            get_tool_input_schema=self._input_schema,
            on_subscriptions_listen=self._subscribe,
        )
        self.server.middleware.append(self._serve)

    @contextmanager
    def follow_changes(self, tasks: TaskGroup) -> Generator[None]:
        """Tell clients of both eras when a list changes; `tasks` is where the telling runs."""
        self._tasks = tasks
        try:
            yield
        finally:
            self._tasks = None

    def take_over(self, *, changed: bool) -> None:
        """Follow the dispatcher's new generation; with `changed`, lists may differ from before."""
        self._unsubscribe()
        self._unsubscribe = self.dispatcher.generation.catalog.subscribe(self._changed)
        if changed:
            for method in CHANGED:
                self._changed(method)

    def _changed(self, method: str) -> None:
        event = event_from_wire(method, None)
        if event is not None and self._tasks is not None:
            self._tasks.start_soon(self._announce, method, event)

    async def _announce(self, method: str, event: ServerEvent) -> None:
        await self._bus.publish(event)
        await self.sessions.announce(method)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a tool's schema from memory; without it the SDK lists all tools for every call."""
        for member in self.dispatcher.generation.catalog.members:
            if (entry := member.known(Kind.TOOL).get(name)) is not None:
                schema = entry.definition.get("inputSchema")
                return schema if is_object(schema) else None
        return None

    async def _subscribe(
        self, context: Context, params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        wanted = params.notifications.model_copy(update={"resource_subscriptions": None})
        return await self._listen(context, params.model_copy(update={"notifications": wanted}))

    async def _serve(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        context = ctx  # the SDK passes it by this name
        method = context.method
        if context.request_id is None or method == "subscriptions/listen":
            return await call_next(context)
        if method == "initialize":
            return await self._initialize(context, call_next)
        if not connection_of(context).initialize_accepted:
            return await call_next(context)
        _validate(context)
        try:
            return await self._answer(context)
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None

    async def _answer(self, context: Context) -> dict[str, Any]:
        method, modern = context.method, is_modern(context.protocol_version)
        if method == "server/discover":
            result = await self._describe()
            result["supportedVersions"] = list(MODERN_PROTOCOL_VERSIONS)
            return shape(method, result, modern=True, server_info=self.dispatcher.server_info)
        if method == "logging/setLevel":
            self.sessions.of(context).log_level = (context.params or {})["level"]
            return {}
        return await self.dispatcher.handle(self._request(context, modern=modern))

    async def _initialize(self, context: Context, call_next: CallNext) -> HandlerResult:
        result = await call_next(context)
        self.sessions.of(context)
        if isinstance(result, dict):
            return {**result, **await self._describe()}
        return result

    async def _describe(self) -> dict[str, Any]:
        with self.dispatcher.generation as parts:
            described: dict[str, Any] = {"capabilities": await parts.federation.capabilities()}
            guarded = parts.chains.chain("tool_post_list").guards(None)
            if instructions := parts.federation.instructions(guarded=guarded):
                described["instructions"] = instructions
            return described

    def _request(self, context: Context, *, modern: bool) -> Request:
        params = context.params or {}
        meta: Mapping[str, Any] = params.get("_meta") or {}
        level = meta.get(mcp_types.LOG_LEVEL_META_KEY) if modern else None
        http = context.request
        return Request(
            method=context.method,
            params=params,
            client=_client(context, "stdio" if http is None else "http"),
            modern=modern,
            headers=EMPTY if http is None else without_credentials(http.headers),
            on_progress=_progress(context) if "progressToken" in meta else None,
            on_log=self._log(context, modern=modern, level=level),
            log_level=level,
        )

    def _log(self, context: Context, *, modern: bool, level: str | None) -> Log | None:
        """Forward log messages on the stream of the request that they belong to."""
        if modern and level is None:
            return None

        async def forward(params: dict[str, Any]) -> None:
            wanted = level or self.sessions.of(context).log_level
            if wants_level(wanted, params.get("level")):
                message = mcp_types.LoggingMessageNotificationParams.model_validate(params)
                await context.session.send_notification(
                    mcp_types.LoggingMessageNotification(params=message), context.request_id
                )

        return forward


def _validate(context: Context) -> None:
    """Check method and params against the client's protocol version; raise what it should read."""
    try:
        methods.validate_client_request(context.method, context.protocol_version, context.params)
    except KeyError:
        message = f"Method not found: {context.method}"
        raise MCPError(METHOD_NOT_FOUND, message, context.method) from None
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'params'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        message = f"Invalid params for {context.method}: {'; '.join(problems[:5])}"
        raise MCPError(INVALID_PARAMS, message) from None


def _progress(context: Context) -> Progress:
    async def report(progress: float, total: float | None, message: str | None) -> None:
        await context.session.report_progress(progress, total, message)

    return report


def _client(context: Context, transport: str) -> Client:
    known = context.session.client_params
    return Client(
        name=known.client_info.name if known else "",
        version=known.client_info.version if known else "",
        protocol_version=context.protocol_version,
        transport=transport,
    )
