"""What hooks see and may replace: immutable payloads in the shape that MCP puts on the wire.

Each payload names the fields that plugins care about and keeps every other field of the wire object
in `extra`, so that nothing is lost on the way through. Containers are frozen when a payload is
made, and fields hold what their annotations say: a plugin that has something else fails at its own
line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from plugway_hookspecs.frozen import EMPTY, FrozenDict, FrozenList, freeze
from plugway_hookspecs.shapes import shapes

NOTHING = FrozenList()
"""What a list holds if a plugin does not say."""
_ABSENT = FrozenList()
"""The items of a message that came without any; it is sent on without any as well."""
FORM = "form"
"""How an elicitation asks if it does not say how."""
_FROZEN = frozenset({str, bool, type(None), FrozenDict, FrozenList})
_new = object.__new__
_set = object.__setattr__


def _says_nothing(attribute: str, value: Any) -> bool:
    """Whether a named field with this value means the same as no field at all."""
    if attribute == "mode":
        return value is None or value == FORM
    return value is None or (value is False and attribute == "is_error")


@dataclass(frozen=True, slots=True)
class Payload:
    """Base of all payloads."""

    WIRE: ClassVar[Mapping[str, str]] = EMPTY
    """Attribute to key on the wire, for the fields that a payload names."""
    ITEMS: ClassVar[str] = ""
    """The attribute with the list that MCP requires, in payloads that have one."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced.

        Raises `TypeError` for unknown fields, `NotJsonError` for what a field can't hold.
        """
        kind: type[Self] = type(self)
        allowed = shapes(kind)
        if "extra" in changes:
            self._refuse_named(changes["extra"])
        copy = _new(kind)
        name: str
        for name in kind.__slots__:
            if name in changes:
                value = changes.pop(name)
                value = value if type(value) in _FROZEN else freeze(value)
                if name in allowed:
                    allowed[name].check(value, name)
                _set(copy, name, value)
            else:
                _set(copy, name, getattr(self, name))
        if changes:
            unknown = ", ".join(map(repr, changes))
            raise TypeError(f"{kind.__name__} has no field {unknown}; it has {kind.__slots__}")
        return copy

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Read a payload from the params or the result of an MCP message.

        Raises `NotJsonError` for what JSON can't carry and what a field can't hold, `TypeError`
        where a required field is missing.
        """
        fields: dict[str, Any] = {}
        named = cls.WIRE
        for attribute, key in named.items():
            value = wire.get(key)
            # what says nothing stays in `extra`, so that it is still there on the way out
            if not _says_nothing(attribute, value):
                fields[attribute] = value
        keys = {named[attribute] for attribute in fields}
        if cls.ITEMS and cls.ITEMS not in fields:
            fields[cls.ITEMS] = _ABSENT
        if len(keys) < len(wire):
            fields["extra"] = {key: value for key, value in wire.items() if key not in keys}
        return cls(**fields)

    def to_wire(self) -> dict[str, Any]:
        """Return the params or result object of the MCP message."""
        wire: dict[str, Any] = dict(self.extra)  # type: ignore[attr-defined]
        for attribute, key in self.WIRE.items():
            value = getattr(self, attribute)
            if not (_says_nothing(attribute, value) or value is EMPTY or value is _ABSENT):
                wire[key] = value
        return wire

    def __post_init__(self) -> None:
        name: str
        allowed = shapes(type(self))
        for name in self.__slots__:
            value: Any = getattr(self, name)
            if type(value) not in _FROZEN:
                value = freeze(value)
                _set(self, name, value)
            if name in allowed:
                allowed[name].check(value, name)
            if name == "extra" and value:
                self._refuse_named(value)

    def _refuse_named(self, extra: Mapping[str, Any]) -> None:
        """Keep fields that other plugins look at out of where they would not look."""
        for attribute, key in self.WIRE.items():
            if not _says_nothing(attribute, extra.get(key)):
                raise TypeError(f"{key!r} does not go into 'extra': set {attribute!r}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class ToolCall(Payload):
    """The params of `tools/call`; `name` is the one that `/mcp` has, such as `crm__lookup`."""

    WIRE = FrozenDict({"name": "name", "arguments": "arguments", "meta": "_meta"})

    name: str
    arguments: Mapping[str, Any] = EMPTY
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ToolResult(Payload):
    """The result of `tools/call`.

    `error` is set instead of the rest when the server answered with a JSON-RPC error
    (`{"code", "message", "data"}`), so that guards see that channel too.
    """

    ITEMS = "content"
    WIRE = FrozenDict(
        {
            "content": "content",
            "structured_content": "structuredContent",
            "is_error": "isError",
            "meta": "_meta",
        }
    )

    content: Sequence[Mapping[str, Any]] = NOTHING
    structured_content: Any = None
    is_error: bool = False
    error: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class PromptFetch(Payload):
    """The params of `prompts/get`."""

    WIRE = FrozenDict({"name": "name", "arguments": "arguments", "meta": "_meta"})

    name: str
    arguments: Mapping[str, Any] = EMPTY
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class PromptResult(Payload):
    """The result of `prompts/get`; `error` as in `ToolResult`."""

    ITEMS = "messages"
    WIRE = FrozenDict({"messages": "messages", "description": "description", "meta": "_meta"})

    messages: Sequence[Mapping[str, Any]] = NOTHING
    description: str | None = None
    error: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ResourceFetch(Payload):
    """The params of `resources/read`; `uri` is the one that `/mcp` has, such as `crm+file:///x`."""

    WIRE = FrozenDict({"uri": "uri", "meta": "_meta"})

    uri: str
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ResourceResult(Payload):
    """The result of `resources/read`; `error` as in `ToolResult`."""

    ITEMS = "contents"
    WIRE = FrozenDict({"contents": "contents", "meta": "_meta"})

    contents: Sequence[Mapping[str, Any]] = NOTHING
    error: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ToolList(Payload):
    """The complete, federated result of `tools/list`, in the names that `/mcp` has."""

    ITEMS = "tools"
    WIRE = FrozenDict({"tools": "tools", "meta": "_meta"})

    tools: Sequence[Mapping[str, Any]] = NOTHING
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class PromptList(Payload):
    """The complete, federated result of `prompts/list`."""

    ITEMS = "prompts"
    WIRE = FrozenDict({"prompts": "prompts", "meta": "_meta"})

    prompts: Sequence[Mapping[str, Any]] = NOTHING
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ResourceList(Payload):
    """The complete, federated result of `resources/list`."""

    ITEMS = "resources"
    WIRE = FrozenDict({"resources": "resources", "meta": "_meta"})

    resources: Sequence[Mapping[str, Any]] = NOTHING
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ResourceTemplateList(Payload):
    """The complete, federated result of `resources/templates/list`."""

    ITEMS = "resource_templates"
    WIRE = FrozenDict({"resource_templates": "resourceTemplates", "meta": "_meta"})

    resource_templates: Sequence[Mapping[str, Any]] = NOTHING
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ResourceSubscribe(Payload):
    """The params of `resources/subscribe`, or one URI of a `subscriptions/listen`."""

    WIRE = FrozenDict({"uri": "uri", "meta": "_meta"})

    uri: str
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class CompletionRequest(Payload):
    """The params of `completion/complete`.

    `ref` is the prompt or resource template, `argument` has `name` and the `value` so far, and
    `context` the arguments that are known already.
    """

    WIRE = FrozenDict({"ref": "ref", "argument": "argument", "context": "context", "meta": "_meta"})

    ref: Mapping[str, Any]
    argument: Mapping[str, Any]
    context: Mapping[str, Any] = EMPTY
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY

    @property
    def of_prompt(self) -> bool:
        """Whether a prompt's argument is completed, and not a template's."""
        return self.ref.get("type") == "ref/prompt"

    @property
    def about(self) -> str:
        """The prompt's name or the template's URI, as `/mcp` has it; empty if there is none."""
        found = self.ref.get("name" if self.of_prompt else "uri")
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class CompletionResult(Payload):
    """The result of `completion/complete`: `completion["values"]`; `error` as in `ToolResult`."""

    WIRE = FrozenDict({"completion": "completion", "meta": "_meta"})

    completion: Mapping[str, Any] = EMPTY
    error: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] = EMPTY
    extra: Mapping[str, Any] = EMPTY
