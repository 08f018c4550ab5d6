"""The kind `stats`: count requests and results, and serve the figures over HTTP."""

from time import perf_counter
from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from plugway_builtin_plugins.stats.figures import CONTENT_TYPE, Figures, Labels
from plugway_hookspecs import (
    Context,
    HttpRequest,
    HttpResponse,
    HttpRoute,
    Plugin,
    PluginConfig,
    PromptFetch,
    PromptResult,
    ResourceFetch,
    ResourceResult,
    ToolCall,
    ToolResult,
    hookimpl,
)

Result: TypeAlias = ToolResult | PromptResult | ResourceResult

_LABELS, _STARTED = "labels", "started"


class Stats(Plugin):
    """Counts requests, results and errors, and serves the figures to Prometheus.

    They are at `/plugins/<name>/metrics`. It never says anything about a message: `mode: audit` is
    the one for it.
    """

    class Config(PluginConfig):
        """What goes under `config:` of a `stats`."""

        model_config = ConfigDict(use_attribute_docstrings=True)

        max_names: Annotated[int, Field(ge=0)] = 500
        """How many tools and prompts are told apart; the rest is counted as `other`."""

    def __init__(self, config: Config, *, name: str) -> None:
        super().__init__(config, name=name)
        self._figures = Figures(config.max_names)

    @hookimpl
    async def register_routes(self) -> list[HttpRoute]:
        """Serve `metrics`."""
        return [HttpRoute("/metrics", self.metrics)]

    async def metrics(self, request: HttpRequest) -> HttpResponse:
        """Answer Prometheus."""
        del request
        return HttpResponse(self._figures.text(), content_type=CONTENT_TYPE)

    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall, context: Context) -> None:
        """Count a tool call."""
        del payload
        self._begin(context)

    @hookimpl
    def tool_post_invoke(self, payload: ToolResult, context: Context) -> None:
        """Count a tool's result."""
        self._end(context, payload, failed=payload.is_error)

    @hookimpl
    def prompt_pre_fetch(self, payload: PromptFetch, context: Context) -> None:
        """Count a request for a prompt."""
        del payload
        self._begin(context)

    @hookimpl
    def prompt_post_fetch(self, payload: PromptResult, context: Context) -> None:
        """Count a prompt."""
        self._end(context, payload)

    @hookimpl
    def resource_pre_fetch(self, payload: ResourceFetch, context: Context) -> None:
        """Count a request for a resource."""
        del payload
        self._begin(context)

    @hookimpl
    def resource_post_fetch(self, payload: ResourceResult, context: Context) -> None:
        """Count a resource."""
        self._end(context, payload)

    def _begin(self, context: Context) -> None:
        """Count a request once, though it comes again when a plugin renames it."""
        state = context.state
        if _LABELS not in state:
            labels = self._labels(context)
            state[_LABELS], state[_STARTED] = labels, perf_counter()
            self._figures.request(labels)

    def _end(self, context: Context, payload: Result, *, failed: bool = False) -> None:
        """Count a result; where a plugin answered before this one was asked, without its time."""
        state = context.state
        labels = state.get(_LABELS) or self._labels(context)
        started = state.get(_STARTED)
        outcome = "error" if payload.error is not None else "tool_error" if failed else "ok"
        seconds = None if started is None else perf_counter() - started
        self._figures.result(labels, outcome, seconds)

    def _labels(self, context: Context) -> Labels:
        name = "" if context.method == "resources/read" else context.name
        return self._figures.bounded(Labels(context.method, context.server, name))
