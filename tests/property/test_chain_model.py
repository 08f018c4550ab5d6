"""The chain against a plain, slow model of what the design says a chain does."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from plugway.chain import Chain
from plugway.compiler import compile_chains
from plugway.failing import PLUGIN_ERROR
from plugway.record import lines
from plugway.steps import Policy
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    OnError,
    Operation,
    Payload,
    PromptResult,
    Respond,
    ToolCall,
    ToolResult,
    hookimpl,
)

PRE, POST = "tool_pre_invoke", "tool_post_invoke"


# what plugins do


@dataclass(frozen=True)
class Script:
    """What one plugin does, and what its operator lets it do."""

    name: str
    does: str
    mode: Mode
    on_error: OnError
    priority: int
    matches: bool | None
    """What its conditions say; None where it has none."""
    awaits: int | None
    """How often it gives way to others; None for a plain `def`."""


def changed(script: Script, payload: Any) -> Any:
    field_name = "arguments" if isinstance(payload, ToolCall) else "meta"
    return payload.replace(**{field_name: {**getattr(payload, field_name), script.name: [1]}})


def act(script: Script, payload: Any) -> Any:
    answers = {
        "nothing": lambda: None,
        "same": lambda: payload,
        "equal": payload.replace,
        "change": lambda: changed(script, payload),
        "deny": lambda: Deny(script.name),
        "respond": lambda: Respond(ToolResult(meta={"by": script.name})),
        "respond wrongly": lambda: Respond(PromptResult()),
        "wrong type": lambda: {"name": "x"},
        "raise": lambda: 1 / 0,
    }
    return answers[script.does]()


Calls = list[tuple[str, Any]]


class Sync:
    def __init__(self, script: Script, calls: Calls) -> None:
        self.script, self.calls = script, calls

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        self.calls.append((self.script.name, payload))
        return act(self.script, payload)

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> Any:
        self.calls.append((self.script.name, payload))
        return act(self.script, payload)


class Async:
    def __init__(self, script: Script, calls: Calls) -> None:
        self.sync = Sync(script, calls)

    async def wait(self) -> None:
        for _ in range(self.sync.script.awaits or 0):
            await anyio.lowlevel.checkpoint()

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
        await self.wait()
        return self.sync.tool_pre_invoke(payload, context)

    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult, context: Context) -> Any:
        await self.wait()
        return self.sync.tool_post_invoke(payload, context)


# what the design says


@dataclass
class Expected:
    """What becomes of one operation."""

    payload: Any
    verdict: str = ""
    """`deny`, `respond`, `plugin error`, or nothing."""
    plugin: str = ""
    calls: Calls = field(default_factory=Calls)
    maybe: set[str] = field(default_factory=set[str])
    """Validators beside the one that denied: whether they are called is a matter of time."""
    record: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    background: Calls = field(default_factory=Calls)


WHAT = {
    "nothing": "pass",
    "same": "pass",
    "equal": "pass",
    "change": "modify",
    "deny": "deny",
    "respond": "respond",
}
MAY_DENY = {Mode.ENFORCE, Mode.VALIDATE}
MAY_MODIFY = {Mode.ENFORCE, Mode.TRANSFORM}
OBSERVES = {Mode.AUDIT, Mode.BACKGROUND}


def what(script: Script, hook: str) -> str:
    if hook == POST and script.does == "respond":
        return "error"
    return WHAT.get(script.does, "error")


def model(scripts: Sequence[Script], payload: Any, hook: str, resting: set[str]) -> Expected:
    """Say what the chain has to do; `resting` are the plugins that are disabled after an error."""
    ordered = sorted(scripts, key=lambda script: script.priority)
    expected = Expected(payload)
    for position, script in enumerate(ordered):
        if not visible(script):
            continue
        if expected.verdict:
            winner = next(s for s in ordered if s.name == expected.plugin)
            between = [s for s in ordered[ordered.index(winner) : position + 1] if visible(s)]
            if all(s.mode is Mode.VALIDATE for s in between):
                expected.maybe.add(script.name)
            continue
        step(script, hook, expected, resting)
    for script in ordered:
        if script.mode is Mode.BACKGROUND:
            what_became = "skip" if script.matches is False else "queued"
            expected.record.append((script.name, what_became, what_became))
            if script.matches is not False:
                expected.background.append((script.name, expected.payload))
    return expected


def visible(script: Script) -> bool:
    return script.mode not in {Mode.BACKGROUND, Mode.DISABLED}


def step(script: Script, hook: str, expected: Expected, resting: set[str]) -> None:
    if script.matches is False:
        expected.record.append((script.name, "skip", "skip"))
        return
    requested = "error" if script.name in resting else what(script, hook)
    if script.name not in resting:
        expected.calls.append((script.name, expected.payload))
    applied = "pass"
    if requested == "error":
        if script.on_error is OnError.DISABLE:
            resting.add(script.name)
        if script.on_error is not OnError.IGNORE and script.mode not in OBSERVES:
            applied, expected.verdict = "deny", "plugin error"
    elif requested == "deny" and script.mode in MAY_DENY:
        applied = expected.verdict = "deny"
    elif requested == "respond" and script.mode in MAY_MODIFY:
        applied = expected.verdict = "respond"
    elif requested == "modify" and script.mode in MAY_MODIFY:
        applied = "modify"
        expected.payload = changed(script, expected.payload)
    if expected.verdict:
        expected.plugin = script.name
    expected.record.append((script.name, requested, applied))


# what the chain does


def never(_: Operation) -> bool:
    return False


def always(_: Operation) -> bool:
    return True


def compiled(
    scripts: Sequence[Script], hook: str, calls: Calls, background: Calls | None = None
) -> Chain[Any]:
    def offer(step: Any, payload: Payload, operation: Operation) -> bool:
        assert background is not None
        background.append((step.scope.plugin, payload))
        return True

    plugins: list[tuple[str, object, Policy]] = [
        (
            script.name,
            Sync(script, calls) if script.awaits is None else Async(script, calls),
            Policy(
                script.mode,
                script.on_error,
                script.priority,
                when=None if script.matches is None else (never, always)[script.matches],
            ),
        )
        for script in scripts
    ]
    return compile_chains(plugins, offer=offer)[hook]


def verdict_of(verdict: Deny | Respond | None) -> str:
    match verdict:
        case None:
            return ""
        case Deny(code=code) if code == PLUGIN_ERROR:
            return "plugin error"
        case Deny():
            return "deny"
        case Respond():
            return "respond"


async def check(
    scripts: Sequence[Script], chain: Chain[Any], payload: Any, calls: Calls, expected: Expected
) -> None:
    calls.clear()
    operation = Operation("1", "tools/call", "echo", record=[])
    outcome = await chain(payload, operation)
    assert outcome.payload == expected.payload
    assert verdict_of(outcome.verdict) == expected.verdict
    assert outcome.plugin == expected.plugin
    if isinstance(outcome.verdict, Deny) and expected.verdict == "deny":
        assert outcome.verdict.reason == expected.plugin
    sure = [call for call in calls if call[0] not in expected.maybe]
    # neighbouring validators run at once: only which ones are called is fixed, not in what order
    assert sorted(sure, key=repr) == sorted(expected.calls, key=repr)
    sequential = {s.name for s in scripts if s.mode is not Mode.VALIDATE}
    assert [c for c in sure if c[0] in sequential] == [
        c for c in expected.calls if c[0] in sequential
    ]
    turns = [(line.plugin, line.requested, line.applied) for line in lines(operation)]
    assert [turn for turn in turns if turn[0] not in expected.maybe] == expected.record


NAMES = [f"p{number}" for number in range(6)]
ANY_DEED = st.sampled_from([*WHAT, "respond wrongly", "wrong type", "raise"])
ANY_MODE = st.sampled_from(Mode)
ANY_PRIORITY = st.integers(1, 3)
ANY_TIME = st.none() | st.integers(0, 3)


def scripts_of(
    does: st.SearchStrategy[str] = ANY_DEED,
    modes: st.SearchStrategy[Mode] = ANY_MODE,
    priorities: st.SearchStrategy[int] = ANY_PRIORITY,
) -> st.SearchStrategy[list[Script]]:
    one = st.builds(
        Script,
        name=st.just(""),
        does=does,
        mode=modes,
        on_error=st.sampled_from(OnError),
        priority=priorities,
        matches=st.sampled_from([None, None, True, False]),
        awaits=ANY_TIME,
    )
    several = st.lists(one, max_size=len(NAMES))
    return several.map(
        lambda drawn: [replace(s, name=name) for s, name in zip(drawn, NAMES, strict=False)]
    )


PAYLOADS: dict[str, Payload] = {
    PRE: ToolCall("echo", {"a": [1]}),
    POST: ToolResult([{"type": "text", "text": "a"}]),
}


@given(scripts_of(), st.sampled_from([PRE, POST]))
async def test_the_chain_does_what_the_design_says(scripts: list[Script], hook: str) -> None:
    calls, background, resting = Calls(), Calls(), set[str]()
    chain = compiled(scripts, hook, calls, background)
    for _ in range(2):  # the second time, failed plugins with `on_error: disable` rest
        expected = model(scripts, PAYLOADS[hook], hook, resting)
        background.clear()
        await check(scripts, chain, PAYLOADS[hook], calls, expected)
        assert background == expected.background


@given(scripts_of(modes=st.just(Mode.VALIDATE)), st.data())
async def test_which_validator_wins_does_not_depend_on_timing(
    scripts: list[Script], data: st.DataObject
) -> None:
    verdicts: list[tuple[str, str]] = []
    for _ in range(2):
        timed = [replace(script, awaits=data.draw(ANY_TIME)) for script in scripts]
        chain = compiled(timed, PRE, Calls())
        outcome = await chain(PAYLOADS[PRE], Operation("1", "tools/call"))
        verdicts.append((verdict_of(outcome.verdict), outcome.plugin))
    assert verdicts[0] == verdicts[1]


@given(st.lists(st.integers(-3, 3), max_size=8))
async def test_order_is_a_stable_sort(priorities: list[int]) -> None:
    calls = Calls()
    scripts = [
        Script(f"p{n}", "nothing", Mode.ENFORCE, OnError.FAIL, priority, None, 0)
        for n, priority in enumerate(priorities)
    ]
    await compiled(scripts, PRE, calls)(PAYLOADS[PRE], Operation("1", "tools/call"))
    places = sorted(range(len(priorities)), key=lambda n: (priorities[n], n))
    assert [name for name, _ in calls] == [f"p{n}" for n in places]


@given(scripts_of(does=st.just("nothing")), st.sampled_from([PRE, POST]))
async def test_a_chain_that_has_nothing_to_say_gives_back_the_very_payload(
    scripts: list[Script], hook: str
) -> None:
    outcome = await compiled(scripts, hook, Calls(), Calls())(
        PAYLOADS[hook], Operation("1", "tools/call")
    )
    assert outcome.payload is PAYLOADS[hook]
    assert outcome.verdict is None
    assert outcome.plugin == ""


@given(scripts_of(priorities=st.just(1)), st.integers(0, len(NAMES)))
async def test_splitting_a_chain_composes(scripts: list[Script], at: int) -> None:
    scripts = [s for s in scripts if s.mode is not Mode.BACKGROUND]
    operation = Operation("1", "tools/call")
    whole = await compiled(scripts, PRE, Calls())(PAYLOADS[PRE], operation)
    halves = await compiled(scripts[:at], PRE, Calls())(PAYLOADS[PRE], operation)
    if halves.verdict is None:
        halves = await compiled(scripts[at:], PRE, Calls())(halves.payload, operation)
    assert halves.payload == whole.payload
    assert halves.verdict == whole.verdict
    assert halves.plugin == whole.plugin
