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
from plugway.limits import bad_result
from plugway.methods import ASKS, FETCHES
from plugway_hookspecs import Operation

APPS = "io.modelcontextprotocol/ui"
"""MCP Apps: tools and resources like others, which pass the same hooks."""
TASKS = "io.modelcontextprotocol/tasks"

_CORE_TYPES = frozenset({"complete", "input_required"})
_KNOWN = frozenset({APPS, TASKS})
"""Extensions whose methods and kinds of results are known: they stand for nothing else."""


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
    return extension == APPS or not guarded(parts)


def of_client(parts: Parts, server: str, caller: Caller | None) -> dict[str, Any]:
    """Return what is declared of a client's extensions to a server."""
    declared = None if caller is None else caller.capabilities.get("extensions")
    if not is_object(declared):
        return {}
    return {name: declared[name] for name in declared if passes(parts, server, name)}


def check_type(parts: Parts, server: str, caller: Caller | None, result: Mapping[str, Any]) -> None:
    """Raise `RpcError` for a kind of result that a client can't know by its extensions."""
    kind = result.get("resultType", "complete")
    if caller is None or (isinstance(kind, str) and kind in _CORE_TYPES):
        return
    extensions = of_client(parts, server, caller)
    if not (TASKS in extensions if kind == "task" else extensions.keys() - _KNOWN):
        message = (
            f"Server {server!r} answered with a {str(kind)[:50]!r}, which the client can't read"
        )
        raise RpcError(UPSTREAM_ERROR, message)


def refuse_question(server: str, method: str, result: Mapping[str, Any]) -> None:
    """Raise `RpcError` for a question where no hook would see it, and MCP has none."""
    if result.get("resultType") == "input_required":
        raise bad_result(server, method, "a question, which is not possible there")


async def extend(parts: Parts, request: Request, operation: Operation) -> dict[str, Any]:
    """Send a request of an extension's method to the server that offers the extension."""
    params = without_hop_meta(request.params)
    if request.method.startswith("tasks/"):
        member, params["taskId"] = _by_task(parts, request, params.get("taskId"))
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
    refuse_question(member.name, request.method, result)
    return outward_task(member.prefix, result)


def _members(parts: Parts, view: View) -> list[Member]:
    """Return the servers of an endpoint."""
    return [m for m in parts.catalog.members if view.servers is None or m.name in view.servers]


def _by_task(parts: Parts, request: Request, task: Any) -> tuple[Member, str]:
    """Return the server that a task is on, and the server's own id of it."""
    candidates = [m for m in _members(parts, request.view) if TASKS in offered(parts, m)]
    if not candidates:
        raise _not_found(request.method)
    if not isinstance(task, str):
        raise RpcError(INVALID_PARAMS, "Invalid params: taskId must be a string")
    for member in sorted(candidates, key=lambda member: -len(member.prefix)):
        if (inward := inward_name(member.prefix, task)) is not None:
            return member, inward
    raise RpcError(INVALID_PARAMS, f"Unknown task: {task[:100]}")


def _only(parts: Parts, request: Request) -> Member:
    """Return the one server that a method can be meant for: its name does not tell."""
    members = [m for m in _members(parts, request.view) if _opens_methods(parts, m)]
    if len(members) == 1:
        return members[0]
    if not members:
        raise _not_found(request.method)
    names = ", ".join(repr(member.name) for member in members)
    advice = f"several servers have extensions ({names}): use the endpoint of one of them"
    raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method[:100]}; {advice}")


def _opens_methods(parts: Parts, member: Member) -> bool:
    """Whether clients may use all extensions of a server that a method can be of.

    Methods don't say which extension they are of, so one that is kept back keeps back all.
    """
    declared = member.source.capabilities.get("extensions")
    of_methods = declared.keys() - _KNOWN if is_object(declared) else ()
    return bool(of_methods) and all(passes(parts, member.name, name) for name in of_methods)


def _not_found(method: str) -> RpcError:
    return RpcError(METHOD_NOT_FOUND, f"Method not found: {method[:100]}")


def guarded(parts: Parts) -> bool:
    """Whether plugins guard tools, prompts and resources, or what servers ask clients."""
    exchanges = (*FETCHES.values(), *ASKS.values())
    hooks = [hook for exchange in exchanges for hook in (exchange.pre, exchange.post)]
    return any(parts.chains.chain(hook).guards(None) for hook in hooks)
