"""What hooks see of the questions that servers ask clients, and of the answers.

Pushed as requests until 2025-11-25, within `input_required` since 2026-07-28: here it is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plugway_hookspecs.frozen import EMPTY, FrozenDict
from plugway_hookspecs.payloads import FORM, NOTHING, Payload


@dataclass(frozen=True, slots=True)
class SamplingRequest(Payload):
    """The params of `sampling/createMessage`: a server asks for the client's model."""

    ITEMS = "messages"
    WIRE = FrozenDict(
        {
            "messages": "messages",
            "system_prompt": "systemPrompt",
            "max_tokens": "maxTokens",
            "model_preferences": "modelPreferences",
            "include_context": "includeContext",
            "tools": "tools",
            "meta": "_meta",
        }
    )

    messages: Sequence[Mapping[str, Any]] = NOTHING
    system_prompt: str | None = None
    max_tokens: int | None = None
    model_preferences: Mapping[str, Any] = EMPTY
    include_context: str | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class SamplingResult(Payload):
    """What the client's model said; `content` is one block or, since 2025-11-25, maybe a list."""

    WIRE = FrozenDict(
        {
            "role": "role",
            "content": "content",
            "model": "model",
            "stop_reason": "stopReason",
            "meta": "_meta",
        }
    )

    role: str
    content: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    model: str
    stop_reason: str | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ElicitationRequest(Payload):
    """The params of `elicitation/create`: a server asks the user.

    In mode `form` for an object of `requested_schema`, in mode `url` to visit `url`.
    """

    WIRE = FrozenDict(
        {
            "message": "message",
            "mode": "mode",
            "requested_schema": "requestedSchema",
            "url": "url",
            "meta": "_meta",
        }
    )

    message: str
    mode: str = FORM
    requested_schema: Mapping[str, Any] | None = None
    url: str | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ElicitationResult(Payload):
    """What the user did: `action` is `accept`, with the form's `content`, `decline` or `cancel`."""

    WIRE = FrozenDict({"action": "action", "content": "content", "meta": "_meta"})

    action: str
    content: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class RootsRequest(Payload):
    """The params of `roots/list`: a server asks which folders it may work in."""

    WIRE = FrozenDict({"meta": "_meta"})

    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class RootsResult(Payload):
    """The client's `roots`."""

    ITEMS = "roots"
    WIRE = FrozenDict({"roots": "roots", "meta": "_meta"})

    roots: Sequence[Mapping[str, Any]] = NOTHING
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY
