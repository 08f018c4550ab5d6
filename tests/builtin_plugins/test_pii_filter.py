import base64
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from plugway import methods
from plugway_builtin_plugins.pii_filter import PiiFilter
from plugway_hookspecs import (
    CompletionRequest,
    CompletionResult,
    Context,
    Deny,
    ElicitationRequest,
    ElicitationResult,
    Finding,
    Operation,
    Payload,
    PromptFetch,
    PromptList,
    PromptResult,
    ResourceFetch,
    ResourceList,
    ResourceResult,
    ResourceSubscribe,
    ResourceTemplateList,
    RootsResult,
    SamplingRequest,
    SamplingResult,
    Scope,
    ToolCall,
    ToolList,
    ToolResult,
    thaw,
)

MAIL = "john@example.com"
CARD = 4111111111111111
KEY = "0123456789abcdef"
DIGEST = hmac.new(KEY.encode(), f"email\0{MAIL}".encode(), "sha256").hexdigest()[:12]

HOOKS = {payload: hook for hook, (payload, _) in methods.HOOKS.items()}


def now(answer: Any) -> Any:
    """Return what a coroutine returns that waits for nobody."""
    with pytest.raises(StopIteration) as done:
        answer.send(None)
    return done.value.value


def make(**config: Any) -> PiiFilter:
    return PiiFilter(PiiFilter.Config.model_validate(config), name="pii")


def ask(plugin: PiiFilter, payload: Payload) -> tuple[Any, dict[str, Any]]:
    """Return what the payload's hook returns, and what was put on record."""
    operation = Operation(id="1", method="tools/call")
    hook = HOOKS[type(payload)]
    see = getattr(plugin, hook)
    answer = now(see(payload, Context(operation, Scope("pii", hook)))) if see else None
    return answer, {finding.key: finding.value for finding in operation.findings}


def denied(answer: Any) -> Deny:
    assert isinstance(answer, Deny)
    return answer


CHANNELS: list[tuple[Callable[[str], Payload], Callable[[Any], str], str]] = [
    (lambda t: ToolCall("t", {"a": [{"b": t}]}), lambda p: p.arguments["a"][0]["b"], "arguments"),
    (lambda t: ToolCall("t", meta={"note": t}), lambda p: p.meta["note"], "_meta.note"),
    (lambda t: ToolCall("t", extra={"odd": [t]}), lambda p: p.extra["odd"][0], "odd"),
    (
        lambda t: ToolResult(content=[{"type": "text", "text": t}]),
        lambda p: p.content[0]["text"],
        "content[0].text",
    ),
    (
        lambda t: ToolResult(content=[{"type": "resource", "resource": {"uri": "u:1", "text": t}}]),
        lambda p: p.content[0]["resource"]["text"],
        "content[0].resource.text",
    ),
    (
        lambda t: ToolResult(content=[{"type": "resource_link", "uri": "u:1", "name": t}]),
        lambda p: p.content[0]["name"],
        "content[0].name",
    ),
    (
        lambda t: ToolResult(structured_content={"deep": [[{"x": t}]]}),
        lambda p: p.structured_content["deep"][0][0]["x"],
        "structuredContent.deep[0][0].x",
    ),
    (
        lambda t: ToolResult(error={"code": -1, "message": t}),
        lambda p: p.error["message"],
        "error.message",
    ),
    (
        lambda t: ToolResult(error={"code": -1, "message": "m", "data": {"x": t}}),
        lambda p: p.error["data"]["x"],
        "error.data.x",
    ),
    (lambda t: ToolResult(meta={"k": t}), lambda p: p.meta["k"], "_meta.k"),
    (lambda t: ToolResult(extra={"k": t}), lambda p: p.extra["k"], "k"),
    (lambda t: PromptFetch("p", {"who": t}), lambda p: p.arguments["who"], "arguments.who"),
    (
        lambda t: PromptResult([{"role": "user", "content": {"type": "text", "text": t}}]),
        lambda p: p.messages[0]["content"]["text"],
        "messages[0].content.text",
    ),
    (lambda t: PromptResult([], description=t), lambda p: p.description, "description"),
    (lambda t: PromptResult(error={"message": t}), lambda p: p.error["message"], "error.message"),
    (
        lambda t: ResourceResult([{"uri": "u:1", "text": t}]),
        lambda p: p.contents[0]["text"],
        "contents[0].text",
    ),
    (
        lambda t: ResourceResult(
            [{"uri": "u:1", "mimeType": "text/csv", "blob": base64.b64encode(t.encode()).decode()}]
        ),
        lambda p: base64.b64decode(p.contents[0]["blob"]).decode(),
        "contents[0].blob",
    ),
    (
        lambda t: CompletionRequest({"type": "ref/prompt", "name": "p"}, {"name": "n", "value": t}),
        lambda p: p.argument["value"],
        "argument.value",
    ),
    (
        lambda t: CompletionRequest({}, {}, {"arguments": {"a": t}}),
        lambda p: p.context["arguments"]["a"],
        "context.arguments.a",
    ),
    (
        lambda t: CompletionResult({"values": ["x", t], "total": 2}),
        lambda p: p.completion["values"][1],
        "completion.values[1]",
    ),
    (
        lambda t: SamplingRequest([{"role": "user", "content": {"type": "text", "text": t}}]),
        lambda p: p.messages[0]["content"]["text"],
        "messages[0].content.text",
    ),
    (
        lambda t: SamplingRequest([], system_prompt=t, max_tokens=4111111111111111),
        lambda p: p.system_prompt,
        "systemPrompt",
    ),
    (
        lambda t: SamplingRequest([], tools=[{"name": "t", "description": t}]),
        lambda p: p.tools[0]["description"],
        "tools[0].description",
    ),
    (
        lambda t: SamplingResult("assistant", {"type": "text", "text": t}, "m"),
        lambda p: p.content["text"],
        "content.text",
    ),
    (
        lambda t: SamplingResult("assistant", [{"type": "text", "text": t}], "m"),
        lambda p: p.content[0]["text"],
        "content[0].text",
    ),
    (ElicitationRequest, lambda p: p.message, "message"),
    (
        lambda t: ElicitationRequest("m", requested_schema={"properties": {"a": {"title": t}}}),
        lambda p: p.requested_schema["properties"]["a"]["title"],
        "requestedSchema.properties.a.title",
    ),
    (
        lambda t: ElicitationResult("accept", {"note": t}),
        lambda p: p.content["note"],
        "content.note",
    ),
]


@pytest.mark.parametrize(("build", "read", "path"), CHANNELS)
@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("redact", "to [EMAIL]!"),
        ("partial", "to j***@example.com!"),
        ("hash", f"to [EMAIL:{DIGEST}]!"),
        ("remove", "to !"),
    ],
)
def test_every_strategy_masks_in_every_channel(
    build: Callable[[str], Payload],
    read: Callable[[Any], str],
    path: str,
    strategy: str,
    expected: str,
) -> None:
    plugin = make(mask=strategy, key=KEY)
    answer, record = ask(plugin, build(f"to {MAIL}!"))
    assert read(answer) == expected
    assert record == {"pii": {"email": 1}}
    assert ask(plugin, answer) == (None, {}) or strategy == "remove"


@pytest.mark.parametrize(("build", "read", "path"), CHANNELS)
def test_blocking_denies_in_every_channel_and_names_the_place(
    build: Callable[[str], Payload], read: Callable[[Any], str], path: str
) -> None:
    answer, _ = ask(make(mask="block"), build(f"to {MAIL}!"))
    deny = denied(answer)
    assert deny.code == "pii_detected"
    assert "email" in deny.reason
    assert deny.details["types"] == {"email": 1}
    assert str(deny.details["paths"][0]).startswith(path)
    assert MAIL not in str(deny)


@pytest.mark.parametrize(("build", "read", "path"), CHANNELS)
def test_what_has_no_personal_data_comes_back_as_nothing(
    build: Callable[[str], Payload], read: Callable[[Any], str], path: str
) -> None:
    assert ask(make(), build("nothing to see")) == (None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("john@example.com", "j***@example.com"),
        ("j@example.com", "***@example.com"),
        ("4111-1111-1111-1111", "****-****-****-1111"),
        ("4111111111111111", "************1111"),
        ("123-45-6789", "***-**-6789"),
        ("(415) 555-0123", "(***) ***-0123"),
        ("DE89 3704 0044 0532 0130 00", "DE** **** **** **** **30 00"),
        ("192.168.1.17", "192.168.*.*"),
        ("2001:db8::1", "2001:db8:****"),
        ("DOB 1980-02-03", "DOB 1980-**-**"),
        ("born 3.2.80", "born *.*.**"),
        ("passport X1234567", "passport X******7"),
        ("passport 12345", "passport ****"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA****"),
        ("-----BEGIN PRIVATE KEY-----\nMII", "****"),
    ],
)
def test_a_partial_mask_keeps_a_hint_that_fits_the_type(text: str, expected: str) -> None:
    answer, _ = ask(make(mask="partial"), ToolCall("t", {"x": text}))
    assert answer.arguments["x"] == expected
    assert ask(make(mask="partial"), answer)[0] is None


def test_hashes_are_the_same_for_the_same_datum_however_it_is_written() -> None:
    plugin = make(mask="hash", key=KEY)

    def digest(text: str) -> str:
        return str(ask(plugin, ToolCall("t", {"x": text}))[0].arguments["x"])

    assert digest("4111 1111 1111 1111") == digest("4111111111111111")
    assert digest("John@Example.com") == digest("john@example.com")
    assert digest("john@example.com") != digest("jane@example.com")


def test_hashes_depend_on_the_key() -> None:
    call = ToolCall("t", {"x": MAIL})
    keyed = [ask(make(mask="hash", key=key * 16), call)[0].arguments["x"] for key in "ab"]
    unkeyed = [ask(make(mask="hash"), call)[0].arguments["x"] for _ in range(2)]
    assert len({*keyed, *unkeyed}) == 4


def test_each_type_can_have_its_own_strategy() -> None:
    plugin = make(mask="partial", types={"email": "redact", "ip": "off", "phone": "remove"})
    call = ToolCall("t", {"x": f"{MAIL} 8.8.8.8 415-555-0123 4111111111111111"})
    answer, record = ask(plugin, call)
    assert answer.arguments["x"] == "[EMAIL] 8.8.8.8  ************1111"
    assert record["pii"] == {"email": 1, "phone": 1, "credit_card": 1}


def test_off_may_be_what_yaml_makes_of_it() -> None:
    assert ask(make(types={"email": False}), ToolCall("t", {"x": MAIL}))[0] is None


def test_a_blocked_type_blocks_among_masked_ones() -> None:
    answer, record = ask(make(types={"ssn": "block"}), ToolCall("t", {"x": f"{MAIL} 123-45-6789"}))
    assert denied(answer).details["types"] == {"email": 1, "ssn": 1}
    assert record["pii"] == {"email": 1, "ssn": 1}


def test_custom_types_are_found_and_named() -> None:
    plugin = make(
        mask="hash",
        custom=[
            {"name": "employee_id", "pattern": r"\bEMP-\d{6}\b", "strategy": "redact"},
            {"name": "ticket", "pattern": r"(?i)ticket\s+(\d+)", "strategy": "partial"},
        ],
    )
    answer, record = ask(plugin, ToolCall("t", {"x": "EMP-123456 has Ticket 7654321"}))
    assert answer.arguments["x"] == "[EMPLOYEE_ID] has Ticket [TICKET:*21]"
    assert record["pii"] == {"employee_id": 1, "ticket": 1}
    assert ask(plugin, answer)[0] is None


def test_anchors_of_custom_patterns_mean_a_text_and_not_the_message() -> None:
    plugin = make(custom=[{"name": "code", "pattern": "^[A-Z]{4}$"}])
    answer, _ = ask(plugin, ToolCall("t", {"a": "ABCD", "b": "ABCDE", "c": ["WXYZ"]}))
    assert thaw(answer.arguments) == {"a": "[CODE]", "b": "ABCDE", "c": ["[CODE]"]}


def test_custom_patterns_that_match_their_own_labels_still_come_to_an_end() -> None:
    plugin = make(custom=[{"name": "loud", "pattern": "[A-Z]+"}])
    answer, _ = ask(plugin, ToolCall("t", {"x": "an ABC"}))
    assert answer.arguments["x"] == "an [LOUD]"
    plugin = make(custom=[{"name": "all", "pattern": r"\S+", "strategy": "partial"}])
    text = ToolResult(content=[{"type": "text", "text": "secret words"}])
    answer, record = ask(plugin, text)
    assert answer.content[0]["text"] == "[ALL:*et] [ALL]"
    assert record["pii"] == {"all": 2}
    assert ask(plugin, answer)[0] is None


def test_what_masking_brings_together_is_masked_too() -> None:
    plugin = make(custom=[{"name": "ab", "pattern": "ab", "strategy": "remove"}])
    assert ask(plugin, ToolCall("t", {"x": "caaabbbc"}))[0].arguments["x"] == "cc"
    # what never comes to an end is not let through half done
    assert ask(plugin, ToolCall("t", {"x": "a" * 9 + "b" * 9}))[0].arguments["x"] == "[AB]"


def test_allowed_findings_are_left_alone() -> None:
    plugin = make(allow=[r"(?i).*@example\.com"])
    answer, record = ask(plugin, ToolCall("t", {"x": f"{MAIL} SALES@example.com a@b.io"}))
    assert answer.arguments["x"] == f"{MAIL} SALES@example.com [EMAIL]"
    assert record["pii"] == {"email": 1}


def test_the_key_under_which_a_value_stands_tells_what_it_is() -> None:
    call = ToolCall(
        "t",
        {
            "dateOfBirth": "1980-02-03",
            "user": {"ssn": "123456789", "home-phone": ["4155550123"]},
            "passport_number": "X1234567",
            "very" * 50 + "_long_ssn": "123456789",
            "shipped": "1980-02-03",
            "order": "123456789",
        },
    )
    assert thaw(ask(make(), call)[0].arguments) == {
        "dateOfBirth": "[DATE_OF_BIRTH]",
        "user": {"ssn": "[SSN]", "home-phone": ["[PHONE]"]},
        "passport_number": "[PASSPORT]",
        "very" * 50 + "_long_ssn": "[SSN]",
        "shipped": "1980-02-03",
        "order": "123456789",
    }


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("redact", "[CREDIT_CARD]"),
        ("partial", "************1111"),
        ("remove", None),
    ],
)
def test_numbers_that_are_personal_data_become_texts(strategy: str, expected: str | None) -> None:
    result = ToolResult(
        structured_content={"card": CARD, "as_float": float(CARD), "n": 5, "b": True}
    )
    answer, record = ask(make(mask=strategy), result)
    assert thaw(answer.structured_content) == {
        "card": expected,
        "as_float": expected,
        "n": 5,
        "b": True,
    }
    assert record["pii"] == {"credit_card": 2}


def test_numbers_under_telling_keys_are_found() -> None:
    call = ToolCall("t", {"ssn": 123456789, "phone": 4155550123, "count": 4155550123})
    assert thaw(ask(make(), call)[0].arguments) == {
        "ssn": "[SSN]",
        "phone": "[PHONE]",
        "count": 4155550123,
    }


def test_a_number_can_block() -> None:
    answer, _ = ask(make(mask="block"), ToolResult(structured_content={"card": CARD}))
    assert denied(answer).details == {
        "types": {"credit_card": 1},
        "paths": ["structuredContent.card"],
    }


def test_keys_are_masked_and_kept_apart() -> None:
    call = ToolCall("t", {"john@x.com": 1, "jane@x.com": {"a": 2}, "plain": 3})
    answer, record = ask(make(), call)
    assert thaw(answer.arguments) == {"[EMAIL]": 1, "[EMAIL]#2": {"a": 2}, "plain": 3}
    assert record["pii"] == {"email": 2}
    assert ask(make(), answer)[0] is None


def test_places_in_the_record_do_not_spell_out_keys_that_are_personal_data() -> None:
    call = ToolCall("t", {"john@x.com": [{"b": "jane@x.com"}]})
    deny = denied(ask(make(mask="block"), call)[0])
    assert deny.details["paths"] == ["arguments", "arguments.[EMAIL][0].b"]


def test_a_uri_in_a_request_is_never_turned_into_another() -> None:
    fetch = ResourceFetch(f"crm://customers/{MAIL}")
    deny = denied(ask(make(), fetch)[0])
    assert (deny.code, deny.details["paths"]) == ("pii_detected", ["uri"])
    assert ask(make(uris="ignore"), fetch)[0] is None
    assert ask(make(uris="mask"), fetch)[0].uri == "crm://customers/[EMAIL]"


def test_a_uri_in_a_result_is_masked() -> None:
    link = {"type": "resource_link", "uri": f"crm://{MAIL}", "name": "n"}
    result = ToolResult(content=[link, {"type": "resource", "resource": {"uri": f"x:{MAIL}"}}])
    answer, _ = ask(make(), result)
    assert answer.content[0]["uri"] == "crm://[EMAIL]"
    assert answer.content[1]["resource"]["uri"] == "x:[EMAIL]"
    assert ask(make(uris="ignore"), result)[0] is None


def test_descriptions_in_lists_are_masked() -> None:
    tools = ToolList(
        [
            {
                "name": "t",
                "description": f"ask {MAIL}",
                "inputSchema": {"properties": {"x": {"description": MAIL, "default": MAIL}}},
            }
        ]
    )
    answer, record = ask(make(), tools)
    assert answer.tools[0]["description"] == "ask [EMAIL]"
    assert thaw(answer.tools[0]["inputSchema"]) == {
        "properties": {"x": {"description": "[EMAIL]", "default": "[EMAIL]"}}
    }
    assert record == {"pii": {"email": 3}}
    prompts = PromptList([{"name": "p", "arguments": [{"name": "a", "description": MAIL}]}])
    assert ask(make(), prompts)[0].prompts[0]["arguments"][0]["description"] == "[EMAIL]"
    templates = ResourceTemplateList([{"uriTemplate": "u:{x}", "name": MAIL}])
    assert ask(make(), templates)[0].resource_templates[0]["name"] == "[EMAIL]"


def test_an_entry_that_may_not_be_seen_is_hidden_and_the_others_stay() -> None:
    resources = ResourceList(
        [
            {"uri": "a:1", "name": "a"},
            {"uri": f"b:{MAIL}", "name": "b"},
            {"uri": "c:1", "name": "c"},
        ]
    )
    answer, record = ask(make(), resources)
    assert [resource["name"] for resource in answer.resources] == ["a", "c"]
    assert record == {"pii": {"email": 1}, "hidden": 1}
    tools = ToolList([{"name": "t", "description": MAIL}, {"name": "u"}])
    assert thaw(ask(make(mask="block"), tools)[0].tools) == [{"name": "u"}]


def test_names_and_values_that_a_schema_goes_by_are_not_rewritten() -> None:
    tool = {"name": "t", "inputSchema": {"properties": {"to": {"enum": [MAIL]}}}}
    assert thaw(ask(make(), ToolList([tool]))[0].tools) == []
    assert ask(make(uris="ignore"), ToolList([tool]))[0] is None


def test_a_list_with_personal_data_round_its_entries_is_denied_when_that_blocks() -> None:
    prompts = PromptList([{"name": "p"}], meta={"owner": MAIL})
    assert "list" in denied(ask(make(mask="block"), prompts)[0]).reason


def test_names_ids_and_discriminators_stay() -> None:
    result = ToolResult(
        content=[{"type": MAIL, "annotations": {"lastModified": "2001:db8::1"}}],
        meta={"progressToken": CARD, "traceparent": f"00-{CARD}-{CARD}-01"},
        extra={"resultType": MAIL, "requestState": MAIL},
    )
    assert ask(make(), result) == (None, {})
    assert ask(make(), ToolCall(MAIL)) == (None, {})
    assert ask(make(), ToolList([{"name": MAIL}])) == (None, {})


def test_images_are_not_read_and_neither_are_binary_resources() -> None:
    blob = base64.b64encode(MAIL.encode()).decode()
    result = ToolResult(
        content=[
            {"type": "image", "data": blob, "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "u:", "mimeType": "image/png", "blob": blob}},
        ]
    )
    assert ask(make(), result)[0] is None


def test_the_hooks_to_look_at_can_be_chosen() -> None:
    call, result = ToolCall("t", {"x": MAIL}), ToolResult(structured_content={"x": MAIL})
    plugin = make(hooks=["results"])
    assert ask(plugin, call)[0] is None
    assert ask(plugin, result)[0] is not None
    plugin = make(hooks=["tool_pre_invoke"])
    assert ask(plugin, call)[0] is not None
    assert ask(plugin, result)[0] is None
    assert ask(plugin, PromptFetch("p", {"x": MAIL}))[0] is None


def test_a_question_that_leads_to_a_url_with_a_finding_is_denied() -> None:
    question = ElicitationRequest("m", "url", url=f"https://x.test/?mail={MAIL}")
    assert denied(ask(make(), question)[0]).reason.startswith("the server's question contains")
    assert ask(make(uris="ignore"), question)[0] is None
    subscription = ResourceSubscribe(f"x:{MAIL}")
    assert denied(ask(make(), subscription)[0]).reason.startswith("the request contains")


def test_a_root_with_a_finding_is_hidden() -> None:
    roots = RootsResult([{"uri": f"file:///home/{MAIL}"}, {"uri": "file:///r", "name": MAIL}])
    answer, record = ask(make(), roots)
    assert thaw(answer.roots) == [{"uri": "file:///r", "name": "[EMAIL]"}]
    assert record["hidden"] == 1


def test_answers_can_be_left_to_the_user() -> None:
    plugin = make(hooks=["requests", "results", "lists", "questions"])
    assert ask(plugin, ElicitationResult("accept", {"mail": MAIL}))[0] is None
    assert ask(plugin, ElicitationRequest(MAIL))[0] is not None


def test_the_deepest_payload_is_masked() -> None:
    value: Any = MAIL
    for level in range(126):
        value = [value] if level % 2 else {"k": value}
    answer, _ = ask(make(), ToolCall("t", {"x": value}))
    assert MAIL not in str(answer)
    assert "[EMAIL]" in str(answer)


def test_the_payload_itself_is_never_changed() -> None:
    call = ToolCall("t", {"x": [MAIL], "y": {"z": 1}})
    answer, _ = ask(make(), call)
    assert thaw(call.arguments) == {"x": [MAIL], "y": {"z": 1}}
    assert answer.arguments["y"] is call.arguments["y"]


def test_the_text_that_was_found_is_not_on_record() -> None:
    operation = Operation(id="1", method="tools/call")
    now(make().tool_pre_invoke(ToolCall("t", {MAIL: MAIL}), Context(operation, Scope("pii", "h"))))
    assert operation.findings == [Finding("pii", "h", "pii", {"email": 2})]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mask": "hide"}, "mask"),
        ({"types": {"emial": "redact"}}, "emial"),
        ({"custom": [{"name": "x", "pattern": "(?=a)"}]}, "lookaround is not supported"),
        ({"custom": [{"name": "x", "pattern": "a*"}]}, "matches the empty text"),
        ({"custom": [{"name": "email", "pattern": "a"}]}, "'email' exists already"),
        ({"custom": [{"name": "x", "pattern": "a"}] * 2}, "'x' exists already"),
        ({"custom": [{"name": "No good", "pattern": "a"}]}, "name"),
        ({"allow": ["("]}, "missing )"),
        ({"hooks": ["tool_pre"]}, "hooks"),
        ({"hooks": []}, "hooks"),
        ({"key": "short"}, "at least 16"),
        ({"masks": "redact"}, "masks"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PiiFilter.Config.model_validate(config)
    assert message in str(refused.value)


def test_the_key_is_not_shown() -> None:
    with pytest.raises(ValidationError) as refused:
        PiiFilter.Config.model_validate({"key": "secret"})
    assert "secret" not in str(refused.value).replace("SecretStr", "").replace("secret_str", "")
    assert KEY not in repr(PiiFilter.Config.model_validate({"key": KEY}))
