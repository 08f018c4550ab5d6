"""`plugway plugins`, `hooks` and `schema`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugway_hookspecs import Specs

Plugway = Callable[..., Any]

CHAIN = [
    {"name": "last", "kind": "deny_list", "priority": 90, "config": {"tools": ["x"]}},
    {"name": "one", "kind": "pii_filter", "mode": "validate", "priority": 20},
    {"name": "two", "kind": "pii_filter", "mode": "validate", "priority": 20},
    {"name": "first", "kind": "pii_filter", "priority": 10, "when": [{"tools": ["a__*", "!a__b"]}]},
    {"name": "later", "kind": "pii_filter", "mode": "background"},
    {"name": "off", "kind": "pii_filter", "mode": "disabled"},
    {"name": "gone", "kind": "there_is_none", "mode": "audit"},
]


def test_the_chain_is_shown_in_the_order_in_which_it_runs(plugway: Plugway, configure: Any) -> None:
    configure({"plugins": CHAIN})
    done = plugway("plugins")
    assert done.code == 1
    shown = done.out.partition("Not running")[0].splitlines()
    rows = [line.split()[:2] for line in shown if line.startswith("  ")][1:6]
    assert rows == [["1", "first"], ["2∥", "one"], ["2∥", "two"], ["3", "last"], ["after", "later"]]
    assert "tools: a__*, !a__b" in done.out
    assert "gone  plugin kind 'there_is_none': is not installed" in done.out
    assert "Disabled: off" in done.out


def test_chains_as_json(plugway: Plugway, configure: Any) -> None:
    configure({"plugins": CHAIN})
    document = plugway("plugins", "--json").document
    chain = document["chains"]["tool_pre_invoke"]
    assert [link["name"] for link in chain] == ["first", "one", "two", "last", "later"]
    assert [link["concurrent"] for link in chain] == [False, True, True, False, False]
    assert chain[0]["package"].startswith("plugway-builtin-plugins ")
    assert document["problems"][0]["plugin"] == "gone"
    assert document["disabled"] == ["off"]


def test_installed_kinds_are_listed_without_a_configuration(plugway: Plugway, install: Any) -> None:
    install("broken_kind", "import there_is_no_such_module", attribute="X")
    done = plugway("plugins", "--kinds")
    assert done.code == 0
    assert "deny_list" in done.out
    assert "needs the module 'there_is_no_such_module'" in done.out
    kinds = {
        kind["name"]: kind for kind in plugway("plugins", "--kinds", "--json").document["kinds"]
    }
    assert "tool_pre_invoke" in kinds["pii_filter"]["hooks"]
    assert kinds["broken_kind"]["error"]
    assert "host" not in kinds


def test_without_plugins_it_says_so(plugway: Plugway, configure: Any) -> None:
    configure({})
    done = plugway("plugins")
    assert done.code == 0
    assert "No plugin is running" in done.out


def test_hooks_lists_every_hook_of_the_specification(plugway: Plugway) -> None:
    names = [name for name in vars(Specs) if not name.startswith("_")]
    document = plugway("hooks", "--json").document
    assert [hook["name"] for hook in document if not hook["package"]] == names
    assert all(hook["doc"] for hook in document)
    call = next(hook for hook in document if hook["name"] == "tool_pre_invoke")
    expected = "(payload: ToolCall, context: Context) -> ToolCall | Deny | Respond | None"
    assert call["signature"] == expected
    assert call["methods"] == ["tools/call"]
    text = plugway("hooks").out
    assert all(f"\n  {name}" in text for name in names)


def test_the_example_that_hooks_prints_is_a_plugin(plugway: Plugway) -> None:
    text = plugway("hooks").out
    names: dict[str, Any] = {}
    exec(text[text.index("from plugway_hookspecs") :], names)
    assert names["NoDeletes"].tool_pre_invoke


def test_kinds_are_shown_by_their_own_words_and_broken_ones_are_marked(
    plugway: Plugway, configure: Any, install: Any
) -> None:
    source = (
        "from plugway_hookspecs import Plugin, hookimpl\n"
        "class Mute(Plugin):\n"
        "    @hookimpl\n"
        "    def tool_pre_invoke(self): ...\n"
    )
    install("mute_kind", source, attribute="Mute")
    install("broken_kind", "import there_is_no_such_module")
    configure({"plugins": [{"name": "pii", "kind": "pii_filter"}]})
    listed, shown = plugway("plugins", "--kinds").out, plugway("plugins").out
    assert listed.startswith("Installed kinds\n")
    assert "pii_filter" in listed
    assert "pii_filter" not in shown.partition("Installed kinds, not in use\n")[2]
    for text in (listed, shown):
        assert re.search(r"^ +mute_kind +\(mute_kind 1\.0\)$", text, re.MULTILINE)
        assert re.search(r"^  ✗  broken_kind  ", text, re.MULTILINE)
        assert re.search(r"^     deny_list +Denies ", text, re.MULTILINE)


def test_schema_prints_one_document_and_writes_it_to_a_file(plugway: Plugway) -> None:
    document = plugway("schema").document
    assert {"mcpServers", "plugins", "gateway"} <= document["properties"].keys()
    assert plugway("schema", "--json").document == document
    assert plugway("schema", "-o", "s.json", "--json").document == {"file": "s.json"}
    assert json.loads(Path("s.json").read_text()) == document


def test_schema_knows_the_settings_of_installed_kinds(plugway: Plugway) -> None:
    assert "deny_list.config" in plugway("schema", "--kinds").document["$defs"]


def test_hooks_and_plugins_show_what_packages_add(
    plugway: Plugway, configure: Any, install: Any
) -> None:
    install("acme_extension", EXTENSION, attribute="Acme")
    hooks = {hook["name"]: hook for hook in plugway("hooks", "--kinds", "--json").document}
    added = hooks["acme_scored"]
    assert added["signature"] == "(payload: Score, context: Context) -> Score | Deny | None"
    assert (added["doc"], added["methods"]) == ("See a score.", [])
    assert added["package"] == "acme_extension 1.0"
    assert hooks["pii_found"]["package"].startswith("plugway-builtin-plugins ")
    text = plugway("hooks", "--kinds").out
    assert "Added by installed packages" in text
    assert "acme_scored  acme_extension 1.0" in text
    configure({"plugins": [{"name": "a", "kind": "acme_extension"}]})
    document = plugway("plugins", "--json").document
    assert [link["name"] for link in document["chains"]["acme_scored"]] == ["a"]
    assert document["hooks_added"] == {"acme_scored": "acme_extension 1.0"}
    assert document["routes"] == ["/plugins/a/page"]
    text = plugway("plugins").out
    assert "acme_scored  from acme_extension 1.0" in text
    assert "HTTP routes: /plugins/a/page" in text


def test_hooks_warns_of_a_package_whose_hooks_are_broken(plugway: Plugway, install: Any) -> None:
    install(
        "acme_broken",
        "from plugway_hookspecs import hookimpl\n"
        "@hookimpl\ndef register_hooks(registrar):\n    raise RuntimeError('s3cret')\n",
    )
    assert plugway("hooks").err == ""
    done = plugway("hooks", "--kinds")
    assert done.code == 0
    assert "its register_hooks raised RuntimeError" in done.err
    assert "s3cret" not in done.err
    assert "tool_pre_invoke" in done.out


EXTENSION = """
from dataclasses import dataclass
from plugway_hookspecs import Context, Deny, HttpRoute, Payload, Plugin, hookimpl, hookspec

@dataclass(frozen=True, slots=True)
class Score(Payload):
    text: str

class Specs:
    @hookspec
    async def acme_scored(self, payload: Score, context: Context) -> Score | Deny | None:
        "See a score."

class Acme(Plugin):
    @staticmethod
    @hookimpl
    def register_hooks(registrar):
        registrar.add(Specs)

    @hookimpl
    def register_routes(self):
        return [HttpRoute("/page", self.page)]

    @hookimpl
    def acme_scored(self): ...

    async def page(self, request): ...
"""
