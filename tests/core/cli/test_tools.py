"""`plugway tools`: what clients see."""

from collections.abc import Callable
from typing import Any

Plugway = Callable[..., Any]

HIDE = """
from plugway_hookspecs import Plugin, hookimpl

class Hide(Plugin):
    @hookimpl
    def tool_post_list(self, payload):
        return payload.replace(tools=[t for t in payload.tools if "delete" not in t["name"]])
"""


def test_tools_are_listed_with_the_first_line_of_their_description(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": shop}})
    done = plugway("tools")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "shop  7"
    assert "  shop__find     Find a customer." in lines
    assert "This line is not part" not in done.out
    assert "greet" not in done.out


def test_prompts_and_resources_are_listed_on_request(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    configure({"mcpServers": {"shop": shop}})
    document = plugway("tools", "--all", "--json").document
    assert [prompt["name"] for prompt in document["prompts"]] == ["shop__greet"]
    assert [resource["uri"] for resource in document["resources"]] == ["shop+shop://about"]
    assert {tool["server"] for tool in document["tools"]} == {"shop"}
    assert "shop__greet" in plugway("tools", "--prompts").out


def test_what_plugins_hold_back_is_not_listed_but_counted(
    plugway: Plugway, configure: Any, install: Any, shop: dict[str, Any]
) -> None:
    install("hide_plugin", HIDE, kind="hide", attribute="Hide")
    configure({"mcpServers": {"shop": shop}, "plugins": [{"name": "hide", "kind": "hide"}]})
    done = plugway("tools")
    assert "shop__delete" not in done.out
    assert "1 more held back by plugins" in done.out


def test_a_missing_server_is_named_with_the_reason_and_the_others_are_listed(
    plugway: Plugway, configure: Any, shop: dict[str, Any], dying: dict[str, Any]
) -> None:
    configure({"mcpServers": {"dying": dying, "shop": shop}})
    done = plugway("tools")
    assert done.code == 1
    assert "shop__find" in done.out
    assert "✗  dying" in done.out
    missing = plugway("tools", "--json").document["missing"]
    assert [each["server"] for each in missing] == ["dying"]


def test_without_servers_it_says_so(plugway: Plugway, configure: Any) -> None:
    configure({})
    assert plugway("tools").out == "There are no tools.\n"


def test_an_endpoints_tools_are_listed_as_its_clients_see_them(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    virtual = {"v": {"tools": ["shop__*", "!shop__delete*"], "prefix": False}}
    configure({"mcpServers": {"shop": shop, "other": shop}, "virtualServers": virtual})
    done = plugway("tools", "--endpoint", "v")
    assert done.code == 0
    assert done.out.startswith("shop  6\n")
    assert "  find " in done.out
    assert "shop__find" not in done.out
    assert "delete" not in done.out
    document = plugway("tools", "--all", "--endpoint", "other", "--json").document
    assert {tool["server"] for tool in document["tools"]} == {"other"}
    assert [prompt["name"] for prompt in document["prompts"]] == ["other__greet"]


def test_names_that_an_endpoint_can_not_tell_apart_are_reported(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    virtual = {"v": {"servers": ["one", "two"], "prefix": False}}
    configure({"mcpServers": {"one": shop, "two": shop}, "virtualServers": virtual})
    done = plugway("tools", "--endpoint", "v")
    assert done.code == 1
    assert done.out.startswith("one  7\n")
    assert "'find' of 'two' is 'one__find' at the endpoint 'v': give it prefixes" in done.out
    assert "held back" not in done.out


def test_an_endpoint_that_there_is_not_is_refused_with_a_suggestion(
    plugway: Plugway, configure: Any, shop: dict[str, Any]
) -> None:
    hidden = {**shop, "expose": False}
    virtual = {"support": {"servers": ["shop"]}}
    configure({"mcpServers": {"shop": shop, "hidden": hidden}, "virtualServers": virtual})
    for command in (("tools",), ("serve", "--stdio")):
        done = plugway(*command, "--endpoint", "suport")
        assert (done.code, done.out) == (2, "")
        assert "no virtual server 'suport'; did you mean 'support'?" in done.err
        done = plugway(*command, "--endpoint", "hidden")
        assert "the server 'hidden' is not exposed: remove its `expose: false`" in done.err
    done = plugway("serve", "--endpoint", "shop")
    assert (done.code, done.out) == (2, "")
    said = "--endpoint is for --stdio: over HTTP, the endpoint 'shop' is at /mcp/shop"
    assert said in done.err
