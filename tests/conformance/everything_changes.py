"""The tools of the everything server that change its lists, and tell clients of both eras."""

from everything_content import PROMPTS, user
from everything_tools import TOOLS, Answer, Context, Fixture, said, tool
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged
from mcp_types import CallToolRequestParams, Prompt, Tool

COMES_AND_GOES = "test_comes_and_goes"
BUS = InMemorySubscriptionBus()
"""Where listening clients of the stateless era hear of changes."""


async def _here(_: Context, __: CallToolRequestParams) -> Answer:
    return said("Here, for the time being.")


@tool("test_trigger_tool_change", "Adds a tool, or takes it away again.")
async def trigger_tool_change(ctx: Context, _: CallToolRequestParams) -> Answer:
    if TOOLS.pop(COMES_AND_GOES, None) is None:
        definition = Tool(
            name=COMES_AND_GOES,
            description="Comes and goes.",
            input_schema={"type": "object"},
        )
        TOOLS[COMES_AND_GOES] = Fixture(definition, _here)
    await BUS.publish(ToolsListChanged())
    await ctx.session.send_tool_list_changed()
    return said("The list of tools has changed.")


@tool("test_trigger_prompt_change", "Adds a prompt, or takes it away again.")
async def trigger_prompt_change(ctx: Context, _: CallToolRequestParams) -> Answer:
    if PROMPTS.pop(COMES_AND_GOES, None) is None:
        prompt = Prompt(name=COMES_AND_GOES, description="Comes and goes.")
        PROMPTS[COMES_AND_GOES] = (prompt, lambda _: user("Here, for the time being."))
    await BUS.publish(PromptsListChanged())
    await ctx.session.send_prompt_list_changed()
    return said("The list of prompts has changed.")
