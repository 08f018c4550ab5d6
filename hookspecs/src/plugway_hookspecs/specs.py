"""Every hook, in the order in which a request meets them.

Implementations may be `async def` or plain `def`, and may take fewer arguments than the
specification. A pre or post hook returns None (unchanged), a payload (the next plugin sees this
one), `Deny`, or, in pre hooks, `Respond`. An exception is a plugin error, never a verdict;
`on_error` decides what it means.
"""

from collections.abc import Sequence

from plugway_hookspecs.context import Context
from plugway_hookspecs.host import CommandGroup, HookRegistrar, Host
from plugway_hookspecs.markers import hookspec
from plugway_hookspecs.payloads import (
    CompletionRequest,
    CompletionResult,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceSubscribe,
    ResourceTemplateList,
    ToolCall,
    ToolList,
    ToolResult,
)
from plugway_hookspecs.questions import (
    ElicitationRequest,
    ElicitationResult,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
)
from plugway_hookspecs.routes import HttpRoute
from plugway_hookspecs.verdicts import Deny, Respond


class Specs:
    """The hook specifications that the gateway registers with pluggy."""

    @hookspec
    async def tool_pre_invoke(
        self, payload: ToolCall, context: Context
    ) -> ToolCall | Deny | Respond | None:
        """See a tool call before it goes to its server."""

    @hookspec
    async def tool_post_invoke(
        self, payload: ToolResult, context: Context
    ) -> ToolResult | Deny | None:
        """See a tool's result, or its error, before it goes to the client."""

    @hookspec
    async def tool_post_list(self, payload: ToolList, context: Context) -> ToolList | Deny | None:
        """See the complete list of tools before it goes to the client."""

    @hookspec
    async def prompt_pre_fetch(
        self, payload: PromptFetch, context: Context
    ) -> PromptFetch | Deny | Respond | None:
        """See a request for a prompt before it goes to its server."""

    @hookspec
    async def prompt_post_fetch(
        self, payload: PromptResult, context: Context
    ) -> PromptResult | Deny | None:
        """See a rendered prompt before it goes to the client."""

    @hookspec
    async def prompt_post_list(
        self, payload: PromptList, context: Context
    ) -> PromptList | Deny | None:
        """See the complete list of prompts before it goes to the client."""

    @hookspec
    async def resource_pre_fetch(
        self, payload: ResourceFetch, context: Context
    ) -> ResourceFetch | Deny | Respond | None:
        """See a request for a resource before it goes to its server."""

    @hookspec
    async def resource_post_fetch(
        self, payload: ResourceResult, context: Context
    ) -> ResourceResult | Deny | None:
        """See a resource's contents before they go to the client."""

    @hookspec
    async def resource_post_list(
        self, payload: ResourceList, context: Context
    ) -> ResourceList | Deny | None:
        """See the complete list of resources before it goes to the client."""

    @hookspec
    async def resource_template_post_list(
        self, payload: ResourceTemplateList, context: Context
    ) -> ResourceTemplateList | Deny | None:
        """See the complete list of resource templates before it goes to the client."""

    @hookspec
    async def resource_pre_subscribe(
        self, payload: ResourceSubscribe, context: Context
    ) -> ResourceSubscribe | Deny | None:
        """See which resource a client wants to hear about before its server does."""

    @hookspec
    async def completion_pre(
        self, payload: CompletionRequest, context: Context
    ) -> CompletionRequest | Deny | Respond | None:
        """See a half-typed argument before it goes to its server for completion."""

    @hookspec
    async def completion_post(
        self, payload: CompletionResult, context: Context
    ) -> CompletionResult | Deny | None:
        """See a server's suggestions, or its error, before they go to the client."""

    @hookspec
    async def sampling_pre_request(
        self, payload: SamplingRequest, context: Context
    ) -> SamplingRequest | Deny | Respond | None:
        """See what a server wants to ask the client's model before the client does."""

    @hookspec
    async def sampling_post_response(
        self, payload: SamplingResult, context: Context
    ) -> SamplingResult | Deny | None:
        """See what the client's model said before it goes to the server that asked."""

    @hookspec
    async def elicitation_pre_request(
        self, payload: ElicitationRequest, context: Context
    ) -> ElicitationRequest | Deny | Respond | None:
        """See what a server wants to ask the user before the client does."""

    @hookspec
    async def elicitation_post_response(
        self, payload: ElicitationResult, context: Context
    ) -> ElicitationResult | Deny | None:
        """See what the user answered before it goes to the server that asked."""

    @hookspec
    async def roots_pre_list(
        self, payload: RootsRequest, context: Context
    ) -> RootsRequest | Deny | Respond | None:
        """See that a server asks for the client's roots before the client does."""

    @hookspec
    async def roots_post_list(
        self, payload: RootsResult, context: Context
    ) -> RootsResult | Deny | None:
        """See the client's roots before they go to the server that asked."""

    @hookspec
    async def plugin_startup(self, host: Host) -> None:
        """Get ready: connect, load, warm up; raising means that the plugin is broken."""

    @hookspec
    async def plugin_shutdown(self) -> None:
        """Let go of everything; called once, after the last call has ended."""

    @hookspec
    async def plugin_health(self) -> str | None:
        """Return None when all is well, or one sentence about what is not."""

    @hookspec
    def register_hooks(self, registrar: HookRegistrar) -> None:
        """Add hooks of the package's own; in a class a static or class method."""

    @hookspec
    async def register_routes(self) -> Sequence[HttpRoute]:
        """Return HTTP routes, to be served under `/plugins/<the plugin's name>`."""
        return ()

    @hookspec
    def register_commands(self, cli: CommandGroup) -> None:
        """Add click commands to `plugway`; for entry points that name a module."""
