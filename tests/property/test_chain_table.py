"""Every row of the table of modes, so that none is left to chance; the model says what is due."""

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from chain_model import ANSWERS, ENDINGS, FAILURES, PAYLOADS, POST, PRE, Model, Plugin
from chain_stage import Stage

from plugway_hookspecs import Mode, OnError

HOOKS = [PRE, POST]
CONDITIONS = [None, True, False]
BEFORE = Plugin("before", ("change",), priority=1)
AFTER = Plugin("after", ("same",), priority=3)


def policies() -> Iterator[tuple[OnError, bool]]:
    """Whether the chain goes on while a plugin rests is a question only where one may rest."""
    yield from [(OnError.FAIL, False), (OnError.IGNORE, False)]
    yield from [(OnError.DISABLE, False), (OnError.DISABLE, True)]


async def check(plugin: Plugin, hook: str, server: Sequence[str] = ("result",)) -> None:
    """Run it twice between two others: the second time, it may rest."""
    chain = [BEFORE, plugin, AFTER]
    stage, model = Stage(chain, hook, server), Model(chain, hook, server)
    for _ in range(2):
        told = model.run(PAYLOADS[hook])
        (await stage.run(PAYLOADS[hook])).check(told)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("mode", Mode)
async def test_every_answer_in_every_mode(mode: Mode, hook: str) -> None:
    for answer, (on_error, passed), matches in product(ANSWERS, policies(), CONDITIONS):
        for awaits in (0, None) if answer != "time out" and matches is None else (0,):
            plugin = Plugin("p", (answer,), mode, on_error, 2, "", matches, passed, ("+a",), awaits)
            await check(plugin, hook)


SENDS: list[tuple[str, ...]] = [(), ("same",), ("change",), ("change", "same")]
WRAPPING_MODES = [mode for mode in Mode if mode is not Mode.BACKGROUND]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("mode", WRAPPING_MODES)
async def test_every_ending_of_a_wrapper_in_every_mode(mode: Mode, hook: str) -> None:
    for ending, sends, (on_error, passed) in product(ENDINGS, SENDS, policies()):
        if ending == "time out" or (on_error is not OnError.FAIL and ending not in FAILURES):
            continue
        plugin = Plugin("p", (ending,), mode, on_error, 2, "", None, passed, ("+a",), sends=sends)
        await check(plugin, hook)


@pytest.mark.parametrize("answer", ["error", "gone", "denied elsewhere"])
@pytest.mark.parametrize("mode", WRAPPING_MODES)
async def test_every_ending_of_a_wrapper_whatever_the_server_says(mode: Mode, answer: str) -> None:
    for ending, sends, catches in product(ENDINGS, SENDS, [False, True]):
        for server in ([answer], [answer, "result"]):
            if ending == "time out" or (len(server) > len(sends)):
                continue
            plugin = Plugin("p", (ending,), mode, OnError.IGNORE, 2, sends=sends, catches=catches)
            await check(plugin, PRE, server)


def said(mode: Mode, answer: str, on_error: OnError = OnError.FAIL) -> tuple[str, str, str]:
    """What the model says, in three words: what is requested, applied, and comes of it."""
    told = Model([Plugin("p", (answer,), mode, on_error)]).run(PAYLOADS[PRE])
    end = "passed on" if told.asked else "denied" if told.end and told.end.by else ""
    (line,) = told.record
    answered = line.applied == "respond"
    return line.requested, line.applied, "answered" if answered else end


@pytest.mark.parametrize(
    ("mode", "answer", "said_to_be"),
    [
        (Mode.ENFORCE, "deny", ("deny", "deny", "denied")),
        (Mode.ENFORCE, "change", ("modify", "modify", "passed on")),
        (Mode.ENFORCE, "respond", ("respond", "respond", "answered")),
        (Mode.ENFORCE, "raise", ("error", "deny", "denied")),
        (Mode.TRANSFORM, "deny", ("deny", "pass", "passed on")),
        (Mode.TRANSFORM, "change", ("modify", "modify", "passed on")),
        (Mode.TRANSFORM, "raise", ("error", "deny", "denied")),
        (Mode.VALIDATE, "deny", ("deny", "deny", "denied")),
        (Mode.VALIDATE, "change", ("modify", "pass", "passed on")),
        (Mode.VALIDATE, "respond", ("respond", "pass", "passed on")),
        (Mode.VALIDATE, "raise", ("error", "deny", "denied")),
        (Mode.AUDIT, "deny", ("deny", "pass", "passed on")),
        (Mode.AUDIT, "change", ("modify", "pass", "passed on")),
        (Mode.AUDIT, "raise", ("error", "pass", "passed on")),
    ],
)
def test_the_model_itself_says_what_the_documentation_does(
    mode: Mode, answer: str, said_to_be: tuple[str, str, str]
) -> None:
    assert said(mode, answer) == said_to_be
    requested, *_ = said_to_be
    if requested == "error":
        assert said(mode, answer, OnError.IGNORE) == ("error", "pass", "passed on")
