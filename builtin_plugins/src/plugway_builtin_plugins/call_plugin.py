"""The base of kinds that stand round a request and its answer, whatever it asks for."""

from abc import ABC, abstractmethod
from typing import TypeVar

from plugway_hookspecs import (
    CallNext,
    Context,
    Deny,
    Plugin,
    PromptFetch,
    PromptResult,
    ResourceFetch,
    ResourceResult,
    ToolCall,
    ToolResult,
    hookimpl,
)

Q = TypeVar("Q", ToolCall, PromptFetch, ResourceFetch)
"""What is asked."""
R = TypeVar("R", ToolResult, PromptResult, ResourceResult)
"""What is answered."""


class CallPlugin(Plugin, ABC):
    """Base of kinds that stand round a request and its answer, whatever it asks for."""

    @abstractmethod
    async def around(self, payload: Q, context: Context, call_next: CallNext[Q, R]) -> R | Deny:
        """Return what becomes of the request."""

    @hookimpl(wrapper=True)
    async def tool_pre_invoke(
        self, payload: ToolCall, context: Context, call_next: CallNext[ToolCall, ToolResult]
    ) -> ToolResult | Deny:
        """Stand round the call of a tool."""
        return await self.around(payload, context, call_next)

    @hookimpl(wrapper=True)
    async def prompt_pre_fetch(
        self, payload: PromptFetch, context: Context, call_next: CallNext[PromptFetch, PromptResult]
    ) -> PromptResult | Deny:
        """Stand round the fetch of a prompt."""
        return await self.around(payload, context, call_next)

    @hookimpl(wrapper=True)
    async def resource_pre_fetch(
        self,
        payload: ResourceFetch,
        context: Context,
        call_next: CallNext[ResourceFetch, ResourceResult],
    ) -> ResourceResult | Deny:
        """Stand round the read of a resource."""
        return await self.around(payload, context, call_next)
