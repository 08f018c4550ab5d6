"""A plugway plugin: no tool calls on Saturdays and Sundays."""

from datetime import datetime

from plugway_hookspecs import Deny, Plugin, PluginConfig, ToolCall, hookimpl


class NoWeekends(Plugin):
    """Denies calls on Saturdays and Sundays."""

    class Config(PluginConfig):
        reason: str = "come back on Monday"

    config: Config

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
        weekend = datetime.now().astimezone().weekday() >= 5
        return Deny(self.config.reason, code="weekend") if weekend else None
