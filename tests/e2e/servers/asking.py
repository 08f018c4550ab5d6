"""A server that asks its clients: `asking.py legacy|modern|dual EVENTS`, on the SDK over stdio.

It says in the file EVENTS what happens to it. `make_server` makes the same for this process.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.runner import serve_loop
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from pydantic import BaseModel, ConfigDict, TypeAdapter

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]

TOOLS = (
    *("ask", "late", "unrelated", "visit", "finish", "count", "log", "block"),
    *("touch", "change", "burst", "sight", "die"),
)
LISTS: dict[str, Any] = {
    "tools": (types.ToolListChangedNotification(), ToolsListChanged()),
    "prompts": (types.PromptListChangedNotification(), PromptsListChanged()),
    "resources": (types.ResourceListChangedNotification(), ResourcesListChanged()),
}
CHANGING = {name: {"listChanged": True} for name in LISTS}
VISIT = {"mode": "url", "elicitationId": "e1", "url": "https://shop.example/", "message": "Pay"}
REQUESTS: TypeAdapter[types.ServerRequest] = TypeAdapter(types.ServerRequest)


class Answer(BaseModel):
    """Whatever a client answers."""

    model_config = ConfigDict(extra="allow")


def is_modern(context: Context) -> bool:
    return context.protocol_version >= "2026"


class Asking:
    """What the server does; `note` takes what happens to it."""

    def __init__(self, era: str, note: Callable[[str], None], happened: Callable[[], str]) -> None:
        self.era = era
        self.note = note
        self.happened = happened
        self.bus = InMemorySubscriptionBus()
        self.sessions: list[ServerSession] = []
        self.followers: dict[str, list[ServerSession]] = {}
        self.later: set[asyncio.Task[None]] = set()

    async def answer(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Answer past the SDK's own checks, which drop what they don't know."""
        context, method = ctx, ctx.method
        if context.request_id is None:
            self.note(method)
            return await call_next(context)
        if method == {"legacy": "server/discover", "modern": "initialize"}.get(self.era):
            raise MCPError(-32601, f"no {method} here")
        if method in {"server/discover", "initialize"}:
            return self.described(context, await call_next(context))
        params = dict(context.params or {})
        respond: Any = getattr(self, "on_" + method.replace("/", "_"), None)
        if respond is None:
            return await call_next(context)
        result: Json = await respond(context, params)
        return {"resultType": "complete", **result} if is_modern(context) else result

    def described(self, context: Context, result: HandlerResult) -> Json:
        if context.method == "initialize":
            self.sessions.append(context.session)
            self.note(f"declared {json.dumps((context.params or {})['capabilities'])}")
        described = (
            result.model_dump(by_alias=True, exclude_none=True, mode="json")
            if isinstance(result, BaseModel)
            else dict(result or {})
        )
        subscribe = {"subscribe": True, "listChanged": True}
        capabilities = {**CHANGING, "resources": subscribe, "logging": {}, "completions": {}}
        return {**described, "capabilities": capabilities}

    async def on_tools_list(self, _context: Context, _params: Json) -> Json:
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        return {"tools": tools, "ttlMs": 0, "cacheScope": "private"}

    async def on_prompts_list(self, _context: Context, _params: Json) -> Json:
        return {
            "prompts": [{"name": "ask"}, {"name": "plain"}],
            "ttlMs": 0,
            "cacheScope": "private",
        }

    async def on_resources_list(self, _context: Context, _params: Json) -> Json:
        resources = [
            {"uri": f"memo://{name}", "name": name} for name in ("one", "two", "ask", "secret")
        ]
        return {"resources": resources, "ttlMs": 0, "cacheScope": "private"}

    async def on_resources_templates_list(self, _context: Context, _params: Json) -> Json:
        template = {"uriTemplate": "memo://{name}", "name": "memo"}
        return {"resourceTemplates": [template], "ttlMs": 0, "cacheScope": "private"}

    async def on_completion_complete(self, _context: Context, _params: Json) -> Json:
        return {"completion": {"values": ["one"], "hasMore": False}}

    async def on_logging_setLevel(self, _context: Context, params: Json) -> Json:  # noqa: N802
        self.note(f"level {params['level']}")
        return {}

    async def on_resources_subscribe(self, context: Context, params: Json) -> Json:
        self.note(f"subscribed {params['uri']}")
        if params["uri"] == "memo://secret":
            raise MCPError(-32602, "not that one")
        self.followers.setdefault(params["uri"], []).append(context.session)
        return {}

    async def on_resources_unsubscribe(self, _context: Context, params: Json) -> Json:
        self.note(f"unsubscribed {params['uri']}")
        self.followers.pop(params["uri"], None)
        return {}

    async def on_resources_read(self, context: Context, params: Json) -> Json:
        uri = params["uri"]
        if uri == "memo://ask":
            asked = await self.rounds(context, params, [{"q": elicitation("read")}])
            text = json.dumps(asked.get("rounds"))
            contents = [{"uri": uri, "text": text}]
            return asked if "inputRequests" in asked else {"contents": contents}
        if uri not in {"memo://one", "memo://two"}:
            gone = -32602 if is_modern(context) else -32002
            raise MCPError(gone, "no such memo", {"uri": uri})
        return {"contents": [{"uri": uri, "text": "x"}], "ttlMs": 0, "cacheScope": "private"}

    async def on_prompts_get(self, context: Context, params: Json) -> Json:
        if params["name"] == "plain":
            return {"messages": []}
        asked = await self.rounds(context, params, [{"q": elicitation("get")}])
        if "inputRequests" in asked:
            return asked
        text = json.dumps(asked["rounds"])
        return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}

    async def on_tools_call(self, context: Context, params: Json) -> Json:
        arguments: Json = params.get("arguments") or {}
        if params["name"] == "ask":
            result = await self.rounds(context, params, arguments["rounds"])
        else:
            tool: Any = getattr(self, params["name"])
            result = await tool(context, **arguments)
        if "inputRequests" in result:
            return result
        return {"content": [], "structuredContent": result}

    async def rounds(self, context: Context, params: Json, rounds: list[Any]) -> Json:
        """Ask some questions at once, then some more; return the answers."""
        if not is_modern(context):
            return {"rounds": [await self.push(context, asked) for asked in rounds]}
        done: list[Any] = json.loads(params.get("requestState", "[]"))
        if "requestState" in params:
            done.append(params.get("inputResponses"))
        if len(done) == len(rounds):
            return {"rounds": done}
        asked, state = rounds[len(done)], json.dumps(done)
        return {"resultType": "input_required", "inputRequests": asked, "requestState": state}

    async def push(self, context: Context, questions: Json, *, within: bool = True) -> Json:
        answers: Json = {}
        related = ServerMessageMetadata(related_request_id=context.request_id) if within else None

        async def one(key: str, question: Json) -> None:
            asked = {name: value for name, value in question.items() if name != "patience"}
            try:
                answered = await context.session.send_request(
                    REQUESTS.validate_python(asked), Answer, question.get("patience"), related
                )
                answers[key] = answered.model_dump(exclude_unset=True)
            except MCPError as error:
                answers[key] = {"error": error.code, "message": error.message}
                self.note(f"refused {error.code}")

        async with anyio.create_task_group() as tasks:
            for key, question in questions.items():
                tasks.start_soon(one, key, question)
        return answers

    async def unrelated(self, context: Context, question: Json) -> Json:
        """Ask on the connection itself, though in the middle of a request."""
        return await self.push(context, {"q": question}, within=False)

    async def late(self, context: Context, question: Json) -> Json:
        """Ask when the call is over."""

        async def ask() -> None:
            answers = await self.push(context, {"q": question}, within=False)
            self.note(f"late {json.dumps(answers['q'])}")

        task = asyncio.ensure_future(ask())
        self.later.add(task)
        task.add_done_callback(self.later.discard)
        return {}

    async def visit(self, _context: Context) -> Json:
        if "visited" not in self.happened():
            raise MCPError(-32042, "visit something first", {"elicitations": [VISIT]})
        return {"visited": True}

    async def finish(self, context: Context) -> Json:
        params = types.ElicitCompleteNotificationParams(elicitation_id="e1")
        await context.session.send_notification(types.ElicitCompleteNotification(params=params))
        return {}

    async def count(self, context: Context, up_to: int) -> Json:
        for number in range(1, up_to + 1):
            await context.session.report_progress(number, up_to, f"at {number}")
        return {"counted": up_to}

    async def log(self, context: Context, levels: list[Any], n: int = 1) -> Json:
        wanted: Any = (context.params or {}).get("_meta", {}).get(types.LOG_LEVEL_META_KEY)
        if is_modern(context) and wanted is None:
            return {}
        for number in range(n):
            for level in levels:
                params = types.LoggingMessageNotificationParams(level=level, data=number)
                await context.session.send_notification(
                    types.LoggingMessageNotification(params=params), context.request_id
                )
        return {}

    async def block(self, _context: Context, key: str) -> Json:
        self.note(f"started {key}")
        try:
            await anyio.sleep_forever()
        finally:
            self.note(f"cancelled {key}")
        return {}

    async def touch(self, _context: Context, uri: str, n: int = 1) -> Json:
        for _ in range(n):
            await self.bus.publish(ResourceUpdated(uri=uri))
            for session in self.followers.get(uri, ()):
                await session.send_resource_updated(uri)
        return {}

    async def change(self, _context: Context, what: str, n: int = 1) -> Json:
        notification: types.ServerNotification
        happening: ServerEvent
        notification, happening = LISTS[what]
        for _ in range(n):
            await self.bus.publish(happening)
            for session in self.sessions:
                await session.send_notification(notification)
        return {}

    async def burst(self, context: Context, n: int) -> Json:
        """Send progress and log messages for a request that did not ask for them."""
        for number in range(n):
            params = types.LoggingMessageNotificationParams(level="error", data=number)
            await context.session.send_notification(types.LoggingMessageNotification(params=params))
        return {}

    async def sight(self, context: Context) -> Json:
        """Return what was said about the client."""
        return {"meta": dict((context.params or {}).get("_meta", {}))}

    async def die(self, _context: Context) -> Json:
        os._exit(3)


def elicitation(message: str) -> Json:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


async def _unused(*_: Any) -> Any:
    raise AssertionError("answered by the middleware")


def make_server(
    era: str, note: Callable[[str], None], happened: Callable[[], str]
) -> tuple[Server[Any], Asking]:
    asking = Asking(era, note, happened)
    server: Server[Any] = Server(
        "asking",
        version="1",
        on_list_tools=_unused,
        on_call_tool=_unused,
        on_list_prompts=_unused,
        on_get_prompt=_unused,
        on_list_resources=_unused,
        on_read_resource=_unused,
        on_list_resource_templates=_unused,
        on_completion=_unused,
        on_subscriptions_listen=ListenHandler(asking.bus),
        get_tool_input_schema=lambda _: {"type": "object"},
    )
    server.middleware.append(asking.answer)
    return server, asking


def append(path: Path, event: str) -> None:
    with path.open("a") as events:
        events.write(event + "\n")


async def over_stdio(era: str, path: Path) -> None:
    server, _ = make_server(era, partial(append, path), path.read_text)
    async with stdio_server() as (read, write):
        if era == "legacy":
            await serve_loop(server, read, write, lifespan_state=None)
        else:
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(over_stdio, sys.argv[1], Path(sys.argv[2]))
