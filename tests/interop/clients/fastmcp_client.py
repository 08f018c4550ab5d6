# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""FastMCP as a client: what `tour.mjs` does.

It runs in an environment that has FastMCP; here the checkers don't know it.
"""

import json
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp_types
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import FastMCPError
from mcp import MCPError
from mcp.client.subscriptions import listen

TIMEOUT = 20  # seconds, of one step
MODERN = "2026-07-28"
FAILURES = (FastMCPError, MCPError, RuntimeError, TimeoutError, ValueError)
MODES = {"legacy": "legacy", "auto": "auto", "modern": MODERN}


Answers = list[dict[str, Any]]


def plain(value: Any) -> Any:
    """Return a model, or a list of them, as it was on the wire."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


class Diary:
    """Events in the order they came: progress, questions of servers, updates."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._more = anyio.Event()

    def add(self, kind: str, params: dict[str, Any]) -> None:
        self.entries.append({"kind": kind, **params})
        self._more.set()
        self._more = anyio.Event()

    def turn(self) -> list[dict[str, Any]]:
        """Return what was written down, and begin anew."""
        entries, self.entries = self.entries, []
        return entries

    async def first(self, kind: str) -> dict[str, Any]:
        """Return the first event of a kind, whether it came already or not."""
        while True:
            for entry in self.entries:
                if entry["kind"] == kind:
                    return entry
            await self._more.wait()


class Handlers:
    """Answer what servers ask as the plan says, and write it all down."""

    def __init__(self, answers: dict[str, Any], diary: Diary) -> None:
        self.answers = answers
        self.diary = diary

    async def roots(self, _context: Any) -> Any:
        self.diary.add("roots", {})
        return [mcp_types.Root.model_validate(root) for root in self.answers["roots"]["roots"]]

    async def sample(self, _messages: Any, params: Any, _context: Any) -> Any:
        self.diary.add("sampling", plain(params))
        return mcp_types.CreateMessageResult.model_validate(self.answers["sampling"])

    async def elicit(self, _message: str, _type: Any, params: Any, _context: Any) -> Any:
        self.diary.add("elicitation", plain(params))
        return ElicitResult(**self.answers["elicitation"])

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.diary.add("progress", {"progress": progress, "total": total, "message": message})

    async def message(self, message: Any) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification):
            self.diary.add("updated", plain(message.params))


class Verbs:
    """What a plan can tell the client to do."""

    def __init__(self, client: Any, diary: Diary) -> None:
        self.client = client
        self.diary = diary
        self.subscription = AsyncExitStack()

    async def list(self, what: str) -> Any:
        lists = {
            "tools": ("tools", self.client.list_tools),
            "prompts": ("prompts", self.client.list_prompts),
            "resources": ("resources", self.client.list_resources),
            "templates": ("resourceTemplates", self.client.list_resource_templates),
        }
        key, listed = lists[what]
        return {key: plain(await listed())}

    async def call(self, params: dict[str, Any]) -> Any:
        return plain(await self.client.call_tool_mcp(params["name"], params["arguments"]))

    async def get(self, params: dict[str, Any]) -> Any:
        return plain(await self.client.get_prompt(params["name"], params["arguments"]))

    async def read(self, params: dict[str, Any]) -> Any:
        return {"contents": plain(await self.client.read_resource(params["uri"]))}

    async def complete(self, params: dict[str, Any]) -> Any:
        ref = mcp_types.PromptReference.model_validate(params["ref"])
        given = params.get("context", {}).get("arguments")
        return {"completion": plain(await self.client.complete(ref, params["argument"], given))}

    async def subscribe(self, params: dict[str, Any]) -> Any:
        if self.client.protocol_version < MODERN:
            return plain(await self.client.session.subscribe_resource(params["uri"]))
        stream = listen(self.client.session, resource_subscriptions=[params["uri"]])
        subscription = await self.subscription.enter_async_context(stream)
        if params["uri"] not in (subscription.honored.resource_subscriptions or []):
            message = f"the subscription to {params['uri']} is not honoured"
            raise RuntimeError(message)
        return {}

    async def unsubscribe(self, params: dict[str, Any]) -> Any:
        if self.client.protocol_version < MODERN:
            return plain(await self.client.session.unsubscribe_resource(params["uri"]))
        await self.subscription.aclose()
        return {}

    async def chapter(self, steps: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Take the steps up to the first that fails."""
        seen: Answers = []
        for step in steps:
            ((verb, params),) = step.items()
            does = self.diary.first if verb == "await" else getattr(self, verb)
            try:
                with anyio.fail_after(TIMEOUT):
                    seen.append(await does(params))
            except FAILURES as error:
                code = getattr(error, "code", None)
                seen.append({"error": {"code": code, "message": str(error) or repr(error)}})
                break
        return {"answers": seen, "events": self.diary.turn()}


async def tour(plan: dict[str, Any]) -> dict[str, Any]:
    diary = Diary()
    handlers = Handlers(plan["answers"], diary)
    target = plan["target"]
    client = Client(
        target.get("url") or StdioTransport(**target, keep_alive=False),
        mode=MODES[plan["era"]],
        roots=handlers.roots,
        sampling_handler=handlers.sample,
        elicitation_handler=handlers.elicit,
        progress_handler=handlers.progress,
        message_handler=handlers.message,
    )
    async with client:
        verbs = Verbs(client, diary)
        chapters = {name: await verbs.chapter(steps) for name, steps in plan["chapters"].items()}
        return {"version": client.protocol_version, "chapters": chapters}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(anyio.run(tour, json.load(sys.stdin))))
