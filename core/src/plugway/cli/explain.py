"""`--explain`: which plugin did what to a request, and what it cost."""

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from plugway.cli.app import App
from plugway.cli.calling import Called
from plugway.cli.changes import ABSENT, Change, excerpts, payload_changes
from plugway.cli.output import Cell, Row, milliseconds, print_rows
from plugway.executor.record import StepRecord, Turn, Wrapped
from plugway_hookspecs import Deny, Payload, Respond, thaw

LONG = 60
"""Characters from which on only the part of a text that changed is shown."""

_COLOURS = {"pass": "green", "skip": "dim", "modify": "yellow", "deny": "red", "respond": "cyan"}


def show_chain(app: App, called: Called) -> None:
    """Print the whole chain as a table, with what each plugin changed under its line."""
    rows = [_row(app, step, turn) for step, turn in called.steps]
    if called.server is not None:
        after = next((i for i, (step, _) in enumerate(called.steps) if _is_post(step)), len(rows))
        rows.insert(after, _server_row(called))
    if rows:
        print_rows(app.out, rows, header=["HOOK", "PLUGIN", "MODE", "DECISION", "TIME"])
    else:
        app.out.print(Text("  no plugin is asked about this, and the server was not either", "dim"))
    app.out.print(Text(f"\n  {_total(called)}\n", "dim"))


def chain_document(called: Called) -> list[dict[str, Any]]:
    """Return the chain for machines."""
    return [
        {
            "hook": step.hook,
            "plugin": step.plugin,
            "mode": step.mode,
            "requested": step.requested,
            "applied": step.applied,
            "duration_us": step.duration_ns / 1000,
            "detail": step.detail,
            "findings": [{"key": f.key, "value": thaw(f.value)} for f in step.findings],
            "changes": [change.document() for change in _changes(turn)],
        }
        for step, turn in called.steps
    ]


def _is_post(step: StepRecord) -> bool:
    return "_post_" in step.hook


def _changes(turn: Turn) -> list[Change]:
    _, _, _, payload, answer, _ = turn
    pairs = [(payload, answer)]
    if isinstance(answer, Wrapped):
        pairs = [(payload, answer.sent), (answer.got, answer.answer)]
    return [
        change
        for before, after in pairs
        if isinstance(after, Payload) and type(after) is type(before)
        for change in payload_changes(before, after)
    ]


def _row(app: App, step: StepRecord, turn: Turn) -> Row:
    taken = "" if step.requested == "skip" else milliseconds(step.duration_ns)
    row = Row(
        [step.hook, Text(step.plugin, "bold"), Text(step.mode, "dim"), _decision(step), taken]
    )
    answer = turn[4]
    if step.detail:
        row.details.append(Text(step.detail, "red"))
    if isinstance(answer, Deny):
        row.details += _deny_details(answer)
    if isinstance(answer, Respond):
        row.details.append(Text("answers itself; the server is not asked", "dim"))
    row.details += [Text(f"{f.key}: {_short(f.value)}", "dim") for f in step.findings]
    for change in _changes(turn):
        row.details += _change_lines(change, app.out.width - 8)
    return row


def _deny_details(deny: Deny) -> Iterator[Text]:
    yield Text(f"code: {deny.code}", "dim")
    if deny.description:
        yield Text(deny.description, "dim")
    if deny.details:
        yield Text(f"details: {_short(deny.details)}", "dim")


def _decision(step: StepRecord) -> Text:
    """Say what a plugin wanted, and whether it got it."""
    if step.requested == step.applied:
        return Text(step.applied, _COLOURS.get(step.applied, ""))
    if step.requested == "error":
        became = "error: deny" if step.applied == "deny" else "error: ignored"
        return Text(became, "red" if step.applied == "deny" else "yellow")
    return Text(f"would {step.requested}", "magenta")


def _server_row(called: Called) -> Row:
    failed = called.failed and called.denial is None
    told = Text("failed", "red") if failed else Text("answered", "dim")
    taken = milliseconds(called.server or 0)
    return Row(
        [Text("server", "cyan"), Text(called.operation.server, "bold cyan"), "", told, taken]
    )


def _total(called: Called) -> str:
    whole = milliseconds(called.total)
    if called.server is None:
        return f"{whole} in all; no server was asked"
    plugins = sum(step.duration_ns for step, _ in called.steps)
    parts = f"server {milliseconds(called.server)}, plugins {milliseconds(plugins)}"
    return f"{whole} in all: {parts}"


def _change_lines(change: Change, width: int) -> Iterator[Cell]:
    yield Text(f"{change.path}:", "bold")
    before, after = change.before, change.after
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONG:
        for old, new in excerpts(before, after):
            yield from _sides(old, new, width)
    else:
        yield from _sides(before, after, width)


def _sides(before: Any, after: Any, width: int) -> Iterator[Text]:
    if before is not ABSENT:
        yield Text(f"  - {_short(before, width)}", "red")
    if after is not ABSENT:
        yield Text(f"  + {_short(after, width)}", "green")


def _short(value: Any, width: int = 200) -> str:
    """Return a value in one line, cut where it is too long."""
    text = json.dumps(thaw(value), ensure_ascii=False, default=str)
    limit = max(min(width, 400), 40)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
