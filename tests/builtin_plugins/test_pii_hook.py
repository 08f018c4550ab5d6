"""The hook `pii_found`: other plugins drop findings, add some, or stop the message."""

import json
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from importlib_metadata import EntryPoint

from plugway.config import parse
from plugway.executor.record import lines
from plugway.plugins.discovery import discover
from plugway.plugins.opening import open_registry
from plugway_builtin_plugins.pii_filter import PiiFilter, PiiFindings
from plugway_hookspecs import (
    ENTRY_POINT_GROUP,
    Context,
    Deny,
    Operation,
    Payload,
    Plugin,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)

MAIL, OTHER = "john@example.com", "ann@example.org"
CARD = "4111 1111 1111 1111"
Rule = Callable[[PiiFindings, Context], PiiFindings | Deny | None]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Show a payload to a `pii_filter` next to a plugin that implements its hook."""

    async def run(
        payload: Payload, judge: type[Plugin] | None, about: Operation | None = None, **config: Any
    ) -> Any:
        module = ModuleType("judges_of_a_test")
        vars(module).update(judge=judge, pii_filter=PiiFilter)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        names = ["pii_filter", *(["judge"] if judge else [])]
        points = [EntryPoint(n, f"{module.__name__}:{n}", ENTRY_POINT_GROUP) for n in names]
        entries = [{"name": n, "kind": n, "config": config if n != "judge" else {}} for n in names]
        text = json.dumps({"plugins": entries})
        loaded = await anyio.to_thread.run_sync(lambda: parse(text, file=None, env={}))
        hook = "tool_pre_invoke" if isinstance(payload, ToolCall) else "tool_post_invoke"
        hook = "tool_post_list" if isinstance(payload, ToolList) else hook
        with anyio.fail_after(5):
            async with open_registry(loaded, discover(entry_points=points), {}) as registry:
                operation = about or Operation("1", "tools/call", "crm__find", record=[])
                return await registry.chain(hook)(payload, operation)

    return run


def judging(rule: Rule) -> type[Plugin]:
    class Judge(Plugin):
        @hookimpl
        def pii_found(self, payload: PiiFindings, context: Context) -> PiiFindings | Deny | None:
            return rule(payload, context)

    return Judge


def call(**arguments: Any) -> ToolCall:
    return ToolCall("crm__find", arguments)


def without(*texts: str) -> Rule:
    def rule(payload: PiiFindings, context: Context) -> PiiFindings:
        kept = [each for each in payload.findings if each["text"] not in texts]
        return payload.replace(findings=kept)

    return rule


def adding(*findings: Mapping[str, Any]) -> Rule:
    def rule(payload: PiiFindings, context: Context) -> PiiFindings:
        return payload.replace(findings=[*payload.findings, *findings])

    return rule


async def test_it_shows_each_finding_once_with_all_texts_and_where(ask: Any) -> None:
    seen: list[PiiFindings] = []
    note = judging(lambda payload, _: seen.append(payload))
    await ask(call(a=f"mail {MAIL}", b=[MAIL, 5], n=int(CARD.replace(" ", ""))), note)
    assert seen[0].findings == [
        {"type": "email", "text": MAIL},
        {"type": "credit_card", "text": CARD.replace(" ", "")},
    ]
    assert {f"mail {MAIL}", MAIL, "5"} <= set(seen[0].texts)
    assert seen[0].hook == "tool_pre_invoke"


async def test_a_dropped_finding_stays_as_it_is_and_others_are_masked(ask: Any) -> None:
    outcome = await ask(call(a=f"{MAIL} {OTHER}", b=[MAIL]), judging(without(MAIL)))
    assert outcome.payload.arguments == {"a": f"{MAIL} [EMAIL]", "b": [MAIL]}


async def test_dropping_everything_lets_the_very_same_message_through(ask: Any) -> None:
    payload = call(a=MAIL)
    about = Operation("1", "tools/call", record=[])
    outcome = await ask(payload, judging(without(MAIL)), about, mask="block")
    assert outcome.payload is payload
    assert outcome.verdict is None
    assert [(f.plugin, f.key, f.value) for f in about.findings] == [
        ("pii_filter", "dropped", {"email": 1})
    ]


async def test_an_added_finding_is_masked_wherever_it_is(ask: Any) -> None:
    rule = judging(adding({"type": "project", "text": "Zeus"}))
    outcome = await ask(call(a="Zeus and Zeus", b=[f"{MAIL}: Zeus"], c={"Zeus": 1}), rule)
    assert outcome.payload.arguments == {
        "a": "[PROJECT] and [PROJECT]",
        "b": ["[EMAIL]: [PROJECT]"],
        "c": {"[PROJECT]": 1},
    }


@pytest.mark.parametrize(
    ("strategy", "expected"), [("remove", " ok"), ("partial", "[PROJECT:*lo] ok")]
)
async def test_an_added_finding_is_treated_as_the_default_strategy_says(
    ask: Any, strategy: str, expected: str
) -> None:
    rule = judging(adding({"type": "project", "text": "Apollo"}))
    outcome = await ask(call(a="Apollo ok"), rule, mask=strategy)
    assert outcome.payload.arguments == {"a": expected}


async def test_an_added_finding_of_a_known_type_is_treated_as_that_type(ask: Any) -> None:
    rule = judging(adding({"type": "email", "text": "john (at) example"}))
    outcome = await ask(call(a="john (at) example"), rule, types={"email": "block"})
    assert outcome.verdict.code == "pii_detected"
    assert outcome.verdict.details["types"] == {"email": 1}
    outcome = await ask(call(a="john (at) example"), rule, types={"email": "off"})
    assert outcome.verdict is None
    assert outcome.payload.arguments == {"a": "john (at) example"}


async def test_a_longer_finding_that_is_added_wins_over_what_it_covers(ask: Any) -> None:
    rule = judging(adding({"type": "note", "text": f"for {MAIL} only"}))
    outcome = await ask(call(a=f"x for {MAIL} only y"), rule)
    assert outcome.payload.arguments == {"a": "x [NOTE] y"}


async def test_what_masking_makes_of_the_rest_is_masked_though_a_finding_was_dropped(
    ask: Any,
) -> None:
    outcome = await ask(call(a=f"{MAIL} 4111-{OTHER}"), judging(without(MAIL)), mask="remove")
    assert MAIL in outcome.payload.arguments["a"]
    assert OTHER not in outcome.payload.arguments["a"]


async def test_entries_of_lists_are_shown_and_judged_too(ask: Any) -> None:
    tools = ToolList([{"name": "a", "description": MAIL}, {"name": "b", "description": OTHER}])
    outcome = await ask(tools, judging(without(MAIL)))
    assert [tool["description"] for tool in outcome.payload.tools] == [MAIL, "[EMAIL]"]


async def test_a_deny_stops_the_message(ask: Any) -> None:
    def denies(payload: PiiFindings, context: Context) -> Deny:
        return Deny("no", code="judged")

    outcome = await ask(call(a="nothing"), judging(denies))
    assert (outcome.verdict.code, outcome.plugin) == ("judged", "pii_filter")


async def test_a_judge_that_fails_closes_the_filter(ask: Any) -> None:
    def fails(payload: PiiFindings, context: Context) -> None:
        raise RuntimeError(MAIL)

    outcome = await ask(call(a=MAIL), judging(fails))
    assert outcome.verdict.code == "plugin_error"


@pytest.mark.parametrize(
    ("finding", "wrong"),
    [
        ({"type": "Project", "text": "s3cret"}, "lower-case letters"),
        ({"type": "project", "text": " "}, "the text of a finding is empty"),
        ({"type": "project"}, "a finding has a 'type' and a 'text'"),
        ({"type": "project", "text": "s3cret", "at": 3}, "and nothing else"),
        ({"type": 3, "text": "s3cret"}, "a finding has a 'type' and a 'text'"),
    ],
)
async def test_what_is_no_finding_closes_the_filter_and_the_text_is_in_no_log(
    ask: Any, caplog: pytest.LogCaptureFixture, finding: dict[str, Any], wrong: str
) -> None:
    outcome = await ask(call(a="s3cret"), judging(adding(finding)))
    assert outcome.verdict.code == "plugin_error"
    assert wrong in caplog.text
    assert "s3cret" not in caplog.text


async def test_the_texts_are_in_no_record_no_finding_and_no_repr(ask: Any) -> None:
    about = Operation("1", "tools/call", record=[])
    shown: list[str] = []

    def rule(payload: PiiFindings, context: Context) -> PiiFindings:
        shown.append(repr(payload))
        changed = without(MAIL)(payload, context)
        assert isinstance(changed, PiiFindings)
        assert repr(changed) != repr(payload)
        return changed

    await ask(ToolResult([{"type": "text", "text": f"{MAIL} {CARD}"}]), judging(rule), about)
    assert shown[0].startswith("PiiFindings(email, credit_card, in tool_post_invoke, ")
    recorded = repr(lines(about)) + repr(about.findings) + shown[0]
    assert MAIL not in recorded
    assert CARD not in recorded
    assert [line.applied for line in lines(about)] == ["modify", "modify"]


async def test_without_anybody_who_implements_it_nothing_is_fired(ask: Any) -> None:
    about = Operation("1", "tools/call", record=[])
    outcome = await ask(call(a=MAIL), None, about)
    assert outcome.payload.arguments == {"a": "[EMAIL]"}
    assert [line.hook for line in lines(about)] == ["tool_pre_invoke"]
