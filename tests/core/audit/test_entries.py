"""What a line says, and what it never says."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from plugway.audit.entries import refusals_entry, request_entry, withheld
from plugway.jsonrpc import RpcError
from plugway_hookspecs import (
    CallNext,
    Client,
    Context,
    Deny,
    Operation,
    PluginError,
    Principal,
    ToolCall,
    ToolResult,
    hookimpl,
)

Entries = Callable[[], list[dict[str, Any]]]


def entry(operation: Operation, error: RpcError | None = None, **more: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"cancelled": False, "began_ns": 0, "duration_ns": 1500, **more}
    line = request_entry(operation, error, **options)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found: dict[str, Any] = json.loads(line)
    return found


class Changes:
    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
        context.annotate("seen", ["argument"])
        return payload.replace(arguments={"argument": "other"})


class Closed:
    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult) -> Deny:
        return Deny("not today", code="closed", description="s3cret", details={"found": "s3cret"})


async def test_a_line_says_who_asked_for_what_and_what_plugins_did_to_it(
    audited: Any, entries: Entries
) -> None:
    before = datetime.now(UTC)
    async with audited(Changes(), Closed()) as gateway:
        trace = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        result = await gateway.call(_meta=trace)
    (found,) = entries()
    assert before <= datetime.fromisoformat(found["time"]) <= datetime.now(UTC)
    assert found["time"].endswith("Z")
    turns = [{key: t[key] for key in t if key != "duration_us"} for t in found["plugins"]]
    assert turns == [
        {
            "plugin": "p0",
            "hook": "tool_pre_invoke",
            "mode": "enforce",
            "requested": "modify",
            "applied": "modify",
            "modified": True,
            "detail": "",
            "code": "",
            "more_findings": 0,
            "findings": [{"key": "seen", "value": ["argument"]}],
        },
        {
            "plugin": "p1",
            "hook": "tool_post_invoke",
            "mode": "enforce",
            "requested": "deny",
            "applied": "deny",
            "modified": False,
            "detail": "not today",
            "code": "closed",
            "more_findings": 0,
            "findings": [],
        },
    ]
    assert 0 < sum(turn["duration_us"] for turn in found["plugins"]) < found["duration_us"]
    for key in ("time", "plugins", "duration_us"):
        del found[key]
    assert found == {
        "v": 1,
        "event": "request",
        "withheld": False,
        "id": result["_meta"]["plugway/denied"]["request"],
        "method": "tools/call",
        "name": "s__a",
        "server": "s",
        "user": "ann",
        "tenant": "acme",
        "trace": "ab" * 16,
        "client": {"name": "test", "version": "1.2", "transport": "http"},
        "outcome": "denied",
        "error": None,
    }


async def test_arguments_results_and_details_are_in_no_line(audited: Any, path: Any) -> None:
    async with audited(Changes(), Closed()) as gateway:
        await gateway.call()
    text = await anyio.Path(path).read_text()
    for secret in ("s3cret", "other", "the result"):
        assert secret not in text


@pytest.mark.parametrize(
    ("error", "cancelled", "outcome", "code"),
    [
        (None, False, "ok", None),
        (RpcError(-32602, "Unknown tool"), False, "error", -32602),
        (None, True, "cancelled", None),
    ],
)
def test_the_outcome_is_one_word(
    error: RpcError | None, cancelled: bool, outcome: str, code: int | None
) -> None:
    found = entry(Operation("1", "tools/call"), error, cancelled=cancelled)
    assert (found["outcome"], found["error"]) == (outcome, code)
    assert "Unknown" not in str(found)


async def test_the_outcome_is_what_the_client_got_whatever_was_denied_on_the_way(
    audited: Any, entries: Entries
) -> None:
    class Again:
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            result = await call_next(payload)
            if isinstance(result, Deny):
                return await call_next(payload.replace(arguments={}))
            return result

    class Guard:
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
            return Deny("no arguments here") if payload.arguments else None

    async with audited(Again(), Guard()) as gateway:
        assert "isError" not in await gateway.call()
    (found,) = entries()
    assert [turn["applied"] for turn in found["plugins"]] == ["modify", "deny", "pass"]
    assert found["outcome"] == "ok"


@pytest.mark.parametrize("as_error", [True, False])
async def test_a_denied_call_is_denied_as_a_result_and_as_an_error(
    audited: Any, entries: Entries, as_error: bool
) -> None:
    async with audited(Closed()) as gateway:
        gateway.dispatcher.generation.deny_as_error = as_error
        with pytest.raises(RpcError) if as_error else nullcontext():
            await gateway.call()
    (found,) = entries()
    assert (found["outcome"], found["error"]) == ("denied", 403 if as_error else None)


NASTY = "a\nb\r\u2028\x00\ud800\U0001f600"


def test_nothing_that_anybody_says_can_break_a_line() -> None:
    found = entry(
        Operation(
            "1",
            NASTY,
            NASTY,
            principal=Principal(NASTY, NASTY),
            client=Client(NASTY, NASTY),
            trace={"traceparent": NASTY},
        ),
        RpcError(10**5000, NASTY),
    )
    assert found["name"] == NASTY.replace("\ud800", "\\ud800")
    assert found["error"].startswith("0x")
    assert len(found["error"]) == 512
    assert found["trace"] is None


class WordlessError(PluginError):
    def __init__(self) -> None:
        """Say nothing of what a plugin's error has to say."""

    @property
    def message(self) -> str:  # type: ignore[override]
        raise ZeroDivisionError


async def test_a_tool_that_ran_has_a_line_whatever_plugins_make_of_its_result(
    audited: Any, entries: Entries
) -> None:
    class Huge:
        @hookimpl
        async def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            return payload.replace(structured_content={"n": 10**5000})

    async with audited(Huge()) as gateway:
        with pytest.raises(RpcError):
            await gateway.call()
        assert gateway.server.calls == 1
    (found,) = entries()
    assert [turn["applied"] for turn in found["plugins"]] == ["modify"]


async def test_a_line_that_can_not_say_what_plugins_did_says_so(
    audited: Any, entries: Entries, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        @hookimpl
        async def tool_post_invoke(self) -> None:
            raise WordlessError

    async with audited(Odd()) as gateway:
        with pytest.raises(RpcError):
            await gateway.call()
    (found,) = entries()
    assert (found["outcome"], found["plugins"], found["incomplete"]) == ("error", [], True)
    assert f"request {found['id']}: the audit line leaves out" in caplog.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NASTY, NASTY.replace("\ud800", "\\ud800")),
        (2**63, hex(2**63)),
        (-(2**63), -(2**63)),
        ({"a": [True, None]}, {"a": [True, None]}),
        ("x" * 600, "x" * 511 + "…"),
        (list(range(60)), [*range(50), "… 10 more"]),
    ],
)
async def test_a_finding_is_cut_to_what_a_line_can_hold(
    audited: Any, entries: Entries, value: Any, shown: Any
) -> None:
    class Notes:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("found", value)

    async with audited(Notes()) as gateway:
        await gateway.call()
    assert entries()[0]["plugins"][0]["findings"] == [{"key": "found", "value": shown}]


async def test_of_very_many_findings_the_first_are_written(audited: Any, entries: Entries) -> None:
    class Notes:
        @hookimpl
        async def tool_pre_invoke(self, context: Context) -> None:
            for number in range(70):
                context.annotate("found", number)

    async with audited(Notes()) as gateway:
        await gateway.call()
    (turn,) = entries()[0]["plugins"]
    assert len(turn["findings"]) == 50
    assert turn["more_findings"] == 20


def test_a_line_can_be_marked_as_one_whose_answer_did_not_go_out() -> None:
    line = request_entry(Operation("1", "ping"), None, cancelled=False, began_ns=0, duration_ns=0)
    assert json.loads(withheld(line)) == {**json.loads(line), "withheld": True}
    assert withheld(withheld(line)) == withheld(line)
    refused = refusals_entry(3, 0)
    assert withheld(refused) == refused
    assert json.loads(refused) == {
        "v": 1,
        "event": "refused",
        "time": "1970-01-01T00:00:00.000000Z",
        "count": 3,
    }
