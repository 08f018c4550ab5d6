import itertools
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from plugway.methods import HOOKS
from plugway.testing import BrokenPromiseError, check_plugin
from plugway.testing.check import promises, trial
from plugway.testing.check.payloads import Payloads
from plugway_hookspecs import (
    CallNext,
    Context,
    Deny,
    Payload,
    Plugin,
    Respond,
    ToolCall,
    ToolResult,
    hookimpl,
)

Act = Callable[[Any, Context], Any]
FEW = 30


@pytest.fixture
def no_blocking_calls() -> None:
    """Leave it to `check_plugin` to notice."""


def kind(act: Act) -> type[Plugin]:
    """Make a plugin of a function for tool calls."""

    class Subject(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Any:
            return act(payload, context)

    return Subject


def broken(
    plugin: type[Plugin], payloads: Sequence[Payload] = (), examples: int = FEW
) -> BrokenPromiseError:
    with pytest.raises(BrokenPromiseError) as raised:
        check_plugin(plugin, payloads=payloads, examples=examples)
    return raised.value


def edit(payload: Any, context: Context) -> None:
    payload.arguments["a"] = 1


def assign(payload: Any, context: Context) -> None:
    payload.name = "a"


def go_behind(payload: Any, context: Context) -> None:
    object.__setattr__(payload, "name", payload.name + "!")


def use_a_set(payload: Any, context: Context) -> Any:
    return payload.replace(meta={"a": {1, 2}})


def annotate_an_object(payload: Any, context: Context) -> None:
    context.annotate("a", object())


def deny_with_a_number(payload: Any, context: Context) -> Deny:
    return Deny(7)  # type: ignore[arg-type]


def deny_with_text(payload: Any, context: Context) -> Any:
    return "denied"


def respond_with_a_call(payload: Any, context: Context) -> Respond:
    return Respond(ToolCall("a"))


def respond_with_no_list(payload: Any, context: Context) -> Respond:
    return Respond(ToolResult(content=["text"]))  # type: ignore[list-item]


def trip(payload: Any, context: Context) -> None:
    payload.arguments["missing"]


def sleep(payload: Any, context: Context) -> None:
    time.sleep(0)


def read(payload: Any, context: Context) -> None:
    Path(__file__).read_text()


def say(payload: Any, context: Context) -> None:
    sys.stdout.write(repr(payload))


def log(payload: Any, context: Context) -> None:
    logging.getLogger("acme").debug("called with %r", payload)


@pytest.mark.parametrize(
    ("act", "promise"),
    [
        (edit, promises.MUTATES),
        (assign, promises.MUTATES),
        (go_behind, promises.MUTATES),
        (use_a_set, promises.NOT_JSON),
        (annotate_an_object, promises.NOT_JSON),
        (deny_with_a_number, promises.NOT_JSON),
        (respond_with_no_list, promises.NOT_JSON),
        (deny_with_text, promises.WRONG_TYPE),
        (respond_with_a_call, promises.WRONG_TYPE),
        (trip, promises.RAISES),
        (sleep, promises.BLOCKS),
        (read, promises.BLOCKS),
        (say, promises.LEAKS),
        (log, promises.LEAKS),
    ],
)
def test_a_broken_promise_is_told(act: Act, promise: promises.Promise) -> None:
    error = broken(kind(act), payloads=[ToolCall("a", {"b": "tok_5d1a9e0f3b7c"})])
    assert error.promise is promise
    assert (error.plugin, error.hook) == ("Subject", "tool_pre_invoke")


def test_a_payload_that_is_changed_behind_its_back_is_shown_as_it_is_now() -> None:
    assert "seen:    it is now ToolCall(name='!'" in str(broken(kind(go_behind)))


def test_the_message_names_plugin_hook_smallest_payload_and_what_to_do() -> None:
    def picky(payload: ToolCall, context: Context) -> None:
        if payload.arguments:
            raise LookupError("what is this?")

    error = broken(kind(picky))
    first, payload, *rest = str(error).splitlines()
    assert first == "plugin 'Subject' breaks a promise in tool_pre_invoke: it raises"
    assert payload.startswith("  payload: ToolCall(name='', arguments={'': ")
    assert rest == [
        "  seen:    LookupError: what is this?",
        "  to do:   an exception is no verdict: handle it, or return a Deny",
    ]
    assert isinstance(error.__cause__, LookupError)


def test_the_message_shows_the_context_where_that_matters() -> None:
    def rude(payload: ToolCall, context: Context) -> None:
        if context.server:
            raise LookupError

    assert "server='crm'" in str(broken(kind(rude), examples=100)).splitlines()[2]


def test_a_payload_that_is_changed_after_it_was_returned_is_told() -> None:
    class Late(Plugin):
        last: ToolCall | None = None

        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> ToolCall:
            if self.last is not None:
                object.__setattr__(self.last, "name", "changed")
            self.last = payload.replace(meta={"n": 1})
            return self.last

    assert broken(Late).promise is promises.MUTATES


def test_chance_is_told_unless_the_plugin_admits_to_it() -> None:
    numbers = itertools.count()

    def lottery(payload: ToolCall, context: Context) -> Any:
        return payload.replace(meta={"n": next(numbers)})

    assert broken(kind(lottery)).promise is promises.VARIES
    check_plugin(kind(lottery), examples=FEW, deterministic=False)


def test_a_plugin_with_a_memory_is_deterministic() -> None:
    class Counting(Plugin):
        count = 0

        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
            self.count += 1
            return payload.replace(meta={"n": self.count, "id": context.request_id})

    check_plugin(Counting, examples=FEW)


def test_a_plugin_that_waits_for_ever_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.01)

    class Stuck(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            await anyio.sleep_forever()

    assert broken(Stuck).promise is promises.HANGS


def test_a_plugin_that_swallows_its_cancellation_is_told() -> None:
    class Deaf(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            with suppress(BaseException):
                await checkpoint()

    assert broken(Deaf).promise is promises.SWALLOWS


def test_a_plugin_that_does_not_work_after_a_cancellation_is_told() -> None:
    class Fragile(Plugin):
        busy = False

        @hookimpl
        async def tool_pre_invoke(self) -> None:
            if self.busy:
                raise RuntimeError("still busy")
            self.busy = True
            await checkpoint()
            self.busy = False

    assert broken(Fragile).promise is promises.RAISES


def test_a_wrapper_is_held_to_the_same_promises() -> None:
    class Signing(Plugin):
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            result = await call_next(payload)
            return result if isinstance(result, Deny) else result.replace(meta={"signed": True})

    class Scribbling(Plugin):
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            result = await call_next(payload)
            if isinstance(result, ToolResult):
                result.meta["signed"] = True  # type: ignore[index]
            return result

    check_plugin(Signing, examples=FEW)
    assert broken(Scribbling).promise is promises.MUTATES


def test_a_plugin_that_waits_and_cleans_up_keeps_its_promises() -> None:
    class Tidy(Plugin):
        @hookimpl
        async def tool_pre_invoke(self, payload: ToolCall) -> None:
            with anyio.CancelScope():
                await checkpoint()

    check_plugin(Tidy, examples=FEW)


def test_a_plain_function_in_a_thread_may_block() -> None:
    check_plugin(kind(sleep), threaded=True, examples=5)


def test_only_the_hooks_that_are_asked_for_are_tried() -> None:
    class Half(Plugin):
        @hookimpl
        def tool_pre_invoke(self) -> None:
            raise LookupError

        @hookimpl
        def tool_post_invoke(self) -> None: ...

    check_plugin(Half, hooks=["tool_post_invoke"], examples=FEW)
    with pytest.raises(TypeError, match="has no prompt_pre_fetch, only tool_post_invoke, tool_pre"):
        check_plugin(Half, hooks=["prompt_pre_fetch"])


def test_words_of_the_tests_own_payloads_turn_up_in_what_is_made_up() -> None:
    given = ToolCall("x", {"deep": ["xyzzy"]})
    seen: list[ToolCall] = []

    def note(payload: ToolCall, context: Context) -> None:
        if payload != given and "xyzzy" in repr(payload):
            seen.append(payload)

    check_plugin(kind(note), payloads=[given], examples=100)
    assert seen


def test_what_the_test_says_about_the_context_holds_for_all_calls() -> None:
    def only_crm(payload: ToolCall, context: Context) -> None:
        assert context.server == "crm"

    check_plugin(kind(only_crm), server="crm", examples=FEW)


async def test_an_asynchronous_test_is_told_to_be_a_plain_one() -> None:
    with pytest.raises(RuntimeError, match="call it in a plain def test"):
        check_plugin(kind(edit))


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "plugway.testing.check.search", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'plugway\[testing\]'"):
        check_plugin(kind(edit))


@settings(max_examples=20)
@given(st.data())
@pytest.mark.parametrize("hook", HOOKS)
def test_every_kind_of_payload_can_be_made_up(hook: str, data: st.DataObject) -> None:
    payload = data.draw(Payloads(["word"]).of(HOOKS[hook][0]))
    assert isinstance(payload, Payload)
