"""Every MCP method that clients send or are sent: its hooks, its payloads, where it goes."""

from dataclasses import dataclass
from enum import Enum

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


class Kind(Enum):
    """What servers offer; the value is the key of its list on the wire."""

    TOOL = "tools"
    PROMPT = "prompts"
    RESOURCE = "resources"
    TEMPLATE = "resourceTemplates"

    @property
    def identifier(self) -> str:
        """The field that names one of them."""
        if self is Kind.RESOURCE:
            return "uri"
        return "uriTemplate" if self is Kind.TEMPLATE else "name"

    @property
    def capability(self) -> str:
        """The server capability that stands for it."""
        return "resources" if self is Kind.TEMPLATE else self.value


@dataclass(frozen=True, slots=True)
class Exchange:
    """A method with hooks round its request and its result."""

    name: str
    pre: str
    post: str
    request: type[Payload]
    result: type[Payload]


@dataclass(frozen=True, slots=True)
class Fetch(Exchange):
    """A method that is about one tool, prompt or resource, and goes to the server that has it."""

    kind: Kind
    contents: str
    """The key of the result under which there must be a list of objects."""


@dataclass(frozen=True, slots=True)
class Ask(Exchange):
    """A method by which servers ask clients: a request of theirs, or within `input_required`."""

    capability: str
    """The client capability that stands for it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A method that lists what all servers offer."""

    name: str
    kind: Kind
    post: str
    result: type[Payload]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A method by which clients subscribe to one resource; nothing comes back to look at."""

    name: str
    pre: str
    request: type[Payload]


FETCHES = {
    fetch.name: fetch
    for fetch in (
        Fetch(
            "tools/call",
            "tool_pre_invoke",
            "tool_post_invoke",
            ToolCall,
            ToolResult,
            Kind.TOOL,
            "content",
        ),
        Fetch(
            "prompts/get",
            "prompt_pre_fetch",
            "prompt_post_fetch",
            PromptFetch,
            PromptResult,
            Kind.PROMPT,
            "messages",
        ),
        Fetch(
            "resources/read",
            "resource_pre_fetch",
            "resource_post_fetch",
            ResourceFetch,
            ResourceResult,
            Kind.RESOURCE,
            "contents",
        ),
    )
}

LISTINGS = {
    listing.name: listing
    for listing in (
        Listing("tools/list", Kind.TOOL, "tool_post_list", ToolList),
        Listing("prompts/list", Kind.PROMPT, "prompt_post_list", PromptList),
        Listing("resources/list", Kind.RESOURCE, "resource_post_list", ResourceList),
        Listing(
            "resources/templates/list",
            Kind.TEMPLATE,
            "resource_template_post_list",
            ResourceTemplateList,
        ),
    )
}

LIST_METHOD = {listing.kind: listing.name for listing in LISTINGS.values()}

SUBSCRIPTION = Subscription("resources/subscribe", "resource_pre_subscribe", ResourceSubscribe)

COMPLETION = Exchange(
    "completion/complete", "completion_pre", "completion_post", CompletionRequest, CompletionResult
)

ASKS = {
    ask.name: ask
    for ask in (
        Ask(
            "sampling/createMessage",
            "sampling_pre_request",
            "sampling_post_response",
            SamplingRequest,
            SamplingResult,
            "sampling",
        ),
        Ask(
            "elicitation/create",
            "elicitation_pre_request",
            "elicitation_post_response",
            ElicitationRequest,
            ElicitationResult,
            "elicitation",
        ),
        Ask(
            "roots/list",
            "roots_pre_list",
            "roots_post_list",
            RootsRequest,
            RootsResult,
            "roots",
        ),
    )
}

EXCHANGES: tuple[Exchange, ...] = (*FETCHES.values(), COMPLETION, *ASKS.values())
"""Every method with hooks on both sides."""

UNHOOKED = {
    "initialize": "answered by the gateway; servers' instructions only where nothing guards lists",
    "logging/setLevel": "a setting of the client's session with the gateway",
    "ping": "answered by the gateway",
    "server/discover": "answered by the gateway, with the same in it as `initialize`",
    "resources/unsubscribe": "ends what `resources/subscribe` began, and nothing else",
    "subscriptions/listen": "carries list changes; each resource passes `resource_pre_subscribe`",
}
"""Methods that are served without hooks, and why that is right."""

MAX_RENAMES = 3
"""How often plugins may send one request to another name."""

HOOKS: dict[str, tuple[type[Payload], type[Payload] | None]] = {}
"""Hook to what it takes and what a `Respond` in it may carry."""
for _exchange in EXCHANGES:
    HOOKS[_exchange.pre] = (_exchange.request, _exchange.result)
    HOOKS[_exchange.post] = (_exchange.result, None)
for _listing in LISTINGS.values():
    HOOKS[_listing.post] = (_listing.result, None)
HOOKS[SUBSCRIPTION.pre] = (SUBSCRIPTION.request, None)

UNWRAPPED = {
    SUBSCRIPTION.pre: "what comes of a subscription comes later, so there is no call to be round",
    **{
        hook: "the client's answer may come in another request, so nothing can be round both"
        for ask in ASKS.values()
        for hook in (ask.pre, ask.post)
    },
}
"""Hooks that no wrapper can be for, and why."""
