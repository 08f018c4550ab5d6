import subprocess
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import anyio
import pytest

from plugway.errors import StartupError
from plugway.testing import Kit, run
from plugway_hookspecs import (
    CallNext,
    Client,
    Context,
    Deny,
    Host,
    Plugin,
    PluginConfig,
    PluginError,
    Principal,
    ResourceFetch,
    Respond,
    ServerUnavailableError,
    ToolCall,
    ToolList,
    ToolResult,
    hookimpl,
)
from plugway_hookspecs.context import READ_HEADERS

TEXT = {"type": "text", "text": "hello"}


class Guard(Plugin):
    """Denies what is called as its configuration says."""

    class Config(PluginConfig):
        name: str = "forbidden"

    config: Config

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Deny | None:
        context.annotate("seen", payload.name)
        return Deny("not this one", code="named") if payload.name == self.config.name else None


async def test_a_deny_is_told_with_its_code_its_reason_and_its_record() -> None:
    outcome = await run(Guard, ToolCall("a"), config={"name": "a"})
    assert outcome.denied
    assert (outcome.code, outcome.reason, outcome.plugin) == ("named", "not this one", "Guard")
    assert [(line.plugin, line.applied) for line in outcome.record] == [("Guard", "deny")]
    assert [(f.key, f.value) for f in outcome.findings] == [("seen", "a")]
    assert (outcome.result, outcome.payload) == (None, ToolCall("a"))


async def test_what_a_plugin_says_nothing_about_passes() -> None:
    outcome = await run(Guard, ToolCall("a"))
    assert (outcome.denied, outcome.responded, outcome.modified) == (False, False, False)
    assert (outcome.code, outcome.reason, outcome.plugin) == ("", "", "")
    assert outcome.payload == outcome.request == ToolCall("a")


async def test_an_outcome_tells_in_one_line_who_did_what() -> None:
    outcome = await run(Guard, ToolCall("a"), config={"name": "a"})
    assert repr(outcome) == "<Outcome denied by 'Guard' (named: not this one); Guard deny>"
    assert "  tool_pre_invoke  Guard  enforce  deny  not this one" in str(outcome).splitlines()
    assert "  tool_pre_invoke  Guard  found seen: 'a'" in str(outcome).splitlines()
    audited = await run(Guard, ToolCall("forbidden"), mode="audit")
    assert repr(audited) == "<Outcome passed unchanged; Guard deny (applied: pass)>"


async def test_settings_are_validated_as_in_a_configuration() -> None:
    with pytest.raises(StartupError, match=r"config\.nam: unknown key; did you mean 'name'\?"):
        await run(Guard, ToolCall("a"), config={"nam": "a"})


async def test_the_keys_of_an_entry_mean_what_they_mean_in_a_configuration() -> None:
    skipped = await run(Guard, ToolCall("forbidden"), when=[{"tools": ["other"]}])
    assert [line.applied for line in skipped.record] == ["skip"]

    class Slow(Plugin):
        @hookimpl
        async def tool_pre_invoke(self) -> None:
            await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(PluginError, match="timed out"):
        await run(Slow, ToolCall("a"), timeout="1ms")


async def test_an_answer_passes_the_post_hooks_with_what_the_pre_hooks_left() -> None:
    class Pair(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall, context: Context) -> ToolCall:
            context.state["was"] = payload.name
            return payload.replace(arguments={"n": 1})

        @hookimpl
        def tool_post_invoke(self, payload: ToolResult, context: Context) -> ToolResult:
            assert context.request == ToolCall("a", {"n": 1})
            return payload.replace(meta={"was": context.state["was"]})

    outcome = await run(Pair, ToolCall("a"), answer=ToolResult([TEXT]))
    assert outcome.request == ToolCall("a", {"n": 1})
    assert outcome.result == ToolResult([TEXT], meta={"was": "a"})
    assert outcome.modified
    assert [line.hook for line in outcome.record] == ["tool_pre_invoke", "tool_post_invoke"]
    alone = await run(Pair, ToolCall("a"))
    assert alone.result is None


async def test_what_a_plugin_responds_passes_the_post_hooks_in_place_of_the_answer() -> None:
    class Cached(Plugin):
        @hookimpl
        def tool_pre_invoke(self) -> Respond:
            return Respond(ToolResult([TEXT]))

        @hookimpl
        def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            return payload.replace(meta={"post": True})

    outcome = await run(Cached, ToolCall("a"), answer=ToolResult())
    assert outcome.responded
    assert outcome.plugin == "Cached"
    assert outcome.result == ToolResult([TEXT], meta={"post": True})
    single = await run(Cached, ToolCall("a"), hook="tool_pre_invoke")
    assert single.responded
    assert single.result == ToolResult([TEXT])


async def test_a_wrapper_learns_what_the_server_would_have_been_asked() -> None:
    class Looks(Plugin):
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, context: Context, call_next: CallNext[ToolCall, ToolResult]
        ) -> None:
            await call_next(payload.replace(arguments={"n": 1}))
            context.annotate("sent", context.request == ToolCall("a", {"n": 1}))

    outcome = await run(Looks, ToolCall("a"), answer=ToolResult())
    assert outcome.findings[0].value is True


async def test_a_wrapper_gets_the_answer_and_what_it_makes_of_it_goes_on() -> None:
    class Wrap(Plugin):
        @hookimpl(wrapper=True)
        async def tool_pre_invoke(
            self, payload: ToolCall, call_next: CallNext[ToolCall, ToolResult]
        ) -> ToolResult | Deny:
            if payload.name == "known":
                return ToolResult([TEXT])
            result = await call_next(payload.replace(arguments={"n": 1}))
            return result if isinstance(result, Deny) else result.replace(meta={"n": 1})

        @hookimpl
        def tool_post_invoke(self, payload: ToolResult) -> ToolResult:
            return payload.replace(is_error=True)

    outcome = await run(Wrap, ToolCall("a"), answer=ToolResult())
    assert not outcome.responded
    assert outcome.request == ToolCall("a", {"n": 1})
    assert outcome.result == ToolResult(meta={"n": 1}, is_error=True)
    answered = await run(Wrap, ToolCall("known"))
    assert answered.responded
    assert answered.plugin == "Wrap"
    assert answered.result == ToolResult([TEXT], is_error=True)
    alone = await run(Wrap, ToolCall("a"), answer=ToolResult(), hook="tool_pre_invoke")
    assert alone.result == ToolResult(meta={"n": 1})
    with pytest.raises(TypeError, match="say what comes back, with answer="):
        await run(Wrap, ToolCall("a"))


async def test_a_denied_answer_does_not_reach_the_client() -> None:
    class Withhold(Plugin):
        @hookimpl
        def tool_post_invoke(self) -> Deny:
            return Deny("secret")

    outcome = await run(Withhold, ToolCall("a"), answer=ToolResult([TEXT]))
    assert outcome.denied
    assert outcome.result is None
    alone = await run(Withhold, ToolResult([TEXT]))
    assert alone.denied
    assert alone.result is None


async def test_a_plugin_sees_the_context_that_the_test_gives() -> None:
    seen: dict[str, Any] = {}

    class Curious(Plugin):
        capabilities = frozenset({READ_HEADERS})

        @hookimpl
        def tool_post_invoke(self, context: Context) -> None:
            for key in ("principal", "client", "headers", "server", "definition", "name", "method"):
                seen[key] = getattr(context, key)
            seen.update(id=context.request_id, trace=context.trace)

    await run(
        Curious,
        ToolResult(),
        principal=Principal("ada"),
        client=Client("test"),
        headers={"X-Team": "blue"},
        server="crm",
        definition={"name": "find"},
        request=ToolCall("crm__find"),
        request_id="7",
        trace={"traceparent": "00"},
    )
    assert seen == {
        "principal": Principal("ada"),
        "client": Client("test"),
        "headers": {"x-team": "blue"},
        "server": "crm",
        "definition": {"name": "find"},
        "name": "crm__find",
        "method": "tools/call",
        "id": "7",
        "trace": {"traceparent": "00"},
    }


async def test_headers_stay_hidden_from_a_plugin_that_does_not_ask_for_them() -> None:
    class Blind(Plugin):
        @hookimpl
        def tool_pre_invoke(self, context: Context) -> None:
            context.annotate("headers", dict(context.headers))

    outcome = await run(Blind, ToolCall("a"), headers={"authorization": "s3cret"})
    assert outcome.findings[0].value == {}
    assert "s3cret" not in repr(outcome)


async def test_an_exception_of_a_plugin_fails_the_test_with_its_own_traceback() -> None:
    class Broken(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> None:
            payload.arguments["a"] = 1  # type: ignore[index]

    with pytest.raises(PluginError) as failed:
        await run(Broken, ToolCall("a"))
    assert (failed.value.plugin, failed.value.hook) == ("Broken", "tool_pre_invoke")
    assert "payloads are immutable" in str(failed.value.__cause__)
    outcome = await run(Broken, ToolCall("a"), raise_errors=False)
    assert outcome.code == "plugin_error"
    ignored = await run(Broken, ToolCall("a"), on_error="ignore", raise_errors=False)
    assert not ignored.denied


async def test_a_plugin_is_started_and_stopped() -> None:
    done: list[str] = []

    class Living(Plugin):
        @hookimpl
        async def plugin_startup(self, host: Host) -> None:
            done.append(f"start {self.name}")

        @hookimpl
        def tool_pre_invoke(self) -> None:
            done.append("call")

        @hookimpl
        async def plugin_shutdown(self) -> None:
            done.append("stop")

    await run(Living, ToolCall("a"))
    assert done == ["start Living", "call", "stop"]


async def test_a_module_and_the_name_of_an_installed_kind_are_plugins_too() -> None:
    module = ModuleType("acme.rules")

    @hookimpl
    def tool_pre_invoke(payload: ToolCall) -> Deny | None:
        return Deny("acme says no")

    vars(module)["tool_pre_invoke"] = tool_pre_invoke
    assert (await run(module, ToolCall("a"))).plugin == "rules"
    assert (await run("deny_list", ToolCall("a"), config={"tools": ["a"]})).denied


@pytest.mark.parametrize(
    ("plugin", "payload", "message"),
    [
        (Guard, ToolResult(), "it has no tool_post_invoke for ToolResult, only tool_pre_invoke"),
        (Guard, ResourceFetch("a:b"), "no resource_post_fetch or resource_pre_fetch"),
        (Guard, "text", "no hook takes str: give a payload"),
        (object(), ToolCall("a"), "object object is no plugin kind: give its class"),
    ],
)
async def test_what_would_test_nothing_is_refused(plugin: Any, payload: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        await run(plugin, payload)


@pytest.mark.parametrize(
    ("payload", "answer", "message"),
    [
        (ToolCall("a"), ToolList(), "the answer to ToolCall is ToolResult, not ToolList"),
        (ToolResult(), ToolResult(), "`answer` is for a request, and comes behind its pre hooks"),
    ],
)
async def test_an_answer_has_to_fit_its_request(payload: Any, answer: Any, message: str) -> None:
    class Both(Plugin):
        @hookimpl
        def tool_pre_invoke(self) -> None: ...

        @hookimpl
        def tool_post_invoke(self) -> None: ...

    with pytest.raises(TypeError, match=message):
        await run(Both, payload, answer=answer)


class Asker(Plugin):
    """Asks a server."""

    @hookimpl
    async def plugin_startup(self, host: Host) -> None:
        self.server = host.server("judge")
        await self.server.connect()

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
        said = await self.server.request("tools/call", {"name": payload.name}, timeout=1.0)
        return Deny(said["why"]) if said["why"] else None


async def test_a_function_answers_for_a_server() -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    async def judge(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        asked.append((method, params))
        return {"why": "no"}

    assert (await run(Asker, ToolCall("a"), servers={"judge": judge})).reason == "no"
    assert asked == [("tools/call", {"name": "a"})]

    def plain(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"why": "plainly no"}

    assert (await run(Asker, ToolCall("a"), servers={"judge": plain})).reason == "plainly no"


async def test_a_function_may_fail_as_a_server_does() -> None:
    def gone(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        raise ServerUnavailableError("gone", server="judge")

    with pytest.raises(PluginError) as failed:
        await run(Asker, ToolCall("a"), servers={"judge": gone})
    assert isinstance(failed.value.__cause__, ServerUnavailableError)


def test_the_fixture_runs_plugins_in_plain_functions(plugway: Kit) -> None:
    outcome = plugway.run(Guard, ToolCall("forbidden"), principal=Principal("ada"))
    assert outcome.denied


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("plugway.pytest_plugin", {"anyio", "pydantic", "plugway_hookspecs", "plugway.testing"}),
        ("plugway.testing", {"mcp", "mcp_types", "httpx2", "hypothesis", "blockbuster", "pytest"}),
    ],
)
def test_nothing_is_imported_that_a_test_may_not_need(module: str, absent: set[str]) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert absent.isdisjoint(done.stdout.decode().split())
