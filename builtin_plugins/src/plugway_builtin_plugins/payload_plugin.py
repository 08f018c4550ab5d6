"""The bases of kinds that look at every channel in the same way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from plugway_builtin_plugins.selections import EVERYTHING, hooks_of
from plugway_hookspecs import (
    CompletionRequest,
    CompletionResult,
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    Payload,
    Plugin,
    PluginConfig,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceSubscribe,
    ResourceTemplateList,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)

P = TypeVar("P", bound=Payload)


def _leave_out(plugin: Plugin, hooks: frozenset[str]) -> None:
    """Take away the hooks that were not chosen: who has a hook is taken to have a say there."""
    vars(plugin).update(dict.fromkeys(hooks_of(EVERYTHING) - hooks))


class PayloadPlugin(Plugin, ABC):
    """Base of kinds that look at every channel in the same way."""

    def __init__(self, config: PluginConfig, *, name: str, hooks: frozenset[str]) -> None:
        super().__init__(config, name=name)
        _leave_out(self, hooks)

    @abstractmethod
    def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Return what the hook returns for this payload; called for the chosen hooks only."""

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall | Deny | None:
        """See a tool call's arguments."""
        return self.inspect(payload, context, "tool_pre_invoke")

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> ToolResult | Deny | None:
        """See a tool's result or error."""
        return self.inspect(payload, context, "tool_post_invoke")

    @hookimpl
    def tool_post_list(self, payload: ToolList, context: Context) -> ToolList | Deny | None:
        """See the list of tools."""
        return self.inspect(payload, context, "tool_post_list")

    @hookimpl
    def prompt_pre_fetch(self, payload: PromptFetch, context: Context) -> PromptFetch | Deny | None:
        """See a prompt's arguments."""
        return self.inspect(payload, context, "prompt_pre_fetch")

    @hookimpl
    def prompt_post_fetch(
        self, payload: PromptResult, context: Context
    ) -> PromptResult | Deny | None:
        """See a prompt's messages or error."""
        return self.inspect(payload, context, "prompt_post_fetch")

    @hookimpl
    def prompt_post_list(self, payload: PromptList, context: Context) -> PromptList | Deny | None:
        """See the list of prompts."""
        return self.inspect(payload, context, "prompt_post_list")

    @hookimpl
    def resource_pre_fetch(
        self, payload: ResourceFetch, context: Context
    ) -> ResourceFetch | Deny | None:
        """See the URI of a resource that is asked for."""
        return self.inspect(payload, context, "resource_pre_fetch")

    @hookimpl
    def resource_post_fetch(
        self, payload: ResourceResult, context: Context
    ) -> ResourceResult | Deny | None:
        """See a resource's contents or error."""
        return self.inspect(payload, context, "resource_post_fetch")

    @hookimpl
    def resource_post_list(
        self, payload: ResourceList, context: Context
    ) -> ResourceList | Deny | None:
        """See the list of resources."""
        return self.inspect(payload, context, "resource_post_list")

    @hookimpl
    def resource_template_post_list(
        self, payload: ResourceTemplateList, context: Context
    ) -> ResourceTemplateList | Deny | None:
        """See the list of resource templates."""
        return self.inspect(payload, context, "resource_template_post_list")

    @hookimpl
    def resource_pre_subscribe(
        self, payload: ResourceSubscribe, context: Context
    ) -> ResourceSubscribe | Deny | None:
        """See the URI of a resource that is subscribed to."""
        return self.inspect(payload, context, "resource_pre_subscribe")

    @hookimpl
    def completion_pre(
        self, payload: CompletionRequest, context: Context
    ) -> CompletionRequest | Deny | None:
        """See a half-typed argument."""
        return self.inspect(payload, context, "completion_pre")

    @hookimpl
    def completion_post(
        self, payload: CompletionResult, context: Context
    ) -> CompletionResult | Deny | None:
        """See suggestions or an error."""
        return self.inspect(payload, context, "completion_post")

    @hookimpl
    def sampling_pre_request(
        self, payload: SamplingRequest, context: Context
    ) -> SamplingRequest | Deny | None:
        """See what a server asks the client's model."""
        return self.inspect(payload, context, "sampling_pre_request")

    @hookimpl
    def sampling_post_response(
        self, payload: SamplingResult, context: Context
    ) -> SamplingResult | Deny | None:
        """See what the model says to a server."""
        return self.inspect(payload, context, "sampling_post_response")

    @hookimpl
    def elicitation_pre_request(
        self, payload: ElicitationRequest, context: Context
    ) -> ElicitationRequest | Deny | None:
        """See what a server asks the user."""
        return self.inspect(payload, context, "elicitation_pre_request")

    @hookimpl
    def elicitation_post_response(
        self, payload: ElicitationResult, context: Context
    ) -> ElicitationResult | Deny | None:
        """See what the user answers a server."""
        return self.inspect(payload, context, "elicitation_post_response")

    @hookimpl
    def roots_pre_list(self, payload: RootsRequest, context: Context) -> RootsRequest | Deny | None:
        """See that a server asks for roots."""
        return self.inspect(payload, context, "roots_pre_list")

    @hookimpl
    def roots_post_list(self, payload: RootsResult, context: Context) -> RootsResult | Deny | None:
        """See the roots that a server gets."""
        return self.inspect(payload, context, "roots_post_list")


def _channel(hook: str) -> Callable[["AsyncPayloadPlugin", Any, Context], Coroutine[Any, Any, Any]]:
    @hookimpl
    async def see(self: "AsyncPayloadPlugin", payload: Any, context: Context) -> Any:
        return await self.inspect(payload, context, hook)

    return see


class AsyncPayloadPlugin(Plugin, ABC):
    """The same for kinds that ask others before they decide."""

    def __init__(self, config: PluginConfig, *, name: str, hooks: frozenset[str]) -> None:
        super().__init__(config, name=name)
        _leave_out(self, hooks)

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
    resource_pre_subscribe = _channel("resource_pre_subscribe")
    completion_pre = _channel("completion_pre")
    completion_post = _channel("completion_post")
    sampling_pre_request = _channel("sampling_pre_request")
    sampling_post_response = _channel("sampling_post_response")
    elicitation_pre_request = _channel("elicitation_pre_request")
    elicitation_post_response = _channel("elicitation_post_response")
    roots_pre_list = _channel("roots_pre_list")
    roots_post_list = _channel("roots_post_list")
