"""Which hook stands for which event in which phase, and what goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from plugway_hookspecs import (
    CompletionRequest,
    CompletionResult,
    ElicitationRequest,
    ElicitationResult,
    Payload,
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
)


class Phase(StrEnum):
    """Which half of an MCP operation an interceptor sees."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Hook:
    """One plugway hook, in the terms of the wire."""

    name: str
    event: str
    phase: Phase
    payload: type[Payload]
    answer: type[Payload] | None = None
    """What a `Respond` carries here; None where there is nothing to answer."""


HOOKS: Mapping[str, Hook] = {
    hook.name: hook
    for hook in (
        Hook("tool_pre_invoke", "tools/call", Phase.REQUEST, ToolCall, ToolResult),
        Hook("tool_post_invoke", "tools/call", Phase.RESPONSE, ToolResult),
        Hook("tool_post_list", "tools/list", Phase.RESPONSE, ToolList),
        Hook("prompt_pre_fetch", "prompts/get", Phase.REQUEST, PromptFetch, PromptResult),
        Hook("prompt_post_fetch", "prompts/get", Phase.RESPONSE, PromptResult),
        Hook("prompt_post_list", "prompts/list", Phase.RESPONSE, PromptList),
        Hook("resource_pre_fetch", "resources/read", Phase.REQUEST, ResourceFetch, ResourceResult),
        Hook("resource_post_fetch", "resources/read", Phase.RESPONSE, ResourceResult),
        Hook("resource_post_list", "resources/list", Phase.RESPONSE, ResourceList),
        Hook(
            "resource_template_post_list",
            "resources/templates/list",
            Phase.RESPONSE,
            ResourceTemplateList,
        ),
        Hook("resource_pre_subscribe", "resources/subscribe", Phase.REQUEST, ResourceSubscribe),
        Hook(
            "completion_pre",
            "completion/complete",
            Phase.REQUEST,
            CompletionRequest,
            CompletionResult,
        ),
        Hook("completion_post", "completion/complete", Phase.RESPONSE, CompletionResult),
        Hook(
            "sampling_pre_request",
            "sampling/createMessage",
            Phase.REQUEST,
            SamplingRequest,
            SamplingResult,
        ),
        Hook("sampling_post_response", "sampling/createMessage", Phase.RESPONSE, SamplingResult),
        Hook(
            "elicitation_pre_request",
            "elicitation/create",
            Phase.REQUEST,
            ElicitationRequest,
            ElicitationResult,
        ),
        Hook("elicitation_post_response", "elicitation/create", Phase.RESPONSE, ElicitationResult),
        Hook("roots_pre_list", "roots/list", Phase.REQUEST, RootsRequest, RootsResult),
        Hook("roots_post_list", "roots/list", Phase.RESPONSE, RootsResult),
    )
}
"""Every hook that sees a payload."""

_BY_EVENT = {(hook.event, hook.phase): hook for hook in HOOKS.values()}
_REQUESTS = {hook.event: hook for hook in HOOKS.values() if hook.phase is Phase.REQUEST}


def find_hook(event: str, phase: Phase) -> Hook | None:
    """Return the hook for an event, or None where plugway has none."""
    return _BY_EVENT.get((event, phase))


def request_hook(event: str) -> Hook | None:
    """Return the hook that sees the request of an event, or None where plugway has none."""
    return _REQUESTS.get(event)
