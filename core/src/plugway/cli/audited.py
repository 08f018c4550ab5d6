"""One line of the audit file as people read it, and which lines they want to read."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from rich.text import Text

from plugway.cli.app import App
from plugway.cli.output import Row, milliseconds, plural, print_rows
from plugway.jsonvalues import is_array, is_object

_COLOURS = {"ok": "green", "denied": "red", "error": "yellow", "cancelled": "dim"}
_SILENT = {"pass", "skip", "queued"}
_LEAST = [27, 9, 14, 24]


class Wanted:
    """Tells whether an entry is one of those that were asked for."""

    def __init__(
        self, plugin: str | None, tool: str | None, request_id: str | None, *, denied: bool
    ) -> None:
        """Want everything, but for what the arguments narrow down; of an id the start will do."""
        self.id = request_id
        self.plugin = plugin
        self.tool = tool
        self.denied = denied

    def __call__(self, entry: Mapping[str, Any]) -> bool:
        """Whether the entry is wanted."""
        if self.id is not None and not _text(entry, "id").startswith(self.id):
            return False
        if self.denied and entry.get("outcome") != "denied":
            return False
        if self.tool is not None:
            called = entry.get("method") == "tools/call"
            if not (called and fnmatchcase(str(entry.get("name")), self.tool)):
                return False
        return self.plugin is None or any(
            turn.get("plugin") == self.plugin and turn.get("requested") != "skip"
            for turn in _turns(entry)
        )


def show_entry(app: App, entry: Mapping[str, Any]) -> None:
    """Print an entry: the request in one line, and under it what plugins did to it."""
    if entry.get("event") == "refused":
        told = f"{plural(_number(entry, 'count'), 'request')} refused: the file took no more lines"
        print_rows(app.out, [Row([_text(entry, "time"), Text(told, "bold red")])], least=_LEAST[:1])
        return
    outcome = _text(entry, "outcome")
    row = Row(
        [
            Text(_text(entry, "time"), "dim"),
            Text(outcome, _COLOURS.get(outcome, "")),
            _text(entry, "method"),
            Text(_text(entry, "name"), "bold"),
            Text(f"{_who(entry)}  {_text(entry, 'id')}", "dim"),
        ]
    )
    if entry.get("error") is not None:
        row.details.append(Text(f"JSON-RPC error {entry['error']}", "yellow"))
    if entry.get("withheld"):
        row.details.append(Text("the answer was withheld: this line came too late", "red"))
    row.details += [line for turn in _turns(entry) for line in _turn(turn)]
    print_rows(app.out, [row], least=_LEAST)


def _who(entry: Mapping[str, Any]) -> str:
    """Say how long it took, and who asked."""
    client = entry.get("client")
    asked = [entry.get("user"), client.get("name") if is_object(client) else None]
    return "  ".join([milliseconds(_number(entry, "duration_us") * 1000), *filter(None, asked)])


def _turns(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    turns = entry.get("plugins")
    return [turn for turn in turns if is_object(turn)] if is_array(turns) else []


def _turn(turn: Mapping[str, Any]) -> Iterator[Text]:
    """Say what a plugin did, if it did anything."""
    requested, applied = _text(turn, "requested"), _text(turn, "applied")
    if {requested, applied} - _SILENT:
        what = applied if requested == applied else f"{requested}, applied: {applied}"
        said = ": ".join(filter(None, [_text(turn, "code"), _text(turn, "detail")]))
        head = f"{_text(turn, 'plugin')} in {_text(turn, 'hook')}: {what}"
        yield Text(f"{head} ({said})" if said else head, "red" if applied == "deny" else "")
    found = turn.get("findings")
    for finding in found if is_array(found) else []:
        if is_object(finding):
            yield Text(
                f"{_text(turn, 'plugin')} notes {finding.get('key')}: {finding.get('value')}"
            )


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _number(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    return int(value) if isinstance(value, int | float) else 0
