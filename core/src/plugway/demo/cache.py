"""The demo's own plugin, written as anyone writes one: answers repeated calls from memory."""

from plugway_hookspecs import Context, Plugin, PluginConfig, Respond, ToolCall, ToolResult, hookimpl


class DemoCache(Plugin):
    """Answers repeated calls of chosen tools from memory (for the demo)."""

    class Config(PluginConfig):
        """What goes under `config:`."""

        tools: list[str]
        """The tools whose answers may be repeated."""

    config: Config

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        """Start with an empty memory."""
        super().__init__(config, name=name)
        self.memory: dict[ToolCall, ToolResult] = {}

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Respond | None:
        """Answer what was answered before."""
        known = self.memory.get(payload)
        if known is not None:
            context.annotate("cache", "hit")
        return Respond(known) if known is not None else None

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        """Remember the answer."""
        call = context.request
        if isinstance(call, ToolCall) and call.name in self.config.tools and not payload.is_error:
            self.memory[call] = payload
