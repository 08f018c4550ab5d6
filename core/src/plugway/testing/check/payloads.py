"""Payloads as the world sends them: any Unicode, nulls, deep nesting, unknown types, errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from hypothesis import strategies as st

from plugway.jsonvalues import is_array, is_object
from plugway.methods import ASKS, EXCHANGES, FETCHES
from plugway_hookspecs import (
    Client,
    ElicitationResult,
    Payload,
    Principal,
    SamplingRequest,
    SamplingResult,
)

Strategy = st.SearchStrategy[Any]

SECRET = "tok_5d1a9e0f3b7c"  # noqa: S105 - looks like one, so that a leak can be told
"""Stands in payloads and headers, and must not be printed or logged."""

_MISSING = object()
_DEPTH = 60
"""Levels of nesting that are tried; payloads have up to 128."""


class Payloads:
    """Strategies for payloads and contexts that know some words a plugin may react to."""

    def __init__(self, words: Sequence[str]) -> None:
        """Mix `words` into all texts."""
        self.text = st.text(max_size=12) | st.sampled_from(["", *words, SECRET])
        scalars = (
            st.none()
            | st.booleans()
            | st.integers(-(2**80), 2**80)
            | st.floats(allow_nan=False, allow_infinity=False)
            | self.text
        )
        inner = st.recursive(
            scalars, lambda each: st.lists(each, max_size=3) | self._object(each), max_leaves=6
        )
        self.json = inner | st.builds(_nested, st.integers(2, _DEPTH), scalars)
        self.object = self._object(self.json)
        self._fields = self._known_fields()
        self._special = self._special_fields()

    def of(self, kind: type[Payload]) -> Strategy:
        """Return payloads of a kind; what the kind does not require may be missing."""
        required: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        for field in fields(kind):
            into = required if field.default is MISSING else optional
            usual = self._fields.get(field.name, self.json)
            into[field.name] = self._special.get((kind, field.name), usual)
        return _some(required, optional).map(lambda f: kind(**f))

    def contexts(self, kind: type[Payload]) -> Strategy:
        """Return `CallOptions` for calls with this kind of payload."""
        request = request_of(kind)
        optional: dict[str, Strategy] = {
            "principal": st.builds(Principal, self.text, self.text, claims=self.object),
            "client": st.just(Client("test", "1", "2025-11-25", "http")),
            "headers": st.just({"authorization": f"Bearer {SECRET}"}),
            "server": st.sampled_from(["crm", ""]),
            "definition": self._definition(),
        }
        if request is not None:
            optional["request"] = self.of(request)
        if any(kind in {ask.request, ask.result} for ask in ASKS.values()):
            calls = [fetch.request for fetch in FETCHES.values()]
            optional["during"] = st.one_of([self.of(call) for call in calls])
        return _some({}, optional)

    def _object(self, values: Strategy) -> Strategy:
        return st.dictionaries(self.text, values, max_size=3)

    def _objects(self, **keys: Strategy) -> Strategy:
        """Return lists of objects with some of the keys, and with keys that nobody knows."""
        one = _some({}, {**keys, "x-unknown": self.json})
        return st.lists(one, max_size=3)

    def _known_fields(self) -> dict[str, Strategy]:
        text, json = self.text, self.json
        schema = self._schema()
        media = st.sampled_from(["text/plain", "image/png", "application/json", ""]) | text
        contents = self._objects(uri=text, text=text, blob=st.just("aGVsbG8="), mimeType=media)
        kinds = st.sampled_from(["text", "image", "audio", "resource", "resource_link", "x-new"])
        embedded = _some({"uri": text}, {"text": text, "mimeType": media})
        block = {"type": kinds, "text": text, "data": st.just("aGVsbG8="), "mimeType": media}
        blocks = self._objects(**block, resource=embedded, uri=text, annotations=json)
        content = blocks | blocks.map(_first)
        named = {"name": text, "title": text, "description": text, "_meta": json}
        error = _some({"code": st.integers(), "message": text}, {"data": json})
        asked = st.just({"resultType": "input_required", "inputRequests": {"1": {"method": "x"}}})
        return {
            "name": text,
            "uri": text | text.map("file:///{}".format),
            "arguments": self.object,
            "meta": self.object,
            "extra": st.dictionaries(st.sampled_from(["x", "y"]), json) | asked,
            "content": blocks,
            "structured_content": json,
            "is_error": st.booleans(),
            "error": st.none() | error,
            "messages": self._objects(role=st.sampled_from(["user", "x"]), content=content),
            "description": st.none() | text,
            "contents": contents,
            "tools": self._objects(**named, inputSchema=schema, outputSchema=schema),
            "prompts": self._objects(**named, arguments=self._objects(name=text)),
            "resources": self._objects(**named, uri=text, mimeType=media, size=st.integers()),
            "resource_templates": self._objects(**named, uriTemplate=text, mimeType=media),
            **self._fields_of_questions(),
        }

    def _fields_of_questions(self) -> dict[str, Strategy]:
        text = self.text
        names = st.sampled_from(["ref/prompt", "ref/resource"])
        values = _some({"values": st.lists(text, max_size=3)}, {"total": st.integers()})
        return {
            "ref": _some({"type": names}, {"name": text, "uri": text}) | self.object,
            "argument": _some({"name": text, "value": text}, {}) | self.object,
            "context": _some({}, {"arguments": self.object, "x-unknown": self.json}),
            "completion": values | self.object,
            "system_prompt": st.none() | text,
            "max_tokens": st.none() | st.integers(),
            "model_preferences": self.object,
            "include_context": st.none() | text,
            "role": st.sampled_from(["assistant", "user"]) | text,
            "model": text,
            "stop_reason": st.none() | text,
            "message": text,
            "mode": st.sampled_from(["form", "url"]) | text,
            "requested_schema": st.none() | _some({}, {"properties": self.object}) | self.object,
            "url": st.none() | text.map("https://{}".format),
            "action": st.sampled_from(["accept", "decline", "cancel"]) | text,
            "roots": self._objects(uri=text.map("file:///{}".format), name=text),
        }

    def _special_fields(self) -> dict[tuple[type[Payload], str], Strategy]:
        """Return what fields hold that other payloads have as well."""
        block = self._fields["content"].map(_first)
        return {
            (ElicitationResult, "content"): st.none() | self.object,
            (SamplingResult, "content"): self._fields["content"] | block,
            (SamplingRequest, "tools"): st.none() | self._fields["tools"],
        }

    def _schema(self) -> Strategy:
        typed = st.builds(
            dict[str, str], type=st.sampled_from(["string", "integer", "object", "x"])
        )
        return self.json | st.builds(_object_schema, st.dictionaries(self.text, typed, max_size=2))

    def _definition(self) -> Strategy:
        schema = self._schema()
        return _some({"name": self.text}, {"inputSchema": schema, "outputSchema": schema})


def words(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON value or a payload."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Payload):
        yield from words([getattr(value, field.name) for field in fields(value)])
    elif is_object(value):
        for key, item in value.items():
            yield from (key, *words(item))
    elif is_array(value):
        for item in value:
            yield from words(item)


def _some(required: Mapping[str, Strategy], optional: Mapping[str, Strategy]) -> Strategy:
    """Return objects with all required keys and some others; smaller ones have fewer."""
    maybe = {key: st.just(_MISSING) | values for key, values in optional.items()}
    return st.fixed_dictionaries({**required, **maybe}).map(_without_missing)


def _without_missing(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not _MISSING}


def _first(items: list[Any]) -> Any:
    return items[0] if items else {}


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _nested(depth: int, value: Any) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def request_of(kind: type[Payload]) -> type[Payload] | None:
    """Return the kind of request that a kind of result answers."""
    return next((each.request for each in EXCHANGES if each.result is kind), None)


def plainest(kind: type[Payload]) -> Payload:
    """Return a payload of a kind with nothing in it but what there must be."""
    return kind(**{f.name: _PLAIN[f.name] for f in fields(kind) if f.default is MISSING})


_PLAIN: Mapping[str, Any] = {"action": "cancel", "content": {}, "model": "", "role": "assistant"}
