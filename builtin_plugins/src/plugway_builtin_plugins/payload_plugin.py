"""The bases of kinds that look at every channel in the same way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from plugway_hookspecs import (
    Context,
    Deny,
    Payload,
    Plugin,
    PluginConfig,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceTemplateList,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)

P = TypeVar("P", bound=Payload)


class PayloadPlugin(Plugin, ABC):
    """Base of kinds that look at every channel in the same way."""

    def __init__(self, config: PluginConfig, *, name: str, hooks: frozenset[str]) -> None:
        super().__init__(config, name=name)
        self._hooks = hooks

    @abstractmethod
    def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Return what the hook returns for this payload; called for the chosen hooks only."""

    def _see(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        return self.inspect(payload, context, hook) if hook in self._hooks else None

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall | Deny | None:
        """See a tool call's arguments."""
        return self._see(payload, context, "tool_pre_invoke")

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> ToolResult | Deny | None:
        """See a tool's result or error."""
        return self._see(payload, context, "tool_post_invoke")

    @hookimpl
    def tool_post_list(self, payload: ToolList, context: Context) -> ToolList | Deny | None:
        """See the list of tools."""
        return self._see(payload, context, "tool_post_list")

    @hookimpl
    def prompt_pre_fetch(self, payload: PromptFetch, context: Context) -> PromptFetch | Deny | None:
        """See a prompt's arguments."""
        return self._see(payload, context, "prompt_pre_fetch")

    @hookimpl
    def prompt_post_fetch(
        self, payload: PromptResult, context: Context
    ) -> PromptResult | Deny | None:
        """See a prompt's messages or error."""
        return self._see(payload, context, "prompt_post_fetch")

    @hookimpl
    def prompt_post_list(self, payload: PromptList, context: Context) -> PromptList | Deny | None:
        """See the list of prompts."""
        return self._see(payload, context, "prompt_post_list")

    @hookimpl
    def resource_pre_fetch(
        self, payload: ResourceFetch, context: Context
    ) -> ResourceFetch | Deny | None:
        """See the URI of a resource that is asked for."""
        return self._see(payload, context, "resource_pre_fetch")

    @hookimpl
    def resource_post_fetch(
        self, payload: ResourceResult, context: Context
    ) -> ResourceResult | Deny | None:
        """See a resource's contents or error."""
        return self._see(payload, context, "resource_post_fetch")

    @hookimpl
    def resource_post_list(
        self, payload: ResourceList, context: Context
    ) -> ResourceList | Deny | None:
        """See the list of resources."""
        return self._see(payload, context, "resource_post_list")

    @hookimpl
    def resource_template_post_list(
        self, payload: ResourceTemplateList, context: Context
    ) -> ResourceTemplateList | Deny | None:
        """See the list of resource templates."""
        return self._see(payload, context, "resource_template_post_list")


def _channel(hook: str) -> Callable[["AsyncPayloadPlugin", Any, Context], Coroutine[Any, Any, Any]]:
    @hookimpl
    async def see(self: "AsyncPayloadPlugin", payload: Any, context: Context) -> Any:
        return await self.inspect(payload, context, hook) if hook in self.hooks else None

    return see


class AsyncPayloadPlugin(Plugin, ABC):
    """The same for kinds that ask others before they decide."""

    def __init__(self, config: PluginConfig, *, name: str, hooks: frozenset[str]) -> None:
        super().__init__(config, name=name)
        self.hooks = hooks

    @abstractmethod
    async def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Return what the hook returns for this payload; called for the chosen hooks only."""

    tool_pre_invoke = _channel("tool_pre_invoke")
    tool_post_invoke = _channel("tool_post_invoke")
    tool_post_list = _channel("tool_post_list")
    prompt_pre_fetch = _channel("prompt_pre_fetch")
    prompt_post_fetch = _channel("prompt_post_fetch")
    prompt_post_list = _channel("prompt_post_list")
    resource_pre_fetch = _channel("resource_pre_fetch")
    resource_post_fetch = _channel("resource_post_fetch")
    resource_post_list = _channel("resource_post_list")
    resource_template_post_list = _channel("resource_template_post_list")
