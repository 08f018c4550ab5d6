"""`plugway call`, `prompt` and `read`: one request through the whole gateway."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Plugway = Callable[..., Any]

GUARDS = """
from plugway_hookspecs import Deny, Plugin, Respond, ToolResult, hookimpl


class Upper(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload, context):
        name = payload.arguments.get("name")
        context.annotate("seen", name)
        if name is not None:
            return payload.replace(arguments={**payload.arguments, "name": name.upper()})

    @hookimpl
    def tool_post_invoke(self, payload, context):
        return payload.replace(content=[*payload.content, {"type": "text", "text": "signed"}])


class Refuse(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload):
        details = {"until": 9}
        return Deny("not today", code="closed", description="the shop is shut", details=details)


class Answer(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload):
        return Respond(ToolResult(content=[{"type": "text", "text": "from memory"}]))


class Broken(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload):
        raise ValueError("secret in the text")
"""


@pytest.fixture
def gateway(
    install: Callable[..., Path], configure: Callable[..., Path], shop: dict[str, Any]
) -> Callable[..., None]:
    """Configure the shop, and plugins given as `name=entry`, out of the kinds above."""

    def configured(**plugins: dict[str, Any]) -> None:
        entries: list[dict[str, Any]] = []
        for name, entry in plugins.items():
            kind = entry.pop("kind")
            if not Path(f"../site-guards_{kind.lower()}").exists():
                install(f"guards_{kind.lower()}", GUARDS, kind=kind.lower(), attribute=kind)
            entries.append({"name": name, "kind": kind.lower(), **entry})
        configure({"mcpServers": {"shop": shop}, "plugins": entries})

    return configured


def test_a_call_prints_what_the_tool_answers(plugway: Plugway, gateway: Any) -> None:
    gateway()
    done = plugway("call", "shop__delete", "-a", "number=7")
    assert (done.code, done.out, done.err) == (0, "7 deleted\n", "")


def test_arguments_come_as_json_from_a_file_from_standard_input_and_one_by_one(
    plugway: Plugway, process: Plugway, gateway: Any
) -> None:
    gateway()
    Path("args.json").write_text('{"number": 2}')
    assert plugway("call", "shop__delete", "--args", '{"number": 1}').out == "1 deleted\n"
    assert plugway("call", "shop__delete", "--args", "@args.json").out == "2 deleted\n"
    given = ["call", "shop__delete", "--args", "@args.json", "-a", "number=3"]
    assert plugway(*given).out == "3 deleted\n"
    done = process("call", "shop__delete", "--args", "@-", text='{"number": 4}')
    assert (done.code, done.out) == (0, "4 deleted\n")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--args", "{"], "--args is not JSON"),
        (["--args", "[1]"], "--args must be a JSON object"),
        (["-a", "number"], "-a takes key=value, not 'number'"),
    ],
)
def test_arguments_that_can_t_be_read_are_usage_errors(
    plugway: Plugway, gateway: Any, given: list[str], sentence: str
) -> None:
    gateway()
    done = plugway("call", "shop__delete", *given)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


def test_an_unknown_tool_is_a_usage_error_that_names_the_nearest(
    plugway: Plugway, gateway: Any
) -> None:
    gateway()
    done = plugway("call", "find")
    assert (done.code, done.out) == (2, "")
    assert done.err == "plugway: there is no tool 'find'; did you mean 'shop__find'?\n"


def test_a_tool_that_fails_exits_with_1_and_says_why(plugway: Plugway, gateway: Any) -> None:
    gateway()
    done = plugway("call", "shop__fail")
    assert done.code == 1
    assert done.out == "Error executing tool fail\n"


def test_what_would_steer_the_terminal_is_made_harmless(plugway: Plugway, gateway: Any) -> None:
    gateway()
    done = plugway("call", "shop__steer")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert done.out.startswith("before")


def test_a_server_that_can_t_be_started_is_one_sentence(
    plugway: Plugway, configure: Any, dying: Any
) -> None:
    configure({"mcpServers": {"dying": dying}})
    done = plugway("call", "dying__any")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("plugway: server 'dying'")
    assert "there_is_no_such_module" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_denied_call_exits_with_3_and_tells_the_operator_everything(
    plugway: Plugway, gateway: Any
) -> None:
    gateway(guard={"kind": "Refuse"})
    done = plugway("call", "shop__delete", "-a", "number=1")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [
        "plugway: denied by 'guard' in tool_pre_invoke: not today",
        "  code: closed",
        "  the shop is shut",
        "  until: 9",
    ]


def test_a_plugin_that_fails_denies_without_telling_the_exception_s_text(
    plugway: Plugway, gateway: Any
) -> None:
    gateway(guard={"kind": "Broken"})
    done = plugway("call", "shop__delete", "-a", "number=1")
    assert done.code == 3
    assert "denied by 'guard' in tool_pre_invoke: raised ValueError" in done.err
    assert "secret in the text" not in done.err


def test_explain_shows_every_plugin_what_it_changed_and_what_it_cost(
    plugway: Plugway, gateway: Any
) -> None:
    gateway(upper={"kind": "Upper"}, watcher={"kind": "Refuse", "mode": "audit"})
    done = plugway("call", "shop__find", "-a", "name=Ada", "--explain")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["HOOK", "PLUGIN", "MODE", "DECISION", "TIME"]
    heads = [line[:4] for line in lines if line and line[0] in {"tool_pre_invoke", "server"}]
    assert heads == [
        ["tool_pre_invoke", "upper", "enforce", "modify"],
        ["tool_pre_invoke", "watcher", "audit", "would"],
        ["server", "shop", "answered", heads[2][3]],
    ]
    assert "arguments.name:" in done.out
    assert '- "Ada"' in done.out
    assert '+ "ADA"' in done.out
    assert 'seen: "Ada"' in done.out
    assert '+ {"type": "text", "text": "signed"}' in done.out
    assert "in all: server" in done.out
    assert done.out.rstrip().endswith("signed")


def test_explain_as_json_has_the_chain_with_changes(plugway: Plugway, gateway: Any) -> None:
    gateway(upper={"kind": "Upper"})
    document = plugway("call", "shop__find", "-a", "name=Ada", "--explain", "--json").document
    first, last = document["chain"]
    assert first["hook"], last["hook"] == ("tool_pre_invoke", "tool_post_invoke")
    assert (first["plugin"], first["requested"], first["applied"]) == ("upper", "modify", "modify")
    assert first["changes"] == [{"path": "arguments.name", "before": "Ada", "after": "ADA"}]
    assert first["findings"] == [{"key": "seen", "value": "Ada"}]
    added = {"path": "content[1]", "after": {"type": "text", "text": "signed"}}
    assert last["changes"] == [added]
    assert document["total_ms"] > document["server_ms"] > 0
    assert document["denied"] is None
    assert document["result"]["structuredContent"]["name"] == "ADA"


def test_a_denial_as_json_still_is_one_document_and_exit_code_3(
    plugway: Plugway, gateway: Any
) -> None:
    gateway(guard={"kind": "Refuse"})
    done = plugway("call", "shop__delete", "-a", "number=1", "--json")
    assert (done.code, done.err) == (3, "")
    assert done.document["denied"] == {
        "plugin": "guard",
        "hook": "tool_pre_invoke",
        "reason": "not today",
        "code": "closed",
        "description": "the shop is shut",
        "details": {"until": 9},
    }
    assert done.document["server_ms"] is None


def test_a_plugin_that_answers_itself_is_shown_so(plugway: Plugway, gateway: Any) -> None:
    gateway(cache={"kind": "Answer"})
    done = plugway("call", "shop__delete", "-a", "number=1", "--explain")
    assert done.code == 0
    assert "respond" in done.out
    assert "no server was asked" in done.out
    assert done.out.rstrip().endswith("from memory")


def test_prompts_and_resources_go_the_same_way(plugway: Plugway, gateway: Any) -> None:
    gateway()
    prompt = plugway("prompt", "shop__greet", "-a", "name=Ada", "-a", "times=2")
    assert (prompt.code, prompt.out) == (0, "user: Greet Ada 2 times.\n")
    resource = plugway("read", "shop+shop://about")
    assert (resource.code, resource.out) == (0, "a shop\n")
    assert plugway("prompt", "greet").err.endswith("did you mean 'shop__greet'?\n")


def test_an_error_of_the_protocol_exits_with_1(plugway: Plugway, gateway: Any) -> None:
    gateway()
    done = plugway("read", "shop+shop://nothing", "--json")
    assert done.code == 1
    assert done.document["result"] is None
    assert isinstance(done.document["error"]["code"], int)


def test_a_plain_client_file_is_a_configuration(plugway: Plugway, shop: dict[str, Any]) -> None:
    Path("client.json").write_text(json.dumps({"mcpServers": {"shop": shop}}))
    assert plugway("-c", "client.json", "call", "shop__delete", "-a", "number=1").code == 0
    assert plugway("call", "-c", "client.json", "shop__delete", "-a", "number=1").code == 0
