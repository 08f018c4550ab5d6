"""What a chain has to do, written down as plain code: the laws test the real chain against it.

It knows payloads and modes, and nothing of how chains are made. There are no tasks in it: where
timing decides, it says what may happen instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from itertools import groupby
from typing import Any

from plugway_hookspecs import Mode, OnError, Payload, ToolCall, ToolResult

PRE, POST = "tool_pre_invoke", "tool_post_invoke"

MAY_DENY = {Mode.ENFORCE, Mode.VALIDATE}
MAY_MODIFY = {Mode.ENFORCE, Mode.TRANSFORM}
OBSERVES = {Mode.AUDIT, Mode.BACKGROUND}


@dataclass(frozen=True, repr=False)
class Plugin:
    """What one plugin does, and what its operator lets it do."""

    name: str = ""
    does: tuple[str, ...] = ("nothing",)
    """What it answers: a key of `ANSWERS` or of `ENDINGS`. It says the second one from the first
    repetition of the chain on, and so forth; the last one for good."""
    mode: Mode = Mode.ENFORCE
    on_error: OnError = OnError.FAIL
    priority: int = 100
    place: str = ""
    """`tryfirst`, `trylast` or nothing."""
    matches: bool | None = None
    """What its conditions say; None where it has none."""
    passed_while_disabled: bool = False
    """Whether the operator lets the chain go on without it while it rests."""
    notes: tuple[str, ...] = ()
    """What it does to the shared notes: `+key` writes its name there, `-key` deletes the key."""
    awaits: int | None = 0
    """How often it gives way to others; None for a plain `def`. The model does not care."""
    threaded: bool = False
    """Whether a plain `def` runs in a thread. The model does not care."""
    blind: bool = False
    """Whether it takes the payload alone, and so can neither annotate nor share."""
    sends: tuple[str, ...] | None = None
    """A wrapper: what it runs the rest with, once for each. None for all others."""
    catches: bool = False
    """Whether it goes on when the rest raises."""

    def __repr__(self) -> str:
        told = [(f.name, getattr(self, f.name), f.default) for f in fields(self)]
        return f"Plugin({', '.join(f'{n}={say(v)}' for n, v, default in told if v != default)})"


def say(value: Any) -> str:
    """Spell a value as it is written in code; an enum's own `repr` is not."""
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


@dataclass(frozen=True, eq=False)
class No:
    """A deny; two are never the same, even if they say the same."""

    origin: str
    is_error: bool = False


@dataclass(frozen=True)
class End:
    """What a chain, or the rest of one, comes to: goes on with the payload, denied or answered."""

    payload: Any
    verdict: No | ToolResult | None = None
    by: str = ""


Notes = tuple[Plugin, tuple[str, ...]]
"""What a plugin has done to the shared notes."""


class GoneError(Exception):
    """The server is away."""


class UndecidedError(Exception):
    """What happens next was decided by time: the model has no opinion."""


@dataclass
class Line:
    """One plugin's turn, as the record has it."""

    plugin: str
    requested: str = "cancelled"
    applied: str = "cancelled"
    findings: int = 0
    timing: bool = False
    """Whether it may just as well have been cancelled, before it began or while it waited."""
    undecided: bool = False
    """Whether even what else it may be is a matter of time."""


@dataclass(frozen=True)
class Seen:
    """What a plugin saw when it was called, or when the rest came back."""

    plugin: str
    payload: Any
    shared: tuple[str, ...] = ()


@dataclass
class Told:
    """All that can be seen of one operation."""

    end: End | None = None
    """None where the server's own error came out."""
    record: list[Line] = field(default_factory=list[Line])
    seen: list[Seen] = field(default_factory=list[Seen])
    maybe: list[Seen] = field(default_factory=list[Seen])
    """What validators beside the one that denied see, if they are quick enough."""
    asked: list[Any] = field(default_factory=list[Any])
    """What reached the server."""
    background: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    shared: dict[str, Any] = field(default_factory=dict[str, Any])


# words that the model and the plugins in the tests both know


def changed(name: str, payload: Any) -> Any:
    """Return the payload with a mark of who changed it."""
    where = "arguments" if isinstance(payload, ToolCall) else "meta"
    return payload.replace(**{where: {**getattr(payload, where), name: [1]}})


def own_result(name: str) -> ToolResult:
    return ToolResult(meta={"by": name})


ANSWERS = {
    "nothing": "pass",
    "same": "pass",
    "equal": "pass",
    "change": "modify",
    "deny": "deny",
    "respond": "respond",
    "respond wrongly": "error",
    "wrong type": "error",
    "raise": "error",
    "raise no Exception": "error",
    "exit": "error",
    "await something cancelled": "error",
    "time out": "error",
}
"""What a plugin can answer, and what it requests thereby; in a post hook, `respond` is an error."""

FAILURES = [answer for answer, requested in ANSWERS.items() if requested == "error"]

ENDINGS = [
    "nothing",
    "what came",
    "what came first",
    "a copy of what came",
    "a change of what came",
    "own",
    "deny",
    *FAILURES,
]
"""What a wrapper can return in the end."""

SENDS = ["same", "equal", "change"]
"""What a wrapper can run the rest with."""

SERVER = ["result", "other result", "error", "gone", "denied elsewhere"]
"""What a server, or what stands before it, can answer; `gone` is raised."""

CALL = ToolCall("echo", {"a": [1]})
RESULT = ToolResult([{"type": "text", "text": "a"}])
PAYLOADS: dict[str, Payload] = {PRE: CALL, POST: RESULT}
RESULTS = {
    "result": RESULT,
    "other result": ToolResult(is_error=True),
    "error": ToolResult(error={"code": -32000, "message": "no", "data": None}),
}


class Model:
    """One chain; its memory is who rests after an error."""

    def __init__(
        self, plugins: Sequence[Plugin], hook: str = PRE, server: Sequence[str] = ("result",)
    ) -> None:
        self.order = [p for p in in_order(plugins) if p.mode is not Mode.BACKGROUND]
        self.observers = [p for p in in_order(plugins) if p.mode is Mode.BACKGROUND]
        self.hook, self.server = hook, server
        self.resting = set[str]()
        self.perhaps_resting = set[str]()

    def run(self, payload: Any, shared: dict[str, Any] | None = None) -> Told:
        """Say what becomes of one operation."""
        self.told = Told(shared=dict(shared or {}))
        self.repetitions = 0
        self.final = None
        try:
            end = self.told.end = self.rest(0, payload)
            self.final = end.payload
        except GoneError:
            pass
        for plugin in self.observers:
            what = "skip" if plugin.matches is False else "queued"
            self.told.record.append(Line(plugin.name, what, what))
            if what == "queued":
                self.told.background.append((plugin.name, self.final))
        return self.told

    # the chain

    def rest(self, place: int, payload: Any) -> End:
        """Say what the plugins from a place on make of a payload, and the server behind them."""
        if place == len(self.order):
            return End(payload) if self.hook == POST else self.ask_server(payload)
        plugin = self.order[place]
        if plugin.sends is not None:
            return self.wrapped(plugin, place, payload)
        neighbours = self.neighbours(place)
        end = self.plain(plugin, payload) if not neighbours else self.together(neighbours, payload)
        if end.verdict is not None:
            return end
        return self.rest(place + max(1, len(neighbours)), end.payload)

    def ask_server(self, payload: Any) -> End:
        """The server gives one answer after the other, and the last one for good."""
        self.final = payload
        answer = self.server[min(len(self.told.asked), len(self.server) - 1)]
        self.told.asked.append(payload)
        if answer == "gone":
            raise GoneError
        if answer == "denied elsewhere":
            return End(payload, No("elsewhere"), "elsewhere")
        return End(payload, RESULTS[answer])

    def neighbours(self, place: int) -> list[Plugin]:
        """The validators that stand side by side from a place on, if there is more than one."""
        found: list[Plugin] = []
        for plugin in self.order[place:]:
            if plugin.mode is not Mode.VALIDATE or plugin.sends is not None:
                break
            found.append(plugin)
        return found if len(found) > 1 else []

    # who is asked, and what a failure means

    def deed(self, plugin: Plugin) -> str:
        return plugin.does[min(self.repetitions, len(plugin.does) - 1)]

    def rests(self, plugin: Plugin) -> bool:
        if plugin.name in self.perhaps_resting:
            raise UndecidedError
        return plugin.name in self.resting

    def fail(self, plugin: Plugin, line: Line) -> None:
        """A plugin has failed: `disable` lets it rest from now on."""
        line.requested, line.applied = "error", "pass"
        if plugin.on_error is OnError.DISABLE:
            self.resting.add(plugin.name)

    def closes(self, plugin: Plugin, *, resting: bool) -> bool:
        """Whether a failure denies the operation; `resting` where it was not even called."""
        if plugin.mode in OBSERVES or plugin.on_error is OnError.IGNORE:
            return False
        return not (resting and plugin.passed_while_disabled)

    # plugins that wrap nothing

    def plain(self, plugin: Plugin, payload: Any) -> End:
        """One after the other: what one shares is there for the next."""
        end, notes = self.turn(plugin, payload, self.note(plugin))
        self.take_over(notes)
        return end

    def together(self, plugins: Sequence[Plugin], payload: Any) -> End:
        """Side by side: all see the same, the first deny in order wins, notes come in order."""
        settled: list[Notes] = []
        end = End(payload)
        for plugin in plugins:
            if end.verdict is not None:
                self.beside_a_deny(plugin, payload)
                continue
            end, notes = self.turn(plugin, payload, self.note(plugin))
            settled.append(notes)
        for notes in settled:
            self.take_over(notes)
        return end

    def beside_a_deny(self, plugin: Plugin, payload: Any) -> None:
        """A validator after the one that denies: cancelled, unless it was quicker."""
        told, self.told = self.told, Told(shared=self.told.shared)
        rested = set(self.resting)
        line = self.note(plugin)
        try:
            self.turn(plugin, payload, line)
        except UndecidedError:
            line.undecided = True
            self.called(plugin, payload, line)
        line.timing = True
        told.record.append(line)
        told.maybe += self.told.seen
        self.told = told
        self.perhaps_resting |= self.resting - rested
        self.resting = rested

    def turn(self, plugin: Plugin, payload: Any, line: Line) -> tuple[End, Notes]:
        """One plugin's turn: what it comes to, and the notes that it leaves."""
        nothing: Notes = (plugin, ())
        if plugin.matches is False:
            line.requested = line.applied = "skip"
            return End(payload), nothing
        if self.rests(plugin):
            line.requested, line.applied = "error", "pass"
            if self.closes(plugin, resting=True):
                line.applied = "deny"
                return End(payload, No(plugin.name, is_error=True), plugin.name), nothing
            return End(payload), nothing
        notes = self.called(plugin, payload, line)
        line.requested = ANSWERS[self.deed(plugin)]
        if self.hook == POST and line.requested == "respond":
            line.requested = "error"
        if line.requested == "error":
            self.fail(plugin, line)
            if self.closes(plugin, resting=False):
                line.applied = "deny"
                return End(payload, No(plugin.name, is_error=True), plugin.name), nothing
            return End(payload), nothing
        return self.applied(plugin, payload, line), notes

    def applied(self, plugin: Plugin, payload: Any, line: Line) -> End:
        """What becomes of what a plugin requests, within what its mode lets it do."""
        allowed = {"pass"}
        allowed |= {"deny"} if plugin.mode in MAY_DENY else set()
        allowed |= {"modify", "respond"} if plugin.mode in MAY_MODIFY else set()
        line.applied = line.requested if line.requested in allowed else "pass"
        match line.applied:
            case "deny":
                return End(payload, No(plugin.name), plugin.name)
            case "respond":
                return End(payload, own_result(plugin.name), plugin.name)
            case "modify":
                return End(changed(plugin.name, payload))
            case _:
                return End(payload)

    # wrappers

    def wrapped(self, plugin: Plugin, place: int, payload: Any) -> End:
        """A wrapper's turn: it is round the turns of all that come after it."""
        line = self.note(plugin)
        if plugin.matches is False:
            line.requested = line.applied = "skip"
            return self.rest(place + 1, payload)
        if self.rests(plugin):
            line.requested, line.applied = "error", "pass"
            if self.closes(plugin, resting=True):
                line.applied = "deny"
                return End(payload, No(plugin.name, is_error=True), plugin.name)
            return self.rest(place + 1, payload)
        notes = self.called(plugin, payload, line)
        deed = self.deed(plugin)
        round_ = Round(self, plugin, place, payload, notes)
        try:
            round_.send_all()
        except GoneError:  # it lets the server's error pass: that is no failure
            line.requested = line.applied = "pass"
            self.take_over(notes)
            raise
        return round_.conclude(deed, line)

    # notes and the record

    def note(self, plugin: Plugin) -> Line:
        line = Line(plugin.name)
        self.told.record.append(line)
        return line

    def called(self, plugin: Plugin, payload: Any, line: Line) -> Notes:
        """A plugin is called: it sees what is there, and may note things of its own."""
        if plugin.blind:
            self.told.seen.append(Seen(plugin.name, payload))
            return plugin, ()
        self.told.seen.append(Seen(plugin.name, payload, tuple(sorted(self.told.shared))))
        line.findings = 1
        view = dict(self.told.shared)
        done: list[str] = []
        for note in plugin.notes:
            if note.startswith("+") or note[1:] in view:  # what is not there can't be deleted
                done.append(note)
                view = noted(view, (plugin, (note,)))
        return plugin, tuple(done)

    def take_over(self, notes: Notes) -> None:
        """A turn has ended well: its notes, and what it deleted, are everybody's now."""
        self.told.shared = noted(self.told.shared, notes)


class Round:
    """What a wrapper does in one turn, and what that comes to."""

    def __init__(
        self, model: Model, plugin: Plugin, place: int, payload: Any, notes: Notes
    ) -> None:
        self.model, self.plugin, self.place, self.payload = model, plugin, place, payload
        self.notes = notes
        self.sent: Any = None
        self.came: list[Any] = []
        """What the calls of the rest gave, those that gave something."""
        self.end: End | None = None
        """What the rest came to when it ran last; None if it raised, or never ran."""
        self.gone = False

    def send_all(self) -> None:
        for send in self.plugin.sends or ():
            try:
                self.send({"change": changed(self.plugin.name, self.payload)}.get(send))
            except GoneError:
                self.came.append(None)
                if not self.plugin.catches:
                    raise
        if self.plugin.sends:
            self.model.told.seen.append(self.seen_after())

    def send(self, new: Any) -> None:
        """Run the rest; who may not modify runs it once, with what it was given."""
        self.model.repetitions += 1
        if self.plugin.mode in MAY_MODIFY or self.sent is None:
            self.sent = self.payload if new is None else new
            self.end, self.gone = None, True
            passes_on = self.sent if self.plugin.mode in MAY_MODIFY else self.payload
            self.end, self.gone = self.model.rest(self.place + 1, passes_on), False
        if self.gone:
            raise GoneError
        self.came.append(self.got())

    def got(self) -> Any:
        """What the rest's end looks like for who wraps it."""
        assert self.end is not None
        return self.end.payload if self.end.verdict is None else self.end.verdict

    def seen_after(self) -> Seen:
        """It sees by now what the others shared inside, with its own notes on top."""
        shared = () if self.plugin.blind else noted(self.model.told.shared, self.notes)
        return Seen(self.plugin.name, "after", tuple(sorted(shared)))

    def answer(self, deed: str) -> Any:
        """What the wrapper returns; None is nothing."""
        name, last = self.plugin.name, self.came[-1] if self.came else None
        given = [came for came in self.came if came is not None]
        result = last if isinstance(last, ToolResult) else None
        return {
            "nothing": None,
            "what came": last,
            "what came first": given[0] if given else None,
            "a copy of what came": result.replace() if result else last,
            "a change of what came": changed(name, result) if result else last,
            "own": own_result(name),
            "deny": No(name),
        }[deed]

    def conclude(self, deed: str, line: Line) -> End:
        """The mode says what of the answer counts; what nobody may undo is a deny inside."""
        plugin, model = self.plugin, self.model
        if deed in FAILURES:
            answer = None
            model.fail(plugin, line)
            if model.closes(plugin, resting=False):
                line.applied = "deny"
                return self.denied(No(plugin.name, is_error=True))
        else:
            answer = self.answer(deed)
            model.take_over(self.notes)
            line.requested = self.requested(answer)
        line.applied = "pass"
        own = not (self.end is not None and answer is self.end.verdict)
        if isinstance(answer, No) and own and plugin.mode in MAY_DENY:
            line.applied = "deny"
            return self.denied(answer)
        if isinstance(answer, ToolResult) and plugin.mode in MAY_MODIFY:
            return self.within(answer, line)
        return self.within(None, line)

    def denied(self, verdict: No) -> End:
        payload = self.payload if self.end is None else self.end.payload
        return End(payload, verdict, self.plugin.name)

    def within(self, result: ToolResult | None, line: Line) -> End:
        """What comes of a result, or of none, where nothing is denied by the wrapper."""
        if self.end is None:
            if result is not None:
                line.applied = "respond"
                return self.replaced(result, self.payload)
            if self.gone:
                raise GoneError
            return self.model.rest(self.place + 1, self.payload)
        if self.plugin.mode in MAY_MODIFY and self.sent != self.payload:
            line.applied = "modify"
        if result is None or isinstance(self.end.verdict, No) or result is self.got():
            return self.end
        if result != self.got():
            line.applied = "modify"
        return self.replaced(result, self.end.payload)

    def replaced(self, result: ToolResult, payload: Any) -> End:
        if self.model.hook == POST:
            return End(result)
        return End(payload, result, self.plugin.name)

    def requested(self, answer: Any) -> str:
        got = None if self.end is None else self.got()
        if isinstance(answer, No) and answer is not got:
            return "deny"
        if got is None:
            return "pass" if answer is None else "respond"
        as_it_came = answer is None or answer is got or answer == got
        return "pass" if as_it_came and self.sent == self.payload else "modify"


def noted(shared: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Return the shared notes as they are after some more."""
    after = dict(shared)
    plugin, done = notes
    for note in done:
        if note.startswith("+"):
            after[note[1:]] = plugin.name
        else:
            after.pop(note[1:], None)
    return after


def in_order(plugins: Sequence[Plugin]) -> list[Plugin]:
    """Lower priority first; then wrappers; then as pluggy has it; then as they are configured.

    pluggy takes `trylast` at its word: of two, the one that is configured first is the very last.
    """
    places = ["tryfirst", "", "trylast"]

    def by_place(plugin: Plugin) -> tuple[int, bool, int]:
        return plugin.priority, plugin.sends is None, places.index(plugin.place)

    def tied() -> Iterator[Plugin]:
        for (_, _, place), group in groupby(sorted(plugins, key=by_place), key=by_place):
            yield from list(group)[:: -1 if places[place] == "trylast" else 1]

    return [plugin for plugin in tied() if plugin.mode is not Mode.DISABLED]
