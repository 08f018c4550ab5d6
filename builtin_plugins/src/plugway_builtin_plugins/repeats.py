"""Tell which requests may be sent again, or be spared: by the operator's word, or the server's."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ConfigDict

from plugway_builtin_plugins.globs import Glob, compile_globs
from plugway_hookspecs import Context, PluginConfig, PromptFetch, ResourceFetch, ToolCall
from plugway_hookspecs.frozen import EMPTY

Request = ToolCall | PromptFetch | ResourceFetch


class RepeatSettings(PluginConfig):
    """Which tools a plugin that repeats calls, or spares them, may do that with."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tools: tuple[Glob, ...] = ()
    """Tools, as clients see their names, for which it is right whatever they declare."""
    annotated: bool = True
    """Whether what tools declare of themselves counts as well."""


class Repeats:
    """What may be repeated or spared, by the operator's word or, where it counts, the server's."""

    def __init__(self, settings: RepeatSettings) -> None:
        self._named = compile_globs(settings.tools) if settings.tools else None
        self._annotated = settings.annotated

    def reads(self, payload: Request, context: Context) -> bool:
        """Tell whether a request changes nothing, as far as anybody says."""
        return self._names(payload) or only_reads(payload, context)

    def may_spare(self, payload: Request, context: Context) -> bool:
        """Tell whether a request may be answered without the server."""
        trusted = self._trusts(payload) and only_reads(payload, context)
        return (trusted or self._names(payload)) and is_first(payload)

    def may_repeat(self, payload: Request, context: Context) -> bool:
        """Tell whether a request may be sent to the server twice."""
        trusted = self._trusts(payload) and is_idempotent(payload, context)
        return (trusted or self._names(payload)) and is_first(payload)

    def _trusts(self, payload: Request) -> bool:
        return self._annotated or not isinstance(payload, ToolCall)

    def _names(self, payload: Request) -> bool:
        if self._named is None or not isinstance(payload, ToolCall):
            return False
        return self._named.fullmatch(payload.name)


def subject(payload: Request) -> str:
    """Return the name or the URI that a request is about."""
    return payload.uri if isinstance(payload, ResourceFetch) else payload.name


def is_first(payload: Request) -> bool:
    """Tell whether a request asks for no more than a result.

    One that answers a server's question (`requestState`, `inputResponses`), that starts a task, or
    that says something else that MCP does not know may be more than a question.
    """
    return not payload.extra


def is_renamed(payload: Request, context: Context) -> bool:
    """Tell whether a plugin renamed a request: it passes the chain again under its new name.

    Until then the context still tells what the old name is about.
    """
    return subject(payload) != context.name


def only_reads(payload: Request, context: Context) -> bool:
    """Tell whether a request changes nothing: prompts and resources, tools that declare it."""
    if not isinstance(payload, ToolCall):
        return True
    hints = _annotations(context)
    # MCP gives the second hint no meaning beside the first: who sets both is not believed
    return hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True


def is_idempotent(payload: Request, context: Context) -> bool:
    """Tell whether doing it twice is the same as doing it once, as far as a tool declares it."""
    if only_reads(payload, context):
        return True
    hints = _annotations(context)
    return hints.get("idempotentHint") is True and hints.get("readOnlyHint") is not True


def _annotations(context: Context) -> Mapping[str, Any]:
    hints: Any = (context.definition or EMPTY).get("annotations")
    return cast("Mapping[str, Any]", hints) if isinstance(hints, Mapping) else EMPTY
