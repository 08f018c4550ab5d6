"""Calling ContextForge plugins: one remote plugin becomes one step of the chain."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import Logger
from typing import Any

from plugway_external_bridge.client.link import Link
from plugway_external_bridge.client.listing import list_tools
from plugway_external_bridge.client.step import Answer, Step
from plugway_external_bridge.config import ExternalConfig
from plugway_external_bridge.errors import SetupError, WireError
from plugway_external_bridge.wire import contextforge
from plugway_external_bridge.wire.hooks import HOOKS, Hook
from plugway_external_bridge.wire.operations import (
    HOST_META,
    PLUGWAY,
    annotate_findings,
    json_only,
    operation_to_wire,
)
from plugway_external_bridge.wire.plain import as_list, as_object, list_or_none, object_or_none
from plugway_external_bridge.wire.verdicts import verdict_from_wire
from plugway_hookspecs import (
    Context,
    Deny,
    Mode,
    Part,
    Payload,
    ResourceResult,
    Server,
    ServerError,
    thaw,
)

_GLOBAL_STATE = "external/contextforge"
"""The key in the shared state under which the plugins' global state is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class RemotePlugin:
    """One plugin on the server, ready to be called."""

    description: contextforge.PluginDescription
    link: Link
    config: ExternalConfig
    among_plugways: bool
    """Whether the host is a plugway: then it is told more, and its verdicts are read in full."""

    async def call(self, hook: Hook, payload: Payload, context: Context) -> Answer:
        """Invoke it in one hook; raises `PluginError` for whatever is not a proper answer."""
        try:
            if isinstance(payload, ResourceResult) and not self.among_plugways:
                return await self._each_content(hook, payload, context)
            return await self._invoke(hook, payload, context)
        except WireError as error:
            message = f"plugin {self.description.name!r} returned {error}"
            raise self.link.failure(hook, message) from error

    async def _each_content(self, hook: Hook, payload: ResourceResult, context: Context) -> Answer:
        """Ask once for each content: the protocol has a name for one of them only.

        A server's JSON-RPC error goes as one content too, so that it is scanned like the others.
        """
        if payload.error is not None:
            text = json.dumps(payload.error)
            as_content = {"uri": context.name, "mimeType": "application/json", "text": text}
            answer = await self._invoke(hook, ResourceResult(contents=[as_content]), context)
            if not isinstance(answer, ResourceResult):
                return answer
            error = object_or_none(contextforge.parse(str(answer.contents[0].get("text"))))
            if error is None or not {"code", "message"} <= error.keys():
                raise WireError("an error that is no JSON object with a code and a message")
            return payload.replace(error=error)
        contents = list(payload.contents)
        for index, item in enumerate(contents):
            answer = await self._invoke(hook, payload.replace(contents=[item]), context)
            if isinstance(answer, ResourceResult):
                contents[index] = answer.contents[0]
            elif answer is not None:
                return answer
        changed = any(new is not old for new, old in zip(contents, payload.contents, strict=True))
        return payload.replace(contents=contents) if changed else None

    async def _invoke(self, hook: Hook, payload: Payload, context: Context) -> Answer:
        failed = getattr(payload, "error", None) is not None
        name = getattr(context.request, "name", None) or context.name
        arguments: dict[str, Any] = {
            "hook_type": hook.name,
            "plugin_name": self.description.name,
            "payload": contextforge.encode(hook, payload, name, whole=self.among_plugways),
            "context": self._describe(context, failed=failed),
        }
        params = {"name": contextforge.INVOKE_HOOK, "arguments": arguments}
        timeout = self.config.timeout
        reply = contextforge.read_reply(await self.link.ask("tools/call", params, hook, timeout))
        self._keep(reply.context, context)
        verdict = self._read_metadata(reply, hook, context)
        if verdict is not None:
            return verdict
        if reply.violation is not None:
            return contextforge.read_violation(reply.violation, self.description.name)
        if reply.modified is None:
            return None
        if headers := as_object(reply.modified.get("headers")):
            context.annotate("headers_not_set", sorted(headers))
        whole = self.among_plugways
        return contextforge.decode(hook, reply.modified, payload, failed=failed, whole=whole)

    def _describe(self, context: Context, *, failed: bool) -> dict[str, Any]:
        principal = context.principal
        overall: dict[str, Any] = {
            "request_id": context.request_id,
            "user": principal.user,
            "tenant_id": principal.tenant,
            "server_id": context.server or None,
            "state": context.shared.get(_GLOBAL_STATE, {}),
            "metadata": {},
        }
        metadata: dict[str, Any] = {}
        if self.among_plugways:
            metadata[PLUGWAY] = operation_to_wire(context, failed=failed)
        return {
            "state": json_only(context.state),
            "metadata": metadata,
            "global_context": {key: value for key, value in overall.items() if value is not None},
        }

    def _keep(self, returned: Mapping[str, Any] | None, context: Context) -> None:
        """Take over the state that the plugin wants to find again in its next hook."""
        if returned is None:
            return
        context.state.clear()
        context.state.update(thaw(as_object(returned.get("state"))))
        overall = as_object(returned.get("global_context"))
        if state := as_object(overall.get("state")):
            context.shared[_GLOBAL_STATE] = thaw(state)

    def _read_metadata(self, reply: contextforge.Reply, hook: Hook, context: Context) -> Answer:
        if not self.among_plugways:
            if reply.metadata:
                context.annotate("metadata", reply.metadata)
            return None
        own = as_object(reply.metadata.get(PLUGWAY))
        annotate_findings(context, own.get("findings"))
        verdict = own.get("verdict")
        if verdict is None:
            return None
        answer = verdict_from_wire(verdict, hook)
        if isinstance(answer, Deny) and reply.violation is None:
            raise WireError("a deny that lets processing continue")
        return answer


async def open_parts(
    server: Server, config: ExternalConfig, link: Link, logger: Logger
) -> list[Part]:
    """Return the steps that the server's plugins become, by their priority on the server.

    Raises `SetupError` where the configuration names what is not there.
    """
    tools = await list_tools(server)
    plugins, among_plugways = await _describe_plugins(server, tools, config)
    chosen = _choose(plugins, config, link.plugin)
    parts: list[Part] = []
    for each in sorted(chosen, key=lambda plugin: plugin.priority or 0):
        if each.local_mode is Mode.DISABLED:
            logger.warning("plugin %r is disabled on server %r", each.name, server.name)
            continue
        if each.weaknesses:
            logger.warning(
                "%r relies on %r, which server %r runs with %s: a denial or a failure there may "
                "never be seen here",
                *(link.plugin, each.name, server.name, " and ".join(each.weaknesses)),
            )
        remote = RemotePlugin(each, link, config, among_plugways)
        hooks = [hook for hook in each.hooks if hook in contextforge.HOOK_NAMES]
        wanted = [HOOKS[hook] for hook in hooks if config.hooks is None or hook in config.hooks]
        if wanted:
            step = Step(wanted, remote.call)
            text = each.description or ""
            parts.append(Part(each.name, step, each.local_mode, each.fails_open, text))
    _check_hooks(chosen, config)
    if not parts:
        raise SetupError(f"server {server.name!r} offers no plugin for any hook of plugway")
    return parts


async def _describe_plugins(
    server: Server, tools: frozenset[str], config: ExternalConfig
) -> tuple[list[contextforge.PluginDescription], bool]:
    """Return the server's plugins, and whether the server is a plugway."""
    if contextforge.GET_CONFIGS in tools:
        params: dict[str, Any] = {"name": contextforge.GET_CONFIGS, "arguments": {}}
    elif config.plugin is not None and contextforge.GET_CONFIG in tools:
        arguments = {"name": config.plugin}
        params = {"name": contextforge.GET_CONFIG, "arguments": arguments}
    else:
        message = f"server {server.name!r} can't list its plugins: name one with 'plugin'"
        raise SetupError(message)
    try:
        result = await server.request("tools/call", params)
        items = _configs(result)
        plugins = [contextforge.read_plugin(item) for item in items if item]
    except ServerError as error:
        message = f"server {server.name!r} answered {params['name']} with error {error.code}"
        raise SetupError(message) from error
    except WireError as error:
        raise SetupError(f"server {server.name!r} answered with {error}") from error
    return plugins, HOST_META in as_object(result.get("_meta"))


def _configs(result: Mapping[str, Any]) -> list[Any]:
    structured = list_or_none(as_object(result.get("structuredContent")).get("result"))
    if structured is not None:
        return structured
    found: list[Any] = []
    for block in as_list(result.get("content")):
        value = contextforge.parse(str(as_object(block).get("text", "")))
        found += as_list(value) or [value]
    return found


def _choose(
    plugins: Sequence[contextforge.PluginDescription], config: ExternalConfig, own_name: str
) -> list[contextforge.PluginDescription]:
    by_name = {plugin.name.casefold(): plugin for plugin in plugins}
    if config.plugin is not None:
        if (plugin := by_name.get(config.plugin.casefold())) is None:
            offered = ", ".join(sorted(plugin.name for plugin in plugins)) or "none"
            raise SetupError(f"no plugin {config.plugin!r} on the server (there are: {offered})")
        return [plugin]
    own = by_name.get(own_name.casefold())
    return list(plugins) if own is None else [own]


def _check_hooks(chosen: Sequence[contextforge.PluginDescription], config: ExternalConfig) -> None:
    offered = {hook for plugin in chosen for hook in plugin.hooks}
    offered.intersection_update(contextforge.HOOK_NAMES)
    if extra := sorted(set(config.hooks or ()) - offered):
        raise SetupError(f"hooks: no plugin here is made for {extra[0]!r}")
