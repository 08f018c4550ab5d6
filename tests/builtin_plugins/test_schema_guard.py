import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugway_builtin_plugins.schema_guard import SchemaGuard, compiler, cost
from plugway_hookspecs import (
    Context,
    Deny,
    Operation,
    Scope,
    ToolCall,
    ToolResult,
    freeze,
)

OBJECT = {"type": "object"}


def make(**config: Any) -> SchemaGuard:
    return SchemaGuard(SchemaGuard.Config.model_validate(config), name="guard")


def ask(
    plugin: SchemaGuard, payload: ToolCall | ToolResult, definition: Any = None
) -> tuple[Deny | None, dict[str, Any]]:
    frozen = None if definition is None else freeze(definition)
    operation = Operation(id="1", method="tools/call", name="crm__find", definition=frozen)
    context = Context(operation, Scope("guard"))
    if isinstance(payload, ToolCall):
        answer = plugin.tool_pre_invoke(payload, context)
    else:
        answer = plugin.tool_post_invoke(payload, context)
    return answer, {finding.key: finding.value for finding in operation.findings}


def call(schema: Any, arguments: Any, **config: Any) -> Deny | None:
    plugin = make(**config)
    return ask(plugin, ToolCall("crm__find", arguments), {"inputSchema": schema})[0]


def answer(schema: Any, result: ToolResult, **config: Any) -> Deny | None:
    return ask(make(**config), result, {"inputSchema": OBJECT, "outputSchema": schema})[0]


def errors(deny: Deny | None) -> list[str]:
    assert deny is not None
    found: list[str] = deny.details["errors"]
    return found


SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "where": {"$ref": "#/$defs/place"},
    },
    "required": ["count"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"zip": {"pattern": "^[0-9]{5}$"}}}},
}


def test_valid_arguments_pass_without_a_word() -> None:
    arguments = {"count": 3, "tags": ["a", "b"], "where": {"zip": "12345"}}
    plugin = make()
    found = ask(plugin, ToolCall("crm__find", arguments), {"inputSchema": SCHEMA})
    assert found == (None, {})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"count": "3"}, 'arguments.count: value is not of type "integer"'),
        ({"count": 0}, "arguments.count: value is less than the minimum of 1"),
        ({}, 'arguments: "count" is a required property'),
        ({"count": 1, "tags": ["a", 2]}, 'arguments.tags[1]: value is not of type "string"'),
        ({"count": 1, "tags": ["a", "a"]}, "arguments.tags: value has non-unique elements"),
        (
            {"count": 1, "where": {"zip": "x"}},
            'arguments.where.zip: value does not match "^[0-9]{5}$"',
        ),
        (
            {"count": 1, "odd": 1},
            "arguments: Additional properties are not allowed ('odd' was unexpected)",
        ),
    ],
)
def test_invalid_arguments_are_denied_with_the_place(arguments: dict[str, Any], error: str) -> None:
    deny = call(SCHEMA, arguments)
    assert deny is not None
    assert (deny.code, deny.mcp_error_code) == ("invalid_arguments", -32602)
    assert deny.reason == f"arguments of 'crm__find' are not valid: {error}"
    assert errors(deny) == [error]


def test_arguments_that_were_left_out_are_an_empty_object() -> None:
    plugin = make()
    deny, _ = ask(plugin, ToolCall("crm__find"), {"inputSchema": SCHEMA})
    assert errors(deny) == ['arguments: "count" is a required property']


def test_values_are_not_repeated_and_errors_are_bounded() -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}, "b": {"enum": ["x" * 500]}}}
    deny = call(schema, {"a": ["secret"] * 20, "b": "secret"}, max_errors=3)
    assert deny is not None
    assert len(errors(deny)) == 3
    assert "secret" not in str(deny)
    assert all(len(error) <= 160 for error in errors(call(schema, {"b": "y"})))


def test_structured_results_are_checked() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert answer(schema, ToolResult(structured_content={"n": 1})) is None
    deny = answer(schema, ToolResult(structured_content={"n": "1"}))
    assert deny is not None
    assert deny.code == "invalid_result"
    assert errors(deny) == ['structuredContent.n: value is not of type "integer"']


def test_a_result_without_the_structured_content_it_owes_is_denied() -> None:
    deny = answer(OBJECT, ToolResult(content=[{"type": "text", "text": "{}"}]))
    assert deny is not None
    assert deny.code == "invalid_result"
    assert "structuredContent: is missing" in deny.reason


@pytest.mark.parametrize(
    "result",
    [
        ToolResult(content=[{"type": "text", "text": "no"}], is_error=True),
        ToolResult(error={"code": -1, "message": "no"}),
        ToolResult(extra={"resultType": "input_required", "requestState": "s"}),
        ToolResult(extra={"resultType": "task", "taskId": "1"}),
        ToolResult(extra={"task": {"taskId": "1", "status": "working"}}),
    ],
)
def test_errors_questions_and_running_tasks_owe_no_structured_content(result: ToolResult) -> None:
    assert answer(OBJECT, result) is None


@pytest.mark.parametrize("value", [False, None, 0, "", [], {}, "text", [1]])
def test_any_json_value_may_be_structured_content(value: Any) -> None:
    result = ToolResult.from_wire({"content": [], "structuredContent": value})
    assert answer({"enum": [value]}, result) is None
    assert answer({"not": {"enum": [value]}}, result) is not None


@pytest.mark.parametrize("definition", [None, {"name": "t"}, {"inputSchema": None}])
def test_what_has_no_schema_passes_on_record_or_is_denied(definition: Any) -> None:
    for payload, side, keyword in (
        (ToolCall("t"), "arguments", "inputSchema"),
        (ToolResult(structured_content=1), "results", "outputSchema"),
    ):
        deny, record = ask(make(), payload, definition)
        assert deny is None
        assert record == {"unchecked": f"{side}: the tool has no {keyword}"}
        deny, record = ask(make(require_schema=True), payload, definition)
        assert deny is not None
        assert deny.code == "no_schema"
        assert keyword in deny.reason


def test_one_side_can_be_checked_alone() -> None:
    definition = {"inputSchema": False, "outputSchema": False}
    result = ToolResult(structured_content=1)
    assert ask(make(check=["results"]), ToolCall("t"), definition) == (None, {})
    assert ask(make(check=["results"]), result, definition)[0] is not None
    assert ask(make(check=["arguments"]), result, definition) == (None, {})
    assert ask(make(check=["arguments"]), ToolCall("t"), definition)[0] is not None


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"type": "objekt"}, "type"),
        ({"properties": {"a": {"minimum": "x"}}}, "properties.a.minimum"),
        ({"pattern": "("}, "pattern"),
        ({"$schema": "https://example.com/mine"}, "meta-schema"),
        ({"$ref": "https://example.com/x.json"}, "'https://example.com/x.json' leads outside"),
        ({"$ref": "file:///etc/passwd"}, "leads outside"),
        ({"$ref": "other.json"}, "leads outside"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#none"}, "leads nowhere"),
        ({"$ref": 5}, "no text"),
        ({"$ref": "#"}, "refers to itself"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}, "itself"),
        ("text", ""),
        ([], ""),
        (7, ""),
    ],
)
def test_a_schema_that_can_not_be_used_is_denied_or_ignored(schema: Any, wrong: str) -> None:
    deny = call(schema, {"x": 1})
    assert deny is not None
    assert deny.code == "bad_schema"
    assert deny.reason == "the inputSchema of 'crm__find' can't be used"
    assert wrong in deny.description
    ignoring = make(on_bad_schema="ignore")
    found, record = ask(ignoring, ToolCall("t", {"x": 1}), {"inputSchema": schema})
    assert found is None
    assert wrong in record["bad_schema"]


def test_a_schema_that_is_too_large_is_not_used() -> None:
    schema = {"description": "x" * 1000}
    deny = call(schema, {}, max_schema_bytes=500)
    assert deny is not None
    assert "max_schema_bytes" in deny.description


def test_a_schema_that_nests_too_deep_is_not_used() -> None:
    schema: Any = {}
    for _ in range(40):
        schema = {"properties": {"a": schema}}
    deny = call(schema, {})
    assert deny is not None
    assert "nests deeper" in deny.description


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_nothing_is_fetched_from_the_network(requests: tuple[str, list[str]]) -> None:
    base, asked = requests
    for schema in (
        {"$ref": f"{base}/a.json"},
        {"$id": f"{base}/root.json", "$ref": "b.json"},
        {"$schema": f"{base}/c.json"},
        {"$dynamicRef": f"{base}/d.json"},
        {"properties": {"x": {"$id": f"{base}/sub/", "items": {"$ref": "e.json#/x"}}}},
    ):
        assert call(schema, {"x": [1]}) is not None
    assert asked == []


def test_nothing_is_read_from_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text("{}")
    for reference in (file.as_uri(), str(file)):
        deny = call({"$ref": reference}, {})
        assert deny is not None
        assert "leads outside" in deny.description


def test_references_inside_a_schema_work() -> None:
    schema = {
        "$id": "https://example.com/root.json",
        "properties": {
            "pointer": {"$ref": "#/$defs/a~1b%25"},
            "anchor": {"$ref": "#num"},
            "by_id": {"$ref": "sub.json"},
            "inside": {"$ref": "https://example.com/sub.json#/$defs/n"},
            "item": {"$ref": "#/properties/list/prefixItems/0"},
            "list": {"prefixItems": [{"type": "integer"}]},
            "schema": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        },
        "$defs": {
            "a/b%": {"type": "integer"},
            "n": {"$anchor": "num", "type": "integer"},
            "sub": {"$id": "sub.json", "$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}},
        },
    }
    names = ("pointer", "anchor", "by_id", "inside", "item")
    assert call(schema, {**dict.fromkeys(names, 1), "list": [1], "schema": {}}) is None
    for name in names:
        assert errors(call(schema, {name: "x"})) == [
            f'arguments.{name}: value is not of type "integer"'
        ]
    assert call(schema, {"schema": {"type": "nonsense"}}) is not None


def test_the_dialect_of_a_schema_is_honoured() -> None:
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}
    schema = {**old, "properties": {"x": {"items": [{"type": "integer"}]}}}
    assert call(schema, {"x": ["a"]}) is not None
    assert call(schema, {"x": [1]}) is None


LOOKAHEAD = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$"


def test_patterns_with_lookaround_work() -> None:
    schema = {"properties": {"mail": {"pattern": LOOKAHEAD}}}
    long = "john.o'reilly+with-a-rather-long.local-part@some.quite.long.example.co.uk"
    assert call(schema, {"mail": long}) is None
    assert call(schema, {"mail": "a..b@example.com"}) is not None


def test_only_texts_that_such_patterns_read_have_to_be_short() -> None:
    schema = {"properties": {"mail": {"pattern": LOOKAHEAD}, "body": {"type": "string"}}}
    long = "a" * 1_000_000
    assert call(schema, {"mail": "a@b.io", "body": long}) is None
    assert errors(call(schema, {"mail": long}))[0].endswith("to be checked")
    linear = {"properties": {"mail": {"pattern": "^(a|b)+$"}}}
    assert call(linear, {"mail": long}) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "(x+x+)+y",
        r"^(?=(a+)+$)b",
        r"^(a+)+\1$",
        r"(?=.*x)(?=.*y).*(.*)(.*)\1\2q",
        r"(?:(?=.*q)x|.)*\z(?!)",
    ],
)
@pytest.mark.parametrize("length", [100, 10_000, 1_000_000])
def test_a_hostile_pattern_does_not_hang(pattern: str, length: int) -> None:
    schema = {
        "properties": {"x": {"pattern": pattern}},
        "patternProperties": {pattern: {"type": "integer"}},
        "propertyNames": {"pattern": pattern},
    }
    assert call(schema, {"x": "a" * length + "!", "a" * length + "!": "x"}) is not None


def test_what_doubles_with_every_reference_is_refused() -> None:
    definitions: dict[str, Any] = {
        f"a{level}": {"anyOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(25)
    }
    schema = {"$ref": "#/$defs/a0", "$defs": {**definitions, "a25": {"type": "string"}}}
    deny = call(schema, {"x": 1})
    assert deny is not None
    assert deny.code == "bad_schema"
    assert deny.description == "it applies more than 2000 schemas to one value"


def variants(*keys: str) -> dict[str, Any]:
    """A schema whose validation doubles with every level of nesting."""
    inside = {"anyOf": [{"$ref": "#/$defs/v0"}, {"$ref": "#/$defs/v1"}]}
    return {
        "$defs": {
            f"v{number}": {
                "properties": dict.fromkeys(keys, inside),
                "required": list(keys),
                "maxProperties": 5 + number,
            }
            for number in range(2)
        },
        **inside,
    }


def nested(key: str, levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {key: value}
    return value


def test_what_doubles_with_every_level_is_checked_only_as_deep_as_that_is_affordable() -> None:
    schema = variants("a")
    assert "anyOf" in errors(call(schema, nested("a", 4)))[0]
    assert errors(call(schema, nested("a", 16)))[0].endswith("too large to say where")
    assert errors(call(schema, nested("a", 100)))[0].endswith("too deeply nested to be checked")


def test_what_one_caller_sends_does_not_spoil_a_schema_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost, "MAX_REMEMBERED", 60)
    plugin, definition = make(), {"inputSchema": variants("a")}
    for levels, said in ((2, "anyOf"), (15, "deeply nested"), (2, "anyOf"), (15, "deeply nested")):
        deny, _ = ask(plugin, ToolCall("t", nested("a", levels)), definition)
        assert said in errors(deny)[0]


def test_a_schema_with_more_combinations_than_are_remembered_is_not_affordable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost, "MAX_REMEMBERED", 1)
    assert errors(call(variants("a"), {}))[0].endswith("to be checked")


def test_deep_and_large_recursive_values_are_checked() -> None:
    tree = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "additionalProperties": False,
            }
        },
        "properties": {"root": {"$ref": "#/$defs/node"}},
    }

    def grow(levels: int, width: int) -> dict[str, Any]:
        children = [grow(levels - 1, width) for _ in range(width)] if levels else []
        return {"value": 1, "children": children}

    assert call(tree, {"root": grow(5, 5)}) is None
    assert call(tree, {"root": grow(50, 1)}) is None
    bad = grow(50, 1)
    bad["odd"] = 1
    assert errors(call(tree, {"root": bad}))[0].startswith("arguments.root: Additional properties")


def test_a_large_list_of_wrong_items_is_denied_without_listing_them_all() -> None:
    schema = {"properties": {"rows": {"items": {"type": "string"}}}}
    assert len(errors(call(schema, {"rows": [1] * 1000}))) == 5
    assert errors(call(schema, {"rows": [1] * 100_000})) == [
        "arguments: does not match the schema, and is too large to say where"
    ]


def test_half_a_character_is_an_error_and_no_crash() -> None:
    schema = {"properties": {"x": {"pattern": "^a"}}}
    assert "lone surrogate" in errors(call(schema, {"x": "\ud800"}))[0]
    assert call({"description": "\ud800"}, {}) is not None


def test_formats_are_checked_on_request() -> None:
    schema = {"properties": {"x": {"type": "string", "format": "ipv4"}}}
    assert call(schema, {"x": "nonsense"}) is None
    assert call(schema, {"x": "nonsense"}, formats=True) is not None
    assert call(schema, {"x": "10.0.0.1"}, formats=True) is None


@pytest.mark.parametrize("schema", [True, False])
def test_schemas_may_be_booleans(schema: bool) -> None:
    assert (call(schema, {"x": 1}) is None) == schema


def test_a_schema_is_compiled_once_per_object_and_per_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Any] = []
    compile_schema = jsonschema_rs.validator_for

    def counting(schema: Any, **options: Any) -> Any:
        compiled.append(schema)
        return compile_schema(schema, **options)

    monkeypatch.setattr(compiler, "validator_for", counting)
    plugin, call = make(), ToolCall("t", {"count": 1})
    definition = freeze({"inputSchema": SCHEMA})
    for _ in range(3):
        assert ask(plugin, call, definition)[0] is None
        assert ask(plugin, call, json.loads(json.dumps(definition)))[0] is None
    assert len(compiled) == 1


def test_a_changed_definition_is_compiled_anew() -> None:
    plugin, call = make(), ToolCall("t", {"x": "text"})
    for kind, valid in (("string", True), ("integer", False)) * 2:
        definition = {"inputSchema": {"properties": {"x": {"type": kind}}}}
        assert (ask(plugin, call, definition)[0] is None) == valid


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
).filter(lambda value: "inf" not in str(value).lower())


def shape_of(value: Any) -> Any:
    """Return a schema that a value matches and little else does."""
    kind: type[Any] = value.__class__
    if kind is dict:
        return {
            "type": "object",
            "properties": {key: shape_of(item) for key, item in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    if kind is list:
        items = {"prefixItems": [shape_of(item) for item in value]} if value else {}
        return {"type": "array", "maxItems": len(value), **items}
    return {"const": value}


@given(value=st.dictionaries(st.text(), json_values, max_size=3))
def test_frozen_values_are_checked_like_plain_ones(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    schema = shape_of(value)
    assert call(schema, value) is None
    assert errors(call(schema, {**value, "odd one": 1}))[0].startswith("arguments: Additional")


@pytest.mark.parametrize(
    "config",
    [
        {"check": []},
        {"check": ["prompts"]},
        {"on_bad_schema": "shrug"},
        {"max_errors": 0},
        {"x": 1},
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SchemaGuard.Config.model_validate(config)
