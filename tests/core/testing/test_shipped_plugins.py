"""Every plugin that we ship keeps the promises of a plugin."""

from typing import Any

import pytest

from plugway.plugins.discovery import discover
from plugway.testing import check_plugin
from plugway_hookspecs import Payload, ResourceFetch, ToolCall, ToolResult

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DEFINITION = {"name": "crm__find", "inputSchema": SCHEMA, "outputSchema": SCHEMA}
MAIL = ToolCall("crm__find", {"who": "ada@example.com", "card": "4111 1111 1111 1111"})
RULES = {"tools": ["*__delete_*"], "resources": ["*secret*"], "words": ["boo"]}
CASES: list[tuple[str, dict[str, Any], list[Payload], dict[str, Any]]] = [
    ("deny_list", RULES, [ToolCall("crm__delete_all"), ResourceFetch("crm+file:///secret")], {}),
    ("pii_filter", {"mask": "partial"}, [MAIL], {}),
    ("pii_filter", {"mask": "block"}, [MAIL], {}),
    ("regex_transform", {"rules": [{"pattern": "(a)(d)", "replace": r"\2\1"}]}, [MAIL], {}),
    ("schema_guard", {}, [ToolCall("crm__find", {"n": 1})], {}),
    ("schema_guard", {}, [ToolResult(structured_content={"n": "x"})], {"definition": DEFINITION}),
    ("stats", {}, [ToolCall("crm__find"), ToolResult()], {}),
    ("result_cache", {"tools": ["crm__find"]}, [ToolCall("crm__find")], {}),
    ("retry", {"codes": [-32050]}, [ToolCall("crm__find")], {}),
]
ELSEWHERE = {"external", "host"}
"""What does nothing but ask a server (its own tests have servers), and what has only commands."""


def test_every_shipped_kind_is_here() -> None:
    assert {name for name, *_ in CASES} | ELSEWHERE == discover().kinds.keys()


@pytest.mark.parametrize(("kind", "config", "payloads", "options"), CASES)
def test_a_shipped_plugin_keeps_its_promises(
    kind: str, config: dict[str, Any], payloads: list[Payload], options: dict[str, Any]
) -> None:
    check_plugin(kind, config=config, payloads=payloads, examples=20, **options)
