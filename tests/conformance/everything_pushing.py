"""The tools of the everything server that send a request to the client: for sessions only."""

from typing import Any

from everything_tools import Answer, Context, need, said, schema, tool
from mcp_types import CallToolRequestParams, ElicitResult, SamplingMessage, TextContent

DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
"""SEP-1034: a default for every primitive type."""
OPTIONS = ["option1", "option2", "option3"]
ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {
        "type": "string",
        "oneOf": [
            {"const": "value1", "title": "First Option"},
            {"const": "value2", "title": "Second Option"},
            {"const": "value3", "title": "Third Option"},
        ],
    },
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {
        "type": "array",
        "items": {
            "anyOf": [
                {"const": "value1", "title": "First Choice"},
                {"const": "value2", "title": "Second Choice"},
                {"const": "value3", "title": "Third Choice"},
            ]
        },
    },
}
"""SEP-1330: the five ways to write a choice."""


async def _elicit(ctx: Context, message: str, form: dict[str, Any]) -> ElicitResult:
    need(ctx, "elicitation")
    return await ctx.session.elicit_form(message, form, related_request_id=ctx.request_id)


def _completed(result: ElicitResult) -> Answer:
    return said(f"Elicitation completed: action={result.action}, content={result.content}")


@tool(
    "test_sampling",
    "Asks the client's model.",
    schema(prompt={"type": "string", "description": "What the model is asked"}),
)
async def sampling(ctx: Context, params: CallToolRequestParams) -> Answer:
    need(ctx, "sampling")
    text = str((params.arguments or {}).get("prompt", ""))
    message = SamplingMessage(role="user", content=TextContent(text=text))
    result = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]  # but not gone
        [message], max_tokens=100, related_request_id=ctx.request_id
    )
    content = result.content
    return said(f"LLM response: {content.text if isinstance(content, TextContent) else content}")


@tool(
    "test_elicitation",
    "Asks the user for a name and an address.",
    schema(message={"type": "string", "description": "What the user is shown"}),
)
async def elicitation(ctx: Context, params: CallToolRequestParams) -> Answer:
    form = schema(
        username={"type": "string", "description": "User's response"},
        email={"type": "string", "description": "User's email address"},
    )
    result = await _elicit(ctx, str((params.arguments or {}).get("message", "")), form)
    return said(f"User response: action={result.action}, content={result.content}")


@tool("test_elicitation_sep1034_defaults", "Asks with a default for every primitive type.")
async def elicitation_defaults(ctx: Context, _: CallToolRequestParams) -> Answer:
    form: dict[str, Any] = {"type": "object", "properties": DEFAULTS}
    return _completed(await _elicit(ctx, "Please look through the defaults", form))


@tool("test_elicitation_sep1330_enums", "Asks with every kind of choice.")
async def elicitation_enums(ctx: Context, _: CallToolRequestParams) -> Answer:
    form: dict[str, Any] = {"type": "object", "properties": ENUMS}
    return _completed(await _elicit(ctx, "Please choose", form))
