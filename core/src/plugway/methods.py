"""Every MCP method that clients send: its hooks, its payloads, and where it goes."""

from dataclasses import dataclass
from enum import Enum

from plugway_hookspecs import (
    Payload,
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
class Fetch:
    """A method that is about one tool, prompt or resource, and goes to the server that has it."""

    name: str
    kind: Kind
    pre: str
    post: str
    request: type[Payload]
    result: type[Payload]
    contents: str
    """The key of the result under which there must be a list of objects."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A method that lists what all servers offer."""

    name: str
    kind: Kind
    post: str
    result: type[Payload]


FETCHES = {
    fetch.name: fetch
    for fetch in (
        Fetch(
            "tools/call",
            Kind.TOOL,
            "tool_pre_invoke",
            "tool_post_invoke",
            ToolCall,
            ToolResult,
            "content",
        ),
        Fetch(
            "prompts/get",
            Kind.PROMPT,
            "prompt_pre_fetch",
            "prompt_post_fetch",
            PromptFetch,
            PromptResult,
            "messages",
        ),
        Fetch(
            "resources/read",
            Kind.RESOURCE,
            "resource_pre_fetch",
            "resource_post_fetch",
            ResourceFetch,
            ResourceResult,
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

UNHOOKED = {
    "completion/complete": "goes to the server of the prompt or template, if nothing guards it",
    "initialize": "answered by the gateway; servers' instructions only where nothing guards lists",
    "logging/setLevel": "a setting of the client's session with the gateway",
    "ping": "answered by the gateway",
    "server/discover": "answered by the gateway, with the same in it as `initialize`",
    "subscriptions/listen": "carries the gateway's own list changes; no resource subscriptions yet",
}
"""Methods that are served without hooks, and why that is right."""

UNSERVED = {
    "resources/subscribe": "resource subscriptions are not bridged yet",
    "resources/unsubscribe": "resource subscriptions are not bridged yet",
}
"""Methods that the gateway answers with "method not found", and why."""

MAX_RENAMES = 3
"""How often plugins may send one request to another name."""

HOOKS: dict[str, tuple[type[Payload], type[Payload] | None]] = {}
"""Hook to what it takes and what a `Respond` in it may carry."""
for _fetch in FETCHES.values():
    HOOKS[_fetch.pre] = (_fetch.request, _fetch.result)
    HOOKS[_fetch.post] = (_fetch.result, None)
for _listing in LISTINGS.values():
    HOOKS[_listing.post] = (_listing.result, None)
