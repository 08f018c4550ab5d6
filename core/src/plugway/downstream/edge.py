"""The SDK's server as an edge of the gateway: it speaks the protocol, the dispatcher decides.

A middleware answers every request of a method that the gateway serves, before the SDK's typed
handlers: what they return is cut down to the fields that the SDK knows.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import mcp_types
from anyio.abc import TaskGroup
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.subscriptions import event_from_wire
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from plugway.dispatch.dispatcher import Dispatcher
from plugway.dispatch.exchange import Ask, Caller, Log, Progress, Request
from plugway.dispatch.extending import offered
from plugway.dispatch.shaping import is_modern, shape
from plugway.downstream.asking import put
from plugway.downstream.endpoints import endpoint_of, endpoint_of_call
from plugway.downstream.headers import without_credentials
from plugway.downstream.sessions import (
    Sessions,
    client_of,
    connection_of,
    outbound_of,
    wants_level,
)
from plugway.downstream.streams import Stream
from plugway.downstream.subscriptions import Subscriptions
from plugway.downstream.telling import tell_all
from plugway.federation.catalog import CHANGED
from plugway.federation.endpoints import Endpoint
from plugway.federation.lens import Lens
from plugway.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, TOO_MANY, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import Kind
from plugway_hookspecs.frozen import EMPTY

Context = ServerRequestContext[Any, Any]

MAX_STREAMS = 10_000
"""How many streams clients of the stateless era may listen on."""

log = logging.getLogger(__name__)


class Edge:
    """One SDK server for all clients of one gateway; `server` is what a transport runs."""

    def __init__(self, name: str, version: str, dispatcher: Dispatcher) -> None:
        """Make the SDK server and route what it receives into the dispatcher."""
        self.dispatcher = dispatcher
        self.endpoint = ""
        """The endpoint of clients whose transport knows none, as over stdio."""
        self.subscriptions = Subscriptions(dispatcher)
        self.sessions = Sessions(self.subscriptions)
        self.streams: set[Stream] = set()
        """The streams that clients of the stateless era listen on."""
        self._unsubscribe = dispatcher.generation.catalog.subscribe(self._changed)
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
        self.subscriptions.tasks = tasks
        try:
            yield
        finally:
            self.subscriptions.tasks = None

    def take_over(self, *, changed: bool) -> None:
        """Follow the dispatcher's new generation; with `changed`, lists may differ from before."""
        self.subscriptions.take_over()
        self._unsubscribe()
        self._unsubscribe = self.dispatcher.generation.catalog.subscribe(self._changed)
        if changed:
            for method in CHANGED:
                self._changed(method)

    def _changed(self, method: str) -> None:
        event = event_from_wire(method, None)
        if event is not None:
            for stream in self.streams:
                stream.hear(event)
            self.sessions.announce(method)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a tool's schema from memory; without it the SDK lists all tools for every call."""
        generation = self.dispatcher.generation
        endpoint = generation.endpoint(endpoint_of_call())
        target = endpoint and Lens(endpoint.view, generation.catalog).known(Kind.TOOL, name)
        schema = target and target.definition and target.definition.get("inputSchema")
        return schema if is_object(schema) else None

    async def _subscribe(
        self, context: Context, _params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        """Serve a stream of changes: the dispatcher says which."""
        if len(self.streams) >= MAX_STREAMS:
            raise MCPError(TOO_MANY, "Too many clients listen for changes; try again later")
        request = self._request(context, modern=True)
        request.watches = stream = Stream(self.subscriptions, request.caller)
        self.streams.add(stream)
        try:
            answer = await self.dispatcher.handle(request)
            wanted = {name: value for name, value in answer["notifications"].items() if value}
            honored = mcp_types.SubscriptionFilter.model_validate(wanted)
            await stream.run(context, honored)
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None
        finally:
            self.streams.discard(stream)
            stream.close()

    async def _serve(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        context = ctx  # the SDK passes it by this name
        method = context.method
        if context.request_id is None:
            return await self._notified(context, call_next)
        if method == "subscriptions/listen":
            return await call_next(context)
        if method == "initialize":
            return await self._initialize(context, call_next)
        if not connection_of(context).initialize_accepted:
            return await call_next(context)
        if method in methods.SPEC_CLIENT_METHODS or "/" not in method:
            _validate(context)
        try:
            return await self._answer(context)
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None

    async def _answer(self, context: Context) -> dict[str, Any]:
        method, modern = context.method, is_modern(context.protocol_version)
        if method == "server/discover":
            result = await self._describe(self._endpoint(context))
            result["supportedVersions"] = list(MODERN_PROTOCOL_VERSIONS)
            return shape(method, result, modern=True, server_info=self.dispatcher.server_info)
        if method == "logging/setLevel":
            session = self.sessions.of(context)
            session.log_level = level = (context.params or {})["level"]
            upstreams = self.dispatcher.generation.upstreams
            await tell_all(upstreams, lambda upstream: upstream.set_level(session, level))
            return {}
        return await self.dispatcher.handle(self._request(context, modern=modern))

    async def _notified(self, context: Context, call_next: CallNext) -> HandlerResult:
        result = await call_next(context)
        in_session = connection_of(context).initialize_accepted and not _modern(context)
        if in_session and context.method == "notifications/roots/list_changed":
            session, upstreams = self.sessions.of(context), self.dispatcher.generation.upstreams
            await tell_all(upstreams, lambda upstream: upstream.tell(session, context.method))
        return result

    async def _initialize(self, context: Context, call_next: CallNext) -> HandlerResult:
        endpoint = self._endpoint(context)
        result = await call_next(context)
        self.sessions.open(context)
        if isinstance(result, dict):
            return {**result, **await self._describe(endpoint)}
        return result

    def serves(self, endpoint: str) -> bool:
        """Whether there is such an endpoint now; the empty name is the whole federation's."""
        return self.dispatcher.generation.endpoint(endpoint) is not None

    def opened_on(self, session_id: str) -> str | None:
        """Return the endpoint that a session was opened on; None if there is no such session."""
        return self.sessions.endpoint(session_id)

    def _endpoint(self, context: Context) -> Endpoint:
        """Return the endpoint that a request came to; a reload may have taken it away."""
        name = self.endpoint if context.request is None else endpoint_of(context.request.scope)
        endpoint = self.dispatcher.generation.endpoint(name)
        if endpoint is None:
            raise MCPError(INVALID_REQUEST, f"There is no endpoint {name!r} any more")
        return endpoint

    async def _describe(self, endpoint: Endpoint) -> dict[str, Any]:
        with self.dispatcher.generation as parts:
            federation = endpoint.federation
            capabilities = await federation.capabilities()
            extensions: dict[str, Any] = {}
            for member in federation.members:
                extensions = {**offered(parts, member), **extensions}
            if extensions:
                capabilities["extensions"] = extensions
            described: dict[str, Any] = {"capabilities": capabilities}
            guarded = parts.chains.chain("tool_post_list").guards(None)
            if instructions := federation.instructions(guarded=guarded):
                described["instructions"] = instructions
            return described

    def _request(self, context: Context, *, modern: bool) -> Request:
        params = context.params or {}
        http = context.request
        headers = EMPTY if http is None else without_credentials(http.headers)
        meta: Mapping[str, Any] = params.get("_meta") or {}
        token = progress_token_from_params(params)
        on_progress = None if token is None else _progress(context, token)
        view = self._endpoint(context).view
        if modern:
            given = meta.get(mcp_types.CLIENT_CAPABILITIES_META_KEY)
            client = client_of(context, given if is_object(given) else EMPTY)
            level = meta.get(mcp_types.LOG_LEVEL_META_KEY)
            return Request(
                context.method,
                params,
                client,
                modern,
                headers=headers,
                on_progress=on_progress,
                on_log=None if level is None else _log(context, lambda: level),
                log_level=level,
                caller=Caller(client.capabilities),
                view=view,
            )
        session = self.sessions.of(context)
        return Request(
            context.method,
            params,
            session.client,
            modern,
            headers=headers,
            on_progress=on_progress,
            on_log=_log(context, lambda: session.log_level),
            log_level=session.log_level,
            caller=session.caller,
            ask=self._ask(context),
            watches=session,
            view=view,
        )

    def _ask(self, context: Context) -> Ask:
        """Ask the client on the stream of its own request."""

        async def ask(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
            limit = self.dispatcher.generation.input_timeout
            version = context.protocol_version
            return await put(outbound_of(context), method, params, version=version, limit=limit)

        return ask


def _modern(context: Context) -> bool:
    return is_modern(context.protocol_version)


def _log(context: Context, wanted: Callable[[], str | None]) -> Log:
    """Forward log messages on the stream of the request that they belong to."""

    async def forward(params: dict[str, Any]) -> None:
        if wants_level(wanted(), params.get("level")):
            await outbound_of(context).notify("notifications/message", params)

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


def _progress(context: Context, token: str | int) -> Progress:
    """Forward progress under the client's own token, on the stream of its request."""

    async def forward(params: dict[str, Any]) -> None:
        await outbound_of(context).notify(
            "notifications/progress", {**params, "progressToken": token}
        )

    return forward
