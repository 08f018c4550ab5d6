"""`plugway audit`: what it shows, what it leaves out, how it follows a file that grows."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugway.audit.reading import follow_audit, read_audit

Plugway = Callable[..., Any]

TURN: dict[str, Any] = {
    "plugin": "pii",
    "hook": "tool_pre_invoke",
    "mode": "enforce",
    "requested": "pass",
    "applied": "pass",
    "modified": False,
    "duration_us": 9.5,
    "detail": "",
    "code": "",
    "findings": [],
    "more_findings": 0,
}


def line(name: str, outcome: str = "ok", *turns: dict[str, Any], **more: Any) -> str:
    entry = {
        "v": 1,
        "event": "request",
        "time": "2026-11-23T10:00:00.123456Z",
        "id": name,
        "method": "tools/call",
        "name": name,
        "server": "crm",
        "user": "ann",
        "tenant": None,
        "client": {"name": "desk", "version": "1", "transport": "http"},
        "trace": None,
        "outcome": outcome,
        "error": None,
        "duration_us": 1500.0,
        "plugins": list(turns),
        "withheld": False,
        **more,
    }
    return json.dumps(entry) + "\n"


DENIED = line(
    "crm__delete",
    "denied",
    {**TURN, "requested": "modify", "applied": "modify", "findings": [{"key": "n", "value": 2}]},
    {**TURN, "plugin": "rules", "requested": "deny", "applied": "deny", "code": "closed"},
)
SKIPPED = line("crm__find", "ok", {**TURN, "plugin": "rules", "requested": "skip"})
REFUSED = json.dumps({"v": 1, "event": "refused", "time": "2026", "count": 3}) + "\n"
LISTED = line("", "error", method="tools/list", error=-32602)
LATE = line("mail__send", withheld=True)
ALL = DENIED + SKIPPED + REFUSED + LISTED + LATE


@pytest.fixture
def file() -> Path:
    path = Path("audit.jsonl")
    path.write_text(ALL)
    return path


def test_a_request_is_a_line_with_what_plugins_did_under_it(plugway: Plugway, file: Path) -> None:
    done = plugway("audit", str(file))
    assert (done.code, done.err) == (0, "")
    assert [text.split() for text in done.out.splitlines()] == [
        text.split()
        for text in (
            "2026-11-23T10:00:00.123456Z denied tools/call crm__delete 1.5 ms ann desk crm__delete",
            "pii in tool_pre_invoke: modify",
            "pii notes n: 2",
            "rules in tool_pre_invoke: deny (closed)",
            "2026-11-23T10:00:00.123456Z ok tools/call crm__find 1.5 ms ann desk crm__find",
            "2026 3 requests refused: the file took no more lines",
            "2026-11-23T10:00:00.123456Z error tools/list 1.5 ms ann desk",
            "JSON-RPC error -32602",
            "2026-11-23T10:00:00.123456Z ok tools/call mail__send 1.5 ms ann desk mail__send",
            "the answer was withheld: this line came too late",
        )
    ]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--denied"], ["crm__delete"]),
        (["--plugin", "rules"], ["crm__delete"]),
        (["--plugin", "pii"], ["crm__delete"]),
        (["--tool", "crm__*"], ["crm__delete", "crm__find"]),
        (["--id", "crm__find"], ["crm__find"]),
        (["--id", "crm__"], ["crm__delete", "crm__find"]),
        (["--id", "crm__", "--denied"], ["crm__delete"]),
        (["--tool", "crm__*", "--denied", "--plugin", "none"], []),
    ],
)
def test_options_narrow_down_what_is_shown(
    plugway: Plugway, file: Path, options: list[str], ids: list[str]
) -> None:
    done = plugway("audit", str(file), "--json", *options)
    assert [entry["id"] for entry in done.document["entries"]] == ids


def test_that_nothing_matches_is_said(plugway: Plugway, file: Path) -> None:
    done = plugway("audit", str(file), "--plugin", "nope")
    assert (done.code, done.out) == (0, "")
    assert done.err == "no matching request in audit.jsonl\n"
    assert plugway("audit", str(file), "--plugin", "nope", "--json").err == ""


def test_lines_that_were_cut_short_are_skipped_and_counted(plugway: Plugway, file: Path) -> None:
    file.write_text(DENIED[:50] + "\n" + SKIPPED + DENIED[:70])
    done = plugway("audit", str(file))
    assert "crm__find" in done.out
    assert "crm__delete" not in done.out
    assert done.err == "2 unreadable lines skipped: a crash or a full disk cut them short\n"
    assert plugway("audit", str(file), "--json").document["unreadable"] == 2


def test_a_whole_last_line_counts_without_its_end(file: Path) -> None:
    file.write_text(DENIED.rstrip())
    assert [entry["id"] for entry in read_audit(file)] == ["crm__delete"]


def test_without_a_name_it_is_the_configured_file_and_those_put_aside(
    plugway: Plugway, configure: Any, file: Path
) -> None:
    configure({"audit": {"file": "audit.jsonl"}})
    Path("audit.jsonl.1").write_text(line("newer"))
    Path("audit.jsonl.2").write_text(line("older"))
    Path("audit.jsonl.4").write_text(line("not one of them"))
    ids = [entry.get("id") for entry in plugway("audit", "--json").document["entries"]]
    assert ids[:3] == ["older", "newer", "crm__delete"]
    assert len(ids) == 7


def test_without_an_audit_block_it_says_what_to_do(plugway: Plugway, configure: Any) -> None:
    configure({})
    done = plugway("audit")
    assert (done.code, done.out) == (2, "")
    assert "plugway.yaml has no `audit:` block" in done.err


def test_a_file_that_is_not_there_is_one_sentence(plugway: Plugway) -> None:
    done = plugway("audit", "none.jsonl")
    assert (done.code, done.err) == (1, "plugway: none.jsonl: no such file or directory\n")


def test_what_others_said_can_not_steer_the_terminal(plugway: Plugway, file: Path) -> None:
    file.write_text(line("a\x1b[2Jb", "ok", {**TURN, "findings": [{"key": "k", "value": "\x1b"}]}))
    assert "\x1b" not in plugway("audit", str(file)).out


def test_a_line_of_another_version_is_shown_as_far_as_it_goes(plugway: Plugway, file: Path) -> None:
    file.write_text('{"v": 9}\n{"plugins": 1, "client": []}\n{"plugins": [1, {"findings": [1]}]}\n')
    assert plugway("audit", str(file)).code == 0


def test_following_goes_on_with_the_next_file(file: Path) -> None:
    cut: list[bytes] = []
    file.write_text(line("1") + DENIED[:40])

    def turn_over() -> None:
        """Put aside twice between two looks."""
        with file.open("a") as end:
            end.write(DENIED[40:])
        file.rename("audit.jsonl.2")
        Path("audit.jsonl.1").write_text(line("2") + DENIED[:30])
        file.write_text(line("3"))

    following = follow_audit(file, unreadable=cut.append, pause=turn_over)
    assert [next(following)["id"] for _ in range(4)] == ["1", "crm__delete", "2", "3"]
    assert cut == [DENIED[:30].encode()]
    following.close()  # type: ignore[attr-defined]


def test_following_prints_new_lines_until_ctrl_c(file: Path) -> None:
    command = [sys.executable, "-m", "plugway", "audit", str(file), "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        with file.open("a") as end:
            end.write(line("new"))
        assert json.loads(process.stdout.readline())["id"] == "new"
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, errors) == (130, b"", b"")
