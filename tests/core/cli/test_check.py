"""`plugway check`: start everything once and say what is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugway.audit.file import AuditFile
from plugway.config import AuditConfig

Plugway = Callable[..., Any]


def test_all_is_well(plugway: Plugway, configure: Any, stdio_shop: dict[str, Any]) -> None:
    plugins = [{"name": "pii", "kind": "pii_filter"}]
    configure({"mcpServers": {"shop": stdio_shop}, "plugins": plugins})
    done = plugway("check")
    assert (done.code, done.err) == (0, "")
    assert "7 tools, 1 prompt, 1 resource" in done.out
    assert "2026-07-28 modern" in done.out
    assert "All is well." in done.out


def test_a_configuration_that_offers_clients_nothing_is_noted(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    for servers in ({}, {"hidden": {**shop, "expose": False}}):
        configure({"mcpServers": servers})
        done = plugway("check")
        assert done.code == 0
        assert "note: there is no server for clients" in done.out
        assert "All is well." not in done.out


def test_json_has_what_every_server_is_and_offers(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": shop, "hidden": {**shop, "expose": False}}})
    done = plugway("check", "--json")
    assert (done.code, done.err) == (0, "")
    first, second = done.document["servers"]
    assert done.document["ok"]
    assert (first["state"], first["era"], first["transport"]) == ("up", "modern", "http")
    assert first["counts"] == {"tools": 7, "prompts": 1, "resources": 1, "resourceTemplates": 0}
    assert first["connect_ms"] > 0
    assert (second["exposed"], second["counts"]) == (False, {})


def test_a_broken_server_is_shown_with_its_last_words_and_what_helps(
    plugway: Plugway, configure: Any, shop: dict[str, Any], dying: dict[str, Any]
) -> None:
    configure({"mcpServers": {"dying": dying, "shop": shop}})
    done = plugway("check")
    assert done.code == 1
    assert "| ModuleNotFoundError: No module named 'there_is_no_such_module'" in done.out
    assert "try: the Python package with the module 'there_is_no_such_module'" in done.out
    assert "✓  shop" in done.out
    assert "1 thing needs attention." in done.out


def test_names_that_two_servers_claim_are_found(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    bare = {**shop, "prefix": ""}
    configure({"mcpServers": {"one": bare, "two": bare}})
    done = plugway("check", "--json")
    assert done.code == 1
    one, two = done.document["servers"]
    assert one["ok"]
    assert not two["ok"]
    assert "tool 'find' is offered by 'one' and by 'two'" in two["problems"][0]
    assert "(6 more)" in two["problems"][0]


def test_a_plugin_that_can_t_run_is_shown_with_the_reason(plugway: Plugway, configure: Any) -> None:
    plugins = [
        {"name": "guard", "kind": "deny_lst"},
        {"name": "off", "kind": "deny_list", "mode": "disabled"},
    ]
    configure({"plugins": plugins})
    done = plugway("check")
    assert done.code == 1
    assert "did you mean 'deny_list'?" in done.out
    assert "the gateway does not start without it" in done.out
    assert "disabled" in done.out
    document = plugway("check", "--json").document
    assert [(p["name"], p["ok"], p["fatal"]) for p in document["plugins"]] == [
        ("guard", False, True),
        ("off", True, False),
    ]


def test_a_plugin_that_does_not_feel_well_is_shown(
    plugway: Plugway, configure: Any, install: Any
) -> None:
    source = (
        "from plugway_hookspecs import Plugin, hookimpl\n"
        "class Ill(Plugin):\n"
        "    @hookimpl\n"
        "    def tool_pre_invoke(self, payload): ...\n"
        "    @hookimpl\n"
        "    def plugin_health(self): return 'the vault is sealed'\n"
    )
    install("ill_plugin", source, kind="ill", attribute="Ill")
    configure({"plugins": [{"name": "ill", "kind": "ill"}]})
    done = plugway("check")
    assert done.code == 1
    assert "the vault is sealed" in done.out


def test_a_condition_that_never_matches_is_noted(plugway: Plugway, configure: Any) -> None:
    when = [{"tools": ["a", "!a"]}, {"tools": ["b"]}]
    configure({"plugins": [{"name": "pii", "kind": "pii_filter", "when": when}]})
    done = plugway("check")
    assert done.code == 0
    assert "the plugin 'pii' has a condition that never matches" in done.out
    note, _ = plugway("check", "--json").document["notes"]
    assert note.endswith("tools: everything it names is excluded by its own '!' patterns")


def test_every_mistake_of_a_configuration_is_one_line(plugway: Plugway, configure: Any) -> None:
    configure({"mcpServers": {"a": {"comand": "x"}}, "gatway": {}, "plugins": [{"name": "p"}]})
    done = plugway("check", "--json")
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("plugway: plugway.yaml:1: ") for line in lines)


def test_without_a_configuration_it_says_how_to_get_one(plugway: Plugway) -> None:
    done = plugway("check")
    assert (done.code, done.out) == (2, "")
    assert "plugway init" in done.err


def test_a_missing_file_is_named(plugway: Plugway) -> None:
    done = plugway("-c", "gone.yaml", "check")
    assert (done.code, done.out) == (2, "")
    assert done.err == "plugway: gone.yaml: there is no such file\n"


def test_the_environment_may_name_the_configuration(
    plugway: Plugway, configure: Any, monkeypatch: Any
) -> None:
    configure({}).rename("elsewhere.yaml")
    monkeypatch.setenv("PLUGWAY_CONFIG", "elsewhere.yaml")
    assert plugway("check").code == 0


def test_a_program_that_does_not_exist_is_named(plugway: Plugway, configure: Any) -> None:
    configure({"mcpServers": {"x": {"command": f"{sys.executable}-there-is-none"}}})
    done = plugway("check")
    assert done.code == 1
    assert "there-is-none" in done.out


def test_an_audit_file_that_can_not_be_opened_is_shown(
    plugway: Plugway, configure: Any, tmp_path: Path
) -> None:
    configure({"audit": {"file": str(tmp_path / "gone" / "audit.jsonl")}})
    done = plugway("check")
    assert done.code == 1
    assert "plugway.yaml:1: audit.file: " in done.out
    assert "make its folder" in done.out
    assert plugway("check", "--json").document["audit"][0].endswith("make its folder")


def test_looking_at_the_audit_file_neither_makes_nor_locks_it(
    plugway: Plugway, configure: Any, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    configure({"audit": {"file": str(path)}})
    assert plugway("check").code == 0
    assert not path.exists()
    file = AuditFile(path, AuditConfig(file=path))
    assert plugway("check").code == 0
    file.close()


def test_virtual_servers_are_counted_and_what_they_can_not_offer_is_told(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    virtual = {
        "good": {"tools": ["one__*", "!one__delete*"], "resources": ["one+shop://*"]},
        "odd": {"tools": ["one__find", "!one__delte*"]},
        "bad": {"servers": ["one", "two"], "prefix": False},
    }
    configure({"mcpServers": {"one": shop, "two": shop}, "virtualServers": virtual})
    done = plugway("check")
    assert done.code == 1
    assert "Virtual servers" in done.out
    assert "tools: '!one__delte*' matches nothing that is listed now" in done.out
    assert "'find' of 'two' is 'one__find' at the endpoint 'bad': give it prefixes" in done.out
    assert "1 thing needs attention." in done.out
    good, odd, bad = plugway("check", "--json").document["virtual_servers"]
    counts = {"tools": 6, "prompts": 0, "resources": 1, "resourceTemplates": 0}
    assert good == {
        "name": "good",
        "ok": True,
        "servers": ["one"],
        "counts": counts,
        "problems": [],
        "doubts": [],
    }
    assert (odd["ok"], odd["counts"]["tools"], len(odd["doubts"])) == (True, 1, 1)
    assert (bad["ok"], bad["servers"], bad["counts"]["tools"]) == (False, ["one", "two"], 7)
