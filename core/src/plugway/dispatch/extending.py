"""Extensions of MCP (SEP-2133): which clients get of which servers, and requests of their methods.

No hook sees what is in an extension's own messages. So where plugins guard tools, an extension is
only passed on if the server's `extensions` name it, or if all of it is in what plugins see anyway.
"""

from collections.abc import Mapping
from typing import Any

from plugway.dispatch.exchange import Caller, Request
from plugway.dispatch.routing import Parts
from plugway.dispatch.shaping import without_hop_meta
from plugway.federation.catalog import Member
from plugway.federation.naming import inward_name, outward_task
from plugway.federation.view import View
from plugway.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, UPSTREAM_ERROR, RpcError
from plugway.jsonvalues import is_object
from plugway.methods import FETCHES
from plugway_hookspecs import Operation

APPS = "io.modelcontextprotocol/ui"
"""MCP Apps: tools and resources like others, which pass the same hooks."""
TASKS = "io.modelcontextprotocol/tasks"

_CORE_TYPES = frozenset({"complete", "input_required"})


def offered(parts: Parts, member: Member) -> dict[str, Any]:
    """Return the extensions that a server declares and that clients may use, with their settings.

    Empty before it is connected.
    """
    declared = member.source.capabilities.get("extensions")
    if not is_object(declared):
        return {}
    return {name: declared[name] for name in declared if passes(parts, member.name, name)}


def passes(parts: Parts, server: str, extension: str) -> bool:
    """Whether clients may use an extension of a server."""
    listed = parts.upstreams[server].extensions
    if listed is not None:
        return extension in listed
    return extension == APPS or not _guarded(parts)


def of_client(parts: Parts, server: str, caller: Caller | None) -> dict[str, Any]:
    """Return what is declared of a client's extensions to a server."""
    declared = None if caller is None else caller.capabilities.get("extensions")
    if not is_object(declared):
        return {}
    return {name: declared[name] for name in declared if passes(parts, server, name)}


def check_type(parts: Parts, server: str, caller: Caller | None, result: Mapping[str, Any]) -> None:
    """Raise `RpcError` for a kind of result that a client can't know: it has no extensions."""
    kind = result.get("resultType", "complete")
    if caller is not None and kind not in _CORE_TYPES and not of_client(parts, server, caller):
        message = (
            f"Server {server!r} answered with a {str(kind)[:50]!r}, which the client can't read"
        )
        raise RpcError(UPSTREAM_ERROR, message)


async def extend(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Send a request of an extension's method to the server that offers the extension."""
    params = without_hop_meta(request.params)
    if request.method.startswith("tasks/") and isinstance(task := params.get("taskId"), str):
        member, params["taskId"] = _by_task(parts, request, task)
    else:
        member = _only(parts, request)
    operation.server = member.name
    upstream = parts.upstreams[member.name]
    result = await upstream.request(
        request.method,
        params,
        on_progress=request.on_progress,
        on_log=request.on_log,
        log_level=request.log_level,
        caller=request.caller,
        extensions=of_client(parts, member.name, request.caller),
    )
    return outward_task(member.prefix, result)


def _members(parts: Parts, view: View) -> list[Member]:
    """Return the servers of an endpoint that offer extensions to clients."""
    shown = [m for m in parts.catalog.members if view.servers is None or m.name in view.servers]
    return [member for member in shown if offered(parts, member)]


def _by_task(parts: Parts, request: Request, task: str) -> tuple[Member, str]:
    """Return the server that a task is on, and the server's own id of it."""
    candidates = [m for m in _members(parts, request.view) if TASKS in offered(parts, m)]
    for member in sorted(candidates, key=lambda member: -len(member.prefix)):
        if (inward := inward_name(member.prefix, task)) is not None:
            return member, inward
    if not candidates:
        raise _not_found(request.method)
    raise RpcError(INVALID_PARAMS, f"Unknown task: {task[:100]}")


def _only(parts: Parts, request: Request) -> Member:
    """Return the one server that a method can be meant for: its name does not tell."""
    members = _members(parts, request.view)
    if len(members) == 1:
        return members[0]
    if not members:
        raise _not_found(request.method)
    names = ", ".join(repr(member.name) for member in members)
    advice = f"several servers have extensions ({names}): use the endpoint of one of them"
    raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method[:100]}; {advice}")


def _not_found(method: str) -> RpcError:
    return RpcError(METHOD_NOT_FOUND, f"Method not found: {method[:100]}")


def _guarded(parts: Parts) -> bool:
    """Whether plugins guard what tools, prompts or resources are asked or answer."""
    hooks = [hook for fetch in FETCHES.values() for hook in (fetch.pre, fetch.post)]
    return any(parts.chains.chain(hook).guards(None) for hook in hooks)
