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
