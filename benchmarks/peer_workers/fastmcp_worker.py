# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""fastmcp's middleware: each calls the next, and the innermost stands for the tool.

Only `_run_middleware` is called, which builds and runs the onion, not the server round it. It runs
where fastmcp is; here the checkers don't know it.
"""

from typing import Any

from fastmcp import FastMCP
from fastmcp.server.middleware import Middleware, MiddlewareContext
from mcp_types import CallToolRequestParams
from serving import ARGUMENTS, Subject, Tally, serve

MESSAGE = CallToolRequestParams(name="echo", arguments=ARGUMENTS)


class NoOp(Middleware):
    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        return await call_next(context)


class Modify(Middleware):
    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        arguments = {**context.message.arguments, "b": "changed"}
        message = context.message.model_copy(update={"arguments": arguments})
        return await call_next(context.copy(message=message))


def counting(kind: Any, tally: Tally) -> Any:
    class Counting(kind):
        async def on_call_tool(self, context: Any, call_next: Any) -> Any:
            tally.ran += 1
            tally.saw_change += context.message.arguments["b"] == "changed"
            return await super().on_call_tool(context, call_next)

    return Counting()


async def build(_: str, kind: str, count: int, tally: Tally | None) -> Subject | None:
    if kind == "skip":
        return None
    cls = Modify if kind == "modify" else NoOp
    server = FastMCP("bench")
    server.middleware[:] = [counting(cls, tally) if tally else cls() for _ in range(count)]
    last = MESSAGE

    async def innermost(context: Any) -> bool:
        nonlocal last
        last = context.message
        return True

    async def call() -> bool:
        context = MiddlewareContext(message=MESSAGE, method="tools/call")
        return await server._run_middleware(context, innermost)  # noqa: SLF001

    return Subject(call, lambda: last.arguments)


serve(build, "fastmcp", "pydantic")
