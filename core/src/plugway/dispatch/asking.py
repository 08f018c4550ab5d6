"""Send a request about one tool, prompt or resource to the server that has it."""

from collections.abc import Mapping
from typing import Any

from plugway.dispatch.exchange import Progress, Request
from plugway.dispatch.routing import Parts
from plugway.federation.catalog import Target
from plugway.federation.naming import outward_result
from plugway.jsonvalues import is_array, is_object
from plugway.limits import bad_result
from plugway.methods import Fetch


async def ask_server(
    parts: Parts, fetch: Fetch, request: Request, params: Mapping[str, Any], target: Target
) -> dict[str, Any]:
    """Send the request to its server; return the result in the names that clients use."""
    server = target.member.name
    definition = target.definition or {}
    result = await parts.upstreams[server].request(
        fetch.name,
        {**params, fetch.kind.identifier: target.inward},
        on_progress=request.on_progress,
        on_log=request.on_log,
        log_level=request.log_level,
        tool_schema=definition.get("inputSchema"),
    )
    result = outward_result(target.member.prefix, result)
    items = result.get(fetch.contents, [])
    if not is_array(items) or not all(is_object(item) for item in items):
        raise bad_result(server, fetch.name, f"{fetch.contents} that is no list of objects")
    return result


def without_words(request: Request) -> Request:
    """Let only the numbers of a server's progress through: no guard sees what it says meanwhile."""
    report = request.on_progress

    async def numbers(progress: float, total: float | None, _: str | None) -> None:
        if report is not None:
            await report(progress, total, None)

    on_progress: Progress | None = numbers if report else None
    return Request(
        request.method,
        request.params,
        request.client,
        request.modern,
        on_progress=on_progress,
    )
