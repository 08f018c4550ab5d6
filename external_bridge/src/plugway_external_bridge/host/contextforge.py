"""Configured plugins behind ContextForge's three tools."""

import json
from collections.abc import Mapping
from typing import Any

from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent, Tool
from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError

from plugway_external_bridge.errors import WireError
from plugway_external_bridge.host.calls import Answer, call_plugin
from plugway_external_bridge.wire import contextforge
from plugway_external_bridge.wire.hooks import HOOKS, Hook
from plugway_external_bridge.wire.operations import (
    HOST_META,
    PLUGWAY,
    OperationWire,
    make_operation,
    read_operation,
)
from plugway_external_bridge.wire.plain import as_object
from plugway_hookspecs import Deny, PluginError, PluginRunner

_OBJECT = {"type": "object"}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    contextforge.GET_CONFIGS: {"type": "object", "properties": {}},
    contextforge.GET_CONFIG: {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    },
    contextforge.INVOKE_HOOK: {
        "type": "object",
        "properties": {
            "hook_type": {"type": "string", "enum": list(contextforge.HOOK_NAMES)},
            "plugin_name": {"type": "string"},
            "payload": _OBJECT,
            "context": _OBJECT,
        },
        "required": ["hook_type", "plugin_name", "payload", "context"],
    },
}
_DESCRIPTIONS = {
    contextforge.GET_CONFIGS: "Describe all plugins; their own configuration is left out.",
    contextforge.GET_CONFIG: "Describe one plugin; its own configuration is left out.",
    contextforge.INVOKE_HOOK: "Call one hook of one plugin.",
}


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore")

    hook_type: StrictStr
    plugin_name: StrictStr
    payload: dict[str, Any]
    context: dict[str, Any]


class ContextForgeHost:
    """Serves the plugins of a runner behind three tools."""

    def __init__(self, runner: PluginRunner) -> None:
        self._runner = runner
        self.tools = [
            Tool(name=name, description=_DESCRIPTIONS[name], input_schema=schema)
            for name, schema in _SCHEMAS.items()
        ]

    def schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return the input schema of one of the tools, or None for any other name."""
        return _SCHEMAS.get(tool)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Answer a call of one of the three tools."""
        if tool == contextforge.GET_CONFIGS:
            return self._configs()
        if tool == contextforge.GET_CONFIG:
            return _text(self._config(str(arguments.get("name", ""))))
        try:
            call = _Call.model_validate(arguments)
        except ValidationError as error:
            fields = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors()}))
            message = f"Error executing tool {tool}: missing or wrong: {fields}"
            return CallToolResult(content=[TextContent(text=message)], is_error=True)
        return _text(await self._invoke(call))

    def _configs(self) -> CallToolResult:
        configs = [contextforge.plugin_to_wire(info) for info in self._runner.plugins()]
        return CallToolResult(
            content=[TextContent(text=json.dumps(config, indent=2)) for config in configs],
            structured_content={"result": configs},
            _meta={HOST_META: {}},
        )

    def _config(self, name: str) -> dict[str, Any]:
        for info in self._runner.plugins():
            if info.name.casefold() == name.casefold():
                return contextforge.plugin_to_wire(info)
        return {}

    async def _invoke(self, call: _Call) -> dict[str, Any]:
        name = call.plugin_name
        plugin = next(
            (i.name for i in self._runner.plugins() if i.name.casefold() == name.casefold()), None
        )
        hook = HOOKS.get(call.hook_type)
        if plugin is None or hook is None or hook.name not in contextforge.HOOK_NAMES:
            message = f"no plugin {name!r} with the hook {call.hook_type!r}"
            return contextforge.error_to_wire(name, message, INVALID_PARAMS)
        try:
            return await self._run(plugin, hook, call)
        except WireError as error:
            return contextforge.error_to_wire(name, f"this is {error}", INVALID_PARAMS)
        except PluginError:
            return contextforge.error_to_wire(name, "the plugin failed", INTERNAL_ERROR)

    async def _run(self, plugin: str, hook: Hook, call: _Call) -> dict[str, Any]:
        about = _read_context(plugin, call)
        whole = PLUGWAY in as_object(call.context.get("metadata"))
        payload = contextforge.decode(hook, call.payload, None, failed=about.failed, whole=whole)
        operation = make_operation(about, event=hook.event)
        try:
            answer = await call_plugin(self._runner, plugin, hook, payload, operation)
        except KeyError:
            message = f"plugin {plugin!r} does not implement {hook.name!r}"
            return contextforge.error_to_wire(call.plugin_name, message, INVALID_PARAMS)
        modified = None
        if answer.modified and answer.outcome.verdict is None:
            changed = answer.outcome.payload
            modified = contextforge.encode(hook, changed, about.name, whole=whole)
        reply = contextforge.Reply(
            modified=modified,
            violation=_violation(answer),
            metadata={PLUGWAY: added} if (added := answer.additions()) else {},
            context=_returned_context(plugin, call, answer),
        )
        return contextforge.reply_to_wire(call.plugin_name, reply)


def _read_context(plugin: str, call: _Call) -> OperationWire:
    """Read who asks and what the plugin noted last time; a plugway tells more."""
    state = as_object(call.context.get("state"))
    overall = as_object(call.context.get("global_context"))
    user = overall.get("user")
    known: dict[str, Any] = {
        "id": str(overall.get("request_id") or ""),
        "name": contextforge.named(call.payload),
        "server": str(overall.get("server_id") or ""),
        "principal": {
            "user": user if isinstance(user, str) else as_object(user).get("email"),
            "tenant": overall.get("tenant_id"),
        },
    }
    known.update(as_object(as_object(call.context.get("metadata")).get(PLUGWAY)))
    return read_operation({**known, "states": {plugin: state} if state else {}})


def _violation(answer: Answer) -> dict[str, Any] | None:
    if answer.refusal is None:
        return None
    verdict = answer.outcome.verdict
    deny = verdict if isinstance(verdict, Deny) else Deny(answer.refusal)
    return contextforge.violation_to_wire(deny)


def _returned_context(plugin: str, call: _Call, answer: Answer) -> dict[str, Any] | None:
    states = answer.states()
    given = as_object(call.context.get("state"))
    if not states and not given:
        return None
    overall = as_object(call.context.get("global_context"))
    return {"state": states.get(plugin, {}), "metadata": {}, "global_context": overall}


def _text(value: dict[str, Any]) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=json.dumps(value, indent=2))])
