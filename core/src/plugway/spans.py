"""The spans that the MCP SDK makes of requests, for those that it has no part in.

They are the same as its own: `SERVER` for a client's request, in the trace that this names in its
`_meta`, and `CLIENT` for the request to a server, whose `_meta` gets the trace (SEP-414).
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import Span, SpanKind, StatusCode

from plugway.jsonrpc import RpcError
from plugway.jsonvalues import is_object
from plugway_hookspecs import ServerError

_tracer = trace.get_tracer("plugway")


def recorded(provider: trace.TracerProvider | None = None) -> bool:
    """Whether a tracer provider, without one that of the process, hands spans to anybody."""
    provider = provider or trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def in_trace() -> bool:
    """Whether the current request is part of a trace, which goes on at the server."""
    return trace.get_current_span().get_span_context().is_valid


@contextmanager
def server_span(
    method: str, params: Mapping[str, Any], *, request_id: object, version: str
) -> Generator[Span]:
    """Make a span of a client's request; inside, its trace is the current one."""
    target = params.get("name")
    attributes = {"mcp.method.name": method, "mcp.protocol.version": version}
    attributes["jsonrpc.request.id"] = str(request_id)
    if method == "tools/call":
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": str(target)}
    elif method == "prompts/get":
        attributes["gen_ai.prompt.name"] = str(target)
    name = f"{method} {target}" if isinstance(target, str) else method
    with _span(name, SpanKind.SERVER, attributes, _context(params.get("_meta"))) as span:
        try:
            yield span
        except RpcError as error:
            _failed(span, error.code, error.message)
            raise


@contextmanager
def client_span(method: str, params: dict[str, Any], *, request_id: object) -> Generator[Span]:
    """Make a span of a request to a server, and put the trace into its `_meta`."""
    target = params.get("name")
    attributes = {"mcp.method.name": method, "jsonrpc.request.id": str(request_id)}
    name = f"MCP send {method} {target}" if isinstance(target, str) else f"MCP send {method}"
    with _span(name, SpanKind.CLIENT, attributes, None) as span:
        meta = dict(params.get("_meta") or {})
        inject(meta)
        if meta:
            params["_meta"] = meta
        try:
            yield span
        except ServerError as error:
            _failed(span, error.code, error.message)
            raise


def mark(span: Span, result: Mapping[str, Any]) -> None:
    """Have the span of a call say that the tool has failed."""
    if result.get("isError") is True:
        span.set_attribute("error.type", "tool_error")
        span.set_status(StatusCode.ERROR)


@contextmanager
def _span(
    name: str, kind: SpanKind, attributes: dict[str, str], context: Context | None
) -> Generator[Span]:
    with _tracer.start_as_current_span(
        name,
        context,
        kind,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def _failed(span: Span, code: int, message: str) -> None:
    span.set_attributes({"error.type": str(code), "rpc.response.status_code": str(code)})
    span.set_status(StatusCode.ERROR, message)


def _context(meta: Any) -> Context | None:
    """Return the trace that a request names, or None for the current one."""
    if not is_object(meta) or "traceparent" not in meta:
        return None
    try:
        context = extract(meta)
    except (ValueError, TypeError):
        return None
    return context if trace.get_current_span(context).get_span_context().is_valid else None
