"""A plugin that has nothing to say, before and after every call."""

from plugway_hookspecs import Context, Plugin, ToolCall, ToolResult, hookimpl


class NoOp(Plugin):
    """Has nothing to say."""

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        return None

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        return None
