"""Say what each place in an MCP message holds: text, a reference, encoded text, or neither.

Plugins that read or rewrite text go by these shapes, so that no text is overlooked and nothing is
touched that a protocol, and not a person, reads. What no shape names counts as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from plugway_hookspecs import (
    CompletionRequest,
    CompletionResult,
    ElicitationRequest,
    ElicitationResult,
    FrozenDict,
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
    """What a value, or a key, is."""

    TEXT = auto()
    """Read by people and models; may be rewritten."""
    REFERENCE = auto()
    """Looked up by something else (URIs, the names and values of a schema): text that breaks."""
    BLOB = auto()
    """base64, with the media type next to it under `mimeType`."""
    OPAQUE = auto()
    """For the protocol: discriminators, names, ids, tokens, timestamps, images."""


_NO_SHAPES = FrozenDict()


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What is found at a place; of lists, what their items are."""

    kind: Kind = Kind.TEXT
    fields: Mapping[str, "Shape"] = _NO_SHAPES
    rest: "Shape | None" = None
    """What keys outside `fields` hold; None if that is more of the same."""
    keys: Kind = Kind.TEXT
    """What keys outside `fields` are themselves."""
    variants: Mapping[str, "Shape"] = _NO_SHAPES
    """Shapes of objects by their `type`."""

    def of(self, value: Mapping[str, Any]) -> "Shape":
        """Return the shape of an object, which its `type` may make a special one."""
        if not self.variants:
            return self
        tag = value.get("type")
        return self.variants.get(tag, self) if isinstance(tag, str) else self


TEXT = Shape()
REFERENCE = Shape(Kind.REFERENCE, keys=Kind.REFERENCE)
BLOB = Shape(Kind.BLOB)
OPAQUE = Shape(Kind.OPAQUE)


def _each(shape: Shape, *names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, shape)


def _opaque(*names: str) -> dict[str, Shape]:
    return _each(OPAQUE, *names)


_FIELDS = {
    **_each(TEXT, "code", "data", "description", "message", "name", "params", "text", "title"),
    **_each(
        TEXT, "arguments", "content", "input", "isError", "required", "size", "structuredContent"
    ),
    **_each(TEXT, "destructiveHint", "idempotentHint", "openWorldHint", "priority", "readOnlyHint"),
    **_each(TEXT, "maxTokens", "metadata", "stopSequences", "systemPrompt", "temperature"),
    **_each(TEXT, "pollInterval", "statusMessage", "ttl", "ttlMs"),
}
"""Fields of MCP objects that may hold text; their names are the protocol's."""


def _object(fields: Mapping[str, Shape]) -> Shape:
    return Shape(fields={**_FIELDS, **fields}, rest=TEXT)


IMPLEMENTATION = _object({"websiteUrl": REFERENCE, **_opaque("name", "version", "icons")})

META = _object(
    {
        "io.modelcontextprotocol/clientInfo": IMPLEMENTATION,
        "io.modelcontextprotocol/serverInfo": IMPLEMENTATION,
        **_opaque(
            "progressToken",
            "traceparent",
            "tracestate",
            "baggage",
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/clientCapabilities",
            "io.modelcontextprotocol/logLevel",
            "io.modelcontextprotocol/related-task",
            "io.modelcontextprotocol/subscriptionId",
        ),
    }
)

_ANNOTATIONS = _object(_opaque("audience", "lastModified"))
_COMMON = {"_meta": META, "annotations": _ANNOTATIONS, "icons": OPAQUE}

RESOURCE = _object({"uri": REFERENCE, "mimeType": OPAQUE, **_COMMON})
TEMPLATE = _object({"uriTemplate": REFERENCE, "mimeType": OPAQUE, **_COMMON})
PROMPT = _object({"name": OPAQUE, "arguments": _object({"name": OPAQUE}), **_COMMON})
CONTENTS = _object({"uri": REFERENCE, "mimeType": OPAQUE, "blob": BLOB, "_meta": META})

_SCHEMA_FIELDS: dict[str, Shape] = {}
SCHEMA = Shape(fields=_SCHEMA_FIELDS, rest=TEXT, keys=Kind.OPAQUE)
_SCHEMA_FIELDS.update(
    {
        **_opaque(
            "$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary"
        ),
        **_opaque("type", "format", "pattern", "contentEncoding", "contentMediaType"),
        **_each(
            Shape(rest=SCHEMA, keys=Kind.REFERENCE),
            *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"),
        ),
        **_each(SCHEMA, "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "contentSchema"),
        **_each(SCHEMA, "prefixItems", "items", "additionalItems", "unevaluatedItems", "contains"),
        **_each(SCHEMA, "additionalProperties", "unevaluatedProperties", "propertyNames"),
        **_each(REFERENCE, "enum", "const", "required", "dependentRequired"),
    }
)

TOOL = _object(
    {"inputSchema": SCHEMA, "outputSchema": SCHEMA, **_opaque("name", "execution"), **_COMMON}
)

_BLOCK_VARIANTS: dict[str, Shape] = {}
BLOCK = Shape(fields={**_FIELDS, "type": OPAQUE, **_COMMON}, rest=TEXT, variants=_BLOCK_VARIANTS)
_BLOCK_VARIANTS.update(
    {
        **_each(_object(_opaque("type", "data", "mimeType") | _COMMON), "image", "audio"),
        "resource": _object({"type": OPAQUE, "resource": CONTENTS, **_COMMON}),
        "resource_link": _object({"type": OPAQUE, **RESOURCE.fields}),
        "tool_use": _object(_opaque("type", "id", "name") | _COMMON),
        "tool_result": _object({"content": BLOCK, **_opaque("type", "toolUseId"), **_COMMON}),
    }
)
MESSAGE = _object({"role": OPAQUE, "content": BLOCK, "_meta": META})

ELICITATION = _object(
    {"requestedSchema": SCHEMA, "url": REFERENCE, "_meta": META, **_opaque("mode", "elicitationId")}
)
_SERVER_PARAMS = _object(
    {
        **ELICITATION.fields,
        "messages": MESSAGE,
        "tools": TOOL,
        **_opaque("includeContext", "modelPreferences", "task", "toolChoice"),
    }
)
_INPUT_REQUESTS = Shape(
    rest=_object({"method": OPAQUE, "params": _SERVER_PARAMS}), keys=Kind.OPAQUE
)
ROOT = _object({"uri": REFERENCE, "_meta": META})
_INPUT_RESPONSE = _object(
    {
        "content": BLOCK,
        "roots": ROOT,
        "_meta": META,
        **_opaque("action", "model", "role", "stopReason"),
    }
)
_INPUT_RESPONSES = Shape(rest=_INPUT_RESPONSE, keys=Kind.OPAQUE)
_TASK = _object(_opaque("taskId", "status", "createdAt", "lastUpdatedAt"))

_IN_REQUESTS = {
    "meta": META,
    "extra": _object({"inputResponses": _INPUT_RESPONSES, **_opaque("requestState", "task")}),
}
_IN_LISTS = {
    "meta": META,
    "extra": _object(_opaque("resultType", "nextCursor", "cacheScope")),
}
_IN_RESULTS = {
    "error": _object({"data": _object({"elicitations": ELICITATION})}),
    "meta": META,
    "extra": _object(
        {
            "inputRequests": _INPUT_REQUESTS,
            "task": _TASK,
            **_opaque("resultType", "requestState", "cacheScope"),
        }
    ),
}

_IN_QUESTIONS = {
    "meta": META,
    "extra": _object(_opaque("task", "toolChoice", "elicitationId")),
}
_IN_ANSWERS = {"meta": META, "extra": _object(_opaque("resultType"))}
_REFERENCE_TO = _object({"uri": REFERENCE, **_opaque("type", "name")})

PAYLOADS: Mapping[type[Payload], Mapping[str, Shape]] = {
    ToolCall: {"arguments": TEXT, **_IN_REQUESTS},
    ToolResult: {"content": BLOCK, "structured_content": TEXT, **_IN_RESULTS},
    ToolList: {"tools": TOOL, **_IN_LISTS},
    PromptFetch: {"arguments": TEXT, **_IN_REQUESTS},
    PromptResult: {"messages": MESSAGE, "description": TEXT, **_IN_RESULTS},
    PromptList: {"prompts": PROMPT, **_IN_LISTS},
    ResourceFetch: {"uri": REFERENCE, **_IN_REQUESTS},
    ResourceResult: {"contents": CONTENTS, **_IN_RESULTS},
    ResourceList: {"resources": RESOURCE, **_IN_LISTS},
    ResourceTemplateList: {"resource_templates": TEMPLATE, **_IN_LISTS},
    ResourceSubscribe: {"uri": REFERENCE, **_IN_REQUESTS},
    CompletionRequest: {
        "ref": _REFERENCE_TO,
        "argument": _object(_opaque("name")),
        "context": TEXT,
        **_IN_REQUESTS,
    },
    CompletionResult: {"completion": _object(_opaque("total", "hasMore")), **_IN_RESULTS},
    SamplingRequest: {
        "messages": MESSAGE,
        "system_prompt": TEXT,
        "tools": TOOL,
        **_opaque("max_tokens", "model_preferences", "include_context"),
        **_IN_QUESTIONS,
    },
    SamplingResult: {
        "content": BLOCK,
        **_opaque("role", "model", "stop_reason"),
        **_IN_ANSWERS,
    },
    ElicitationRequest: {
        "message": TEXT,
        "requested_schema": SCHEMA,
        "url": REFERENCE,
        "mode": OPAQUE,
        **_IN_QUESTIONS,
    },
    ElicitationResult: {"action": OPAQUE, "content": TEXT, **_IN_ANSWERS},
    RootsRequest: _IN_QUESTIONS,
    RootsResult: {"roots": ROOT, **_IN_ANSWERS},
}
"""The parts of each payload, by attribute; names of tools and prompts are no text."""

ENTRIES: Mapping[type[Payload], str] = {
    ToolList: "tools",
    PromptList: "prompts",
    ResourceList: "resources",
    ResourceTemplateList: "resource_templates",
    RootsResult: "roots",
}
"""The attribute of a list that holds its entries."""
