"""The table of the everything server's tools, and those of them that need only themselves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from everything_content import JSON_DOCUMENT, PNG, WAV, embedded, image
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    InputRequiredResult,
    LoggingLevel,
    TextContent,
    Tool,
)

Context = ServerRequestContext[Any, Any]
Answer = CallToolResult | InputRequiredResult
Handler = Callable[[Context, CallToolRequestParams], Awaitable[Answer]]

PAUSE = 0.05
"""Seconds between two messages of one tool, as the suite asks for."""
LEVELS: tuple[LoggingLevel, ...] = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fixture:
    """A tool as it is listed, and what it does."""

    definition: Tool
    run: Handler


TOOLS: dict[str, Fixture] = {}
"""Every tool by its name, in the order in which they are listed."""
log_levels: dict[str | None, LoggingLevel] = {}
"""What `logging/setLevel` asked for, by session."""


def schema(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return an input schema in which all properties are required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def tool(
    name: str, description: str, input_schema: dict[str, Any] | None = None
) -> Callable[[Handler], Handler]:
    """Enter a function into the table."""

    def enter(run: Handler) -> Handler:
        definition = Tool(
            name=name, description=description, input_schema=input_schema or {"type": "object"}
        )
        TOOLS[name] = Fixture(definition, run)
        return run

    return enter


def said(*blocks: ContentBlock | str, is_error: bool = False) -> CallToolResult:
    """Return a result with these contents; plain strings become text."""
    content = [TextContent(text=block) if isinstance(block, str) else block for block in blocks]
    return CallToolResult(content=content, is_error=is_error)


def declares(ctx: Context, capability: str) -> bool:
    """Whether the client declares a capability."""
    declared = ctx.session.client_capabilities
    return declared is not None and getattr(declared, capability) is not None


def need(ctx: Context, capability: str) -> None:
    """Raise the `MCPError` for a client that lacks a capability, unless it declares it."""
    if not declares(ctx, capability):
        message = f"This needs a client that declares the capability {capability!r}"
        missing: dict[str, Any] = {"requiredCapabilities": {capability: {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, message, missing)


def session_id(ctx: Context) -> str | None:
    """Return the id of the client's HTTP session; there is one client, without an id, on stdio."""
    return None if ctx.request is None else ctx.request.headers.get("mcp-session-id")


async def log(ctx: Context, level: LoggingLevel, text: str) -> None:
    """Send a log message, unless the client wants only graver ones."""
    if LEVELS.index(level) >= LEVELS.index(log_levels.get(session_id(ctx), "debug")):
        await ctx.session.send_log_message(  # pyright: ignore[reportDeprecated]  # but not gone
            level, text, "everything", related_request_id=ctx.request_id
        )


# the first in the list: the suite calls it, with no arguments, to check headers
@tool("test_simple_text", "Returns one text.")
async def simple_text(_: Context, __: CallToolRequestParams) -> Answer:
    return said("This is a simple text response for testing.")


@tool("test_image_content", "Returns an image.")
async def image_content(_: Context, __: CallToolRequestParams) -> Answer:
    return said(image(PNG))


@tool("test_audio_content", "Returns a sound.")
async def audio_content(_: Context, __: CallToolRequestParams) -> Answer:
    return said(AudioContent(data=WAV, mime_type="audio/wav"))


@tool("test_embedded_resource", "Returns a resource within its answer.")
async def embedded_resource(_: Context, __: CallToolRequestParams) -> Answer:
    text = "This is an embedded resource content."
    return said(embedded("test://embedded-resource", "text/plain", text))


@tool("test_multiple_content_types", "Returns a text, an image and a resource.")
async def multiple_content_types(_: Context, __: CallToolRequestParams) -> Answer:
    resource = embedded("test://mixed-content-resource", "application/json", JSON_DOCUMENT)
    return said("Multiple content types test:", image(PNG), resource)


@tool("test_error_handling", "Fails, always.")
async def error_handling(_: Context, __: CallToolRequestParams) -> Answer:
    return said("This tool intentionally returns an error for testing", is_error=True)


@tool("test_tool_with_logging", "Sends three log messages.")
async def with_logging(ctx: Context, _: CallToolRequestParams) -> Answer:
    await log(ctx, "info", "Tool execution started")
    await anyio.sleep(PAUSE)
    await log(ctx, "info", "Tool processing data")
    await anyio.sleep(PAUSE)
    await log(ctx, "info", "Tool execution completed")
    return said("Three log messages were sent.")


@tool("test_logging_tool", "Sends one log message.")
async def logging_tool(ctx: Context, _: CallToolRequestParams) -> Answer:
    await log(ctx, "info", "Only for those who asked for it")
    return said("A log message was sent to a client that asked for it.")


@tool("test_tool_with_progress", "Reports its progress three times.")
async def with_progress(ctx: Context, _: CallToolRequestParams) -> Answer:
    await ctx.session.report_progress(0, 100)
    await anyio.sleep(PAUSE)
    await ctx.session.report_progress(50, 100)
    await anyio.sleep(PAUSE)
    await ctx.session.report_progress(100, 100)
    return said("Progress was reported.")


@tool("test_reconnection", "Closes its stream before it answers: the client has to come back.")
async def reconnection(ctx: Context, _: CallToolRequestParams) -> Answer:
    await anyio.sleep(PAUSE)  # so that the client has the event that it resumes from
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(PAUSE)
    return said("The stream was closed, and resumed by the client.")


@tool(
    "test_header_mirror",
    "Has an argument that HTTP clients repeat in a header.",
    schema(region={"type": "string", "description": "A region", "x-mcp-header": "Region"}),
)
async def header_mirror(_: Context, params: CallToolRequestParams) -> Answer:
    return said(f"region: {(params.arguments or {}).get('region')}")


# SEP-1613 and SEP-2106: every keyword of JSON Schema 2020-12 has to arrive
@tool(
    "json_schema_2020_12_tool",
    "Has an input schema with keywords of JSON Schema 2020-12.",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12(_: Context, params: CallToolRequestParams) -> Answer:
    return said(f"arguments: {sorted(params.arguments or {})}")


@tool("test_missing_capability", "Needs a client that offers sampling.")
async def missing_capability(ctx: Context, _: CallToolRequestParams) -> Answer:
    need(ctx, "sampling")
    return said("The client offers sampling.")
