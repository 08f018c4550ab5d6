# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""cpex's `invoke_hook` in its default mode, with and without the field policy that gateways set.

It runs where cpex is; here the checkers don't know it.
"""

import itertools
import sys
import types
from typing import Any

from cpex.framework import (
    GlobalContext,
    Plugin,
    PluginCondition,
    PluginConfig,
    PluginResult,
    TenantPluginManager,
    ToolPreInvokePayload,
)
from cpex.framework.hooks.policies import HookPayloadPolicy
from cpex.framework.models import Config
from serving import ARGUMENTS, Subject, Tally, serve

HOOK = "tool_pre_invoke"
PAYLOAD = ToolPreInvokePayload(name="echo", args=ARGUMENTS)
NUMBERS = itertools.count()
POLICIES = {HOOK: HookPayloadPolicy(writable_fields=frozenset({"name", "args", "headers"}))}


class NoOp(Plugin):
    async def tool_pre_invoke(self, payload: Any, context: Any) -> Any:
        return PluginResult(continue_processing=True)


class Modify(Plugin):
    async def tool_pre_invoke(self, payload: Any, context: Any) -> Any:
        changed = payload.model_copy(update={"args": {**payload.args, "b": "changed"}})
        return PluginResult(modified_payload=changed)


def counting(kind: Any, tally: Tally) -> Any:
    class Counting(kind):
        async def tool_pre_invoke(self, payload: Any, context: Any) -> Any:
            tally.ran += 1
            tally.saw_change += payload.args["b"] == "changed"
            return await super().tool_pre_invoke(payload, context)

    return Counting


async def build(variant: str, kind: str, count: int, tally: Tally | None) -> Subject:
    cls = Modify if kind == "modify" else NoOp
    # cpex finds a plugin by its dotted path, and remembers what it found there
    path = f"bench_plugins_{next(NUMBERS)}"
    module = sys.modules[path] = types.ModuleType(path)
    module.Chosen = counting(cls, tally) if tally else cls
    conditions = [PluginCondition(tools={"other"})] if kind == "skip" else []
    plugins = [
        PluginConfig(name=f"p{i}", kind=f"{path}.Chosen", hooks=[HOOK], conditions=conditions)
        for i in range(count)
    ]
    policies = POLICIES if variant == "policy" else None
    manager = TenantPluginManager(Config(plugins=plugins), hook_policies=policies)
    await manager.initialize()
    if manager.plugin_count != count:
        raise RuntimeError(f"{manager.plugin_count} of {count} plugins loaded")
    last = PAYLOAD

    async def call() -> bool:
        nonlocal last
        result, _ = await manager.invoke_hook(HOOK, PAYLOAD, GlobalContext(request_id="1"))
        last = result.modified_payload or PAYLOAD
        return result.continue_processing

    return Subject(call, lambda: dict(last.args))


serve(build, "cpex", "pydantic")
