"""The contract between the plugway gateway and its plugins."""

from plugway_hookspecs.context import Client, Context, Finding, Operation, Principal, Scope
from plugway_hookspecs.errors import (
    NotJsonError,
    PluginError,
    PlugwayError,
    ServerError,
    ServerUnavailableError,
)
from plugway_hookspecs.frozen import FrozenDict, FrozenList, freeze, thaw
from plugway_hookspecs.host import CommandGroup, HookRegistrar, Host, Server
from plugway_hookspecs.markers import ENTRY_POINT_GROUP, PROJECT, hookimpl, hookspec
from plugway_hookspecs.modes import Mode, OnError
from plugway_hookspecs.payloads import (
    CompletionRequest,
    CompletionResult,
    Payload,
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
from plugway_hookspecs.plugin import Part, Plugin, PluginConfig
from plugway_hookspecs.questions import (
    ElicitationRequest,
    ElicitationResult,
    RootsRequest,
    RootsResult,
    SamplingRequest,
    SamplingResult,
)
from plugway_hookspecs.routes import HttpRequest, HttpResponse, HttpRoute
from plugway_hookspecs.runner import Outcome, PluginInfo, PluginRunner
from plugway_hookspecs.specs import Specs
from plugway_hookspecs.spelling import spellings
from plugway_hookspecs.verdicts import CallNext, Deny, Respond

__all__ = [
    "ENTRY_POINT_GROUP",
    "PROJECT",
    "CallNext",
    "Client",
    "CommandGroup",
    "CompletionRequest",
    "CompletionResult",
    "Context",
    "Deny",
    "ElicitationRequest",
    "ElicitationResult",
    "Finding",
    "FrozenDict",
    "FrozenList",
    "HookRegistrar",
    "Host",
    "HttpRequest",
    "HttpResponse",
    "HttpRoute",
    "Mode",
    "NotJsonError",
    "OnError",
    "Operation",
    "Outcome",
    "Part",
    "Payload",
    "Plugin",
    "PluginConfig",
    "PluginError",
    "PluginInfo",
    "PluginRunner",
    "PlugwayError",
    "Principal",
    "PromptFetch",
    "PromptList",
    "PromptResult",
    "ResourceFetch",
    "ResourceList",
    "ResourceResult",
    "ResourceSubscribe",
    "ResourceTemplateList",
    "Respond",
    "RootsRequest",
    "RootsResult",
    "SamplingRequest",
    "SamplingResult",
    "Scope",
    "Server",
    "ServerError",
    "ServerUnavailableError",
    "Specs",
    "ToolCall",
    "ToolList",
    "ToolResult",
    "freeze",
    "hookimpl",
    "hookspec",
    "spellings",
    "thaw",
]
