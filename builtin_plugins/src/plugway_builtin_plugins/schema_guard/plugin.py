"""The kind `schema_guard`: what to check in a call and in its result, and what to say about it."""

from typing import Any

from plugway_builtin_plugins.schema_guard.compiler import Checkers
from plugway_builtin_plugins.schema_guard.references import SchemaError
from plugway_builtin_plugins.schema_guard.settings import Settings, Side
from plugway_hookspecs import Context, Deny, Plugin, ToolCall, ToolResult, hookimpl

_INVALID_PARAMS = -32602
_MISSING = object()
_SCHEMAS: dict[Side, str] = {"arguments": "inputSchema", "results": "outputSchema"}


class SchemaGuard(Plugin):
    """Denies tool calls and results that do not match the schemas the tool declares.

    Arguments are checked by `inputSchema`, structured results by `outputSchema`, in JSON Schema
    2020-12 or the dialect that a schema names. Nothing is fetched, and hostile schemas are refused.
    """

    class Config(Settings):
        """What goes under `config:` of a `schema_guard`."""

    def __init__(self, config: Config, *, name: str) -> None:
        super().__init__(config, name=name)
        self._settings = config
        self._checkers = Checkers(formats=config.formats, max_bytes=config.max_schema_bytes)

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> Deny | None:
        """Check the arguments of a call."""
        if "arguments" not in self._settings.check:
            return None
        return self._check("arguments", payload.arguments, context)

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> Deny | None:
        """Check the structured content of a result, which is there if a schema is declared."""
        if "results" not in self._settings.check or not _is_complete(payload):
            return None
        return self._check("results", _structured(payload), context)

    def _check(self, side: Side, value: Any, context: Context) -> Deny | None:
        keyword = _SCHEMAS[side]
        definition = context.definition
        schema = None if definition is None else definition.get(keyword)
        if schema is None:
            return self._without_schema(side, context)
        try:
            checker = self._checkers.get(schema)
            if value is _MISSING:
                errors = ["structuredContent: is missing, though the tool declares an outputSchema"]
            else:
                path = ("arguments" if side == "arguments" else "structuredContent",)
                errors = checker.errors(value, path, self._settings.max_errors)
        except SchemaError as error:
            return self._bad_schema(keyword, str(error), context)
        return _invalid(side, context.name, errors) if errors else None

    def _without_schema(self, side: Side, context: Context) -> Deny | None:
        wanting = f"the tool has no {_SCHEMAS[side]}"
        if self._settings.require_schema:
            return Deny(f"{wanting}, so its {side} can't be checked", code="no_schema")
        context.annotate("unchecked", f"{side}: {wanting}")
        return None

    def _bad_schema(self, keyword: str, wrong: str, context: Context) -> Deny | None:
        if self._settings.on_bad_schema == "ignore":
            context.annotate("bad_schema", f"{keyword}: {wrong}")
            return None
        reason = f"the {keyword} of {context.name!r} can't be used"
        return Deny(reason, code="bad_schema", description=wrong)


def _invalid(side: Side, tool: str, errors: list[str]) -> Deny:
    said = "; ".join(errors)
    if side == "arguments":
        return Deny(
            f"arguments of {tool!r} are not valid: {said}",
            code="invalid_arguments",
            details={"errors": errors},
            mcp_error_code=_INVALID_PARAMS,
        )
    reason = f"the result of {tool!r} is not what its schema declares: {said}"
    return Deny(reason, code="invalid_result", details={"errors": errors})


def _is_complete(payload: ToolResult) -> bool:
    """Tell whether a result is one that an output schema is about.

    Errors are not, nor are questions back to the client and tasks that are still running.
    """
    if payload.error is not None or payload.is_error:
        return False
    started = "task" in payload.extra and not payload.content
    return payload.extra.get("resultType", "complete") == "complete" and not started


def _structured(payload: ToolResult) -> Any:
    """Return the structured content; `false` and `null`, which are JSON too, are in `extra`."""
    if payload.structured_content is not None:
        return payload.structured_content
    return payload.extra.get("structuredContent", _MISSING)
