"""The SEP-2624 protocol fixtures, replayed against the real host and the real chain."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from plugway_external_bridge.wire.hooks import HOOKS
from plugway_hookspecs import (
    Deny,
    Operation,
    Plugin,
    Server,
    ServerError,
    ToolCall,
    ToolResult,
    hookimpl,
)

Run = Callable[..., AbstractAsyncContextManager[Any]]
Serve = Callable[..., AbstractAsyncContextManager[Server]]
Call = ToolCall | ToolResult

FIXTURES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "fixtures" / "sep2624").glob("*.json"))
}


def note_of(payload: Call) -> Any:
    """The fixtures send one payload in both phases: `arguments.note`."""
    source = payload.arguments if isinstance(payload, ToolCall) else payload.extra["arguments"]
    return source.get("note")


class AllowAll(Plugin):
    @hookimpl
    def tool_pre_invoke(self) -> None: ...

    @hookimpl
    def tool_post_invoke(self) -> None: ...


@hookimpl
def _allow(self: object) -> None: ...


AllowAllEverywhere = type("AllowAllEverywhere", (AllowAll,), dict.fromkeys(HOOKS, _allow))


class DenyAll(Plugin):
    @hookimpl
    def tool_pre_invoke(self) -> Deny:
        return Deny("denied by policy")

    @hookimpl
    def tool_post_invoke(self) -> Deny:
        return Deny("denied by policy")


class RequireUppercaseNote(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> Deny | None:
        return self._judge(payload)

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult) -> Deny | None:
        return self._judge(payload)

    def _judge(self, payload: Call) -> Deny | None:
        return None if str(note_of(payload)).isupper() else Deny("note must be uppercase")


class UppercaseNote(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> ToolCall | None:
        note = note_of(payload)
        if note is None:
            return None
        return payload.replace(arguments={**payload.arguments, "note": note.upper()})

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult) -> ToolResult | None:
        note = note_of(payload)
        if note is None:
            return None
        arguments = {**payload.extra["arguments"], "note": note.upper()}
        return payload.replace(extra={**payload.extra, "arguments": arguments})


class Crash(Plugin):
    @hookimpl
    def tool_pre_invoke(self) -> None:
        raise RuntimeError("a secret")

    @hookimpl
    def tool_post_invoke(self) -> None:
        raise RuntimeError("a secret")


BEHAVIOURS: dict[str, type[Plugin]] = {
    "allow-all": AllowAll,
    "allow-all-everywhere": AllowAllEverywhere,
    "deny-all": DenyAll,
    "require-uppercase-note": RequireUppercaseNote,
    "uppercase-note": UppercaseNote,
    "crash": Crash,
}


def configure(interceptor: dict[str, Any]) -> dict[str, Any]:
    """The configuration that makes a fixture's interceptor."""
    mode = "validate" if interceptor["type"] == "validation" else "transform"
    everywhere = interceptor["events"] == ["*"]
    assert everywhere or interceptor["events"] == ["tools/call"]
    assert interceptor["phases"] == "both"
    return {
        "name": interceptor["name"],
        "kind": interceptor["behavior"] + ("-everywhere" if everywhere else ""),
        "mode": "audit" if interceptor.get("mode") == "audit" else mode,
        "on_error": "ignore" if interceptor.get("failOpen") else "fail",
        "priority": 0,
    }


def canonical(value: Any) -> str:
    """RFC 8785, as far as the fixtures need it: they have no fractions."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def scrub(value: Any, volatile: set[str]) -> Any:
    def keep(members: dict[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in members.items() if key not in volatile}

    return json.loads(json.dumps(value), object_hook=keep)


async def ask(step: dict[str, Any], server: Server, volatile: set[str]) -> None:
    if step["op"] == "list":
        params = {} if step["event"] is None else {"event": step["event"]}
        request = server.request("interceptors/list", params)
    else:
        request = server.request("interceptor/invoke", step["params"])
    if (code := step["expect"].get("errorCode")) is not None:
        with pytest.raises(ServerError) as caught:
            await request
        assert caught.value.code == code
        return
    result = scrub(await request, volatile | {"resultType", "_meta"})
    assert canonical(result) == step["expect"]["canonical"]


async def apply(step: dict[str, Any], gateway: Any) -> None:
    pre = step["phase"] == "request"
    payload: Call = (ToolCall if pre else ToolResult).from_wire(step["payload"])
    chain = gateway.chain("tool_pre_invoke" if pre else "tool_post_invoke")
    outcome = await chain(payload, Operation("1", "tools/call"))
    decision = "deny" if isinstance(outcome.verdict, Deny) else "allow"
    assert decision == step["expect"]["decision"]
    if (final := step["expect"].get("finalPayloadCanonical")) is not None:
        assert canonical(outcome.payload.to_wire()) == final


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("name", FIXTURES)
async def test_the_host_and_the_chain_conform(
    name: str, mode: str, run_plugins: Run, serve_plugins: Serve
) -> None:
    fixture = FIXTURES[name]
    entries = [configure(interceptor) for interceptor in fixture["interceptors"]]
    external = {"name": "remote", "kind": "external", "config": {"server": "peer"}}
    with anyio.fail_after(10):
        async with (
            run_plugins(BEHAVIOURS, *entries) as hosted,
            serve_plugins(hosted, mode=mode) as peer,
            run_plugins({}, external, servers={"peer": peer}) as gateway,
        ):
            for step in fixture["steps"]:
                if step["op"] == "apply":
                    await apply(step, gateway)
                else:
                    await ask(step, peer, set(fixture["volatile"]))


def test_all_fourteen_fixtures_are_here() -> None:
    assert len(FIXTURES) == 14
