"""The kind `stats`: what it counts, and under which labels."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from plugway_builtin_plugins.stats import Stats
from plugway_hookspecs import (
    Context,
    HttpRequest,
    Operation,
    PromptFetch,
    PromptResult,
    ResourceFetch,
    ResourceResult,
    Scope,
    ToolCall,
    ToolResult,
)

FAILED = {"code": 1, "message": "no"}
KEYS = ("method", "server", "name", "outcome", "le")
Figures = dict[tuple[str, ...], float]


def make(**config: Any) -> Stats:
    return Stats(Stats.Config.model_validate(config), name="stats")


def context(name: str = "crm__find", method: str = "tools/call", server: str = "crm") -> Context:
    return Context(Operation("1", method, name, server), Scope("stats"))


async def figures(stats: Stats) -> Figures:
    """Return the samples: name and label values to figure."""
    (route,) = await stats.register_routes()
    assert route.path == "/metrics"
    answer = await route.handler(HttpRequest("GET", "/metrics"))
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert isinstance(answer.body, bytes)
    return {
        (sample.name, *(sample.labels[key] for key in KEYS if key in sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_requests_and_results_are_counted_by_method_server_name_and_outcome() -> None:
    stats = make()
    for result in (ToolResult(), ToolResult(), ToolResult(is_error=True), ToolResult(error=FAILED)):
        about = context()
        stats.tool_pre_invoke(ToolCall("crm__find"), about)
        stats.tool_post_invoke(result, about)
    found = await figures(stats)
    labels = ("tools/call", "crm", "crm__find")
    assert found["plugway_requests_total", *labels] == 4
    assert found["plugway_results_total", *labels, "ok"] == 2
    assert found["plugway_results_total", *labels, "tool_error"] == 1
    assert found["plugway_results_total", *labels, "error"] == 1
    assert found["plugway_request_duration_seconds_count", *labels] == 4
    assert not [key for key in found if key[0].endswith("_created")]
    assert found["plugway_request_duration_seconds_bucket", *labels, "+Inf"] == 4


async def test_prompts_go_by_name_and_resources_by_server() -> None:
    stats = make()
    about = context("crm__hello", "prompts/get")
    stats.prompt_pre_fetch(PromptFetch("crm__hello"), about)
    stats.prompt_post_fetch(PromptResult(), about)
    for uri in ("crm+file:///a", "crm+file:///b"):
        about = context(uri, "resources/read")
        stats.resource_pre_fetch(ResourceFetch(uri), about)
        stats.resource_post_fetch(ResourceResult(), about)
    found = await figures(stats)
    assert found["plugway_results_total", "prompts/get", "crm", "crm__hello", "ok"] == 1
    assert found["plugway_results_total", "resources/read", "crm", "", "ok"] == 2


async def test_a_call_that_was_denied_is_a_request_without_a_result() -> None:
    stats = make()
    stats.tool_pre_invoke(ToolCall("crm__find"), context())
    found = await figures(stats)
    assert found["plugway_requests_total", "tools/call", "crm", "crm__find"] == 1
    assert not [key for key in found if key[0] == "plugway_results_total"]


async def test_a_request_that_is_renamed_counts_once_under_the_name_the_client_used() -> None:
    stats = make()
    operation = Operation("1", "tools/call", "crm__old", "crm")
    about = Context(operation, Scope("stats"))
    stats.tool_pre_invoke(ToolCall("crm__old"), about)
    operation.name = "crm__new"
    stats.tool_pre_invoke(ToolCall("crm__new"), about)
    stats.tool_post_invoke(ToolResult(), about)
    found = await figures(stats)
    assert found["plugway_requests_total", "tools/call", "crm", "crm__old"] == 1
    assert found["plugway_results_total", "tools/call", "crm", "crm__old", "ok"] == 1
    assert not [key for key in found if "crm__new" in key]


async def test_a_result_without_its_request_counts_without_a_time() -> None:
    stats = make()
    stats.tool_post_invoke(ToolResult(), context())
    found = await figures(stats)
    assert found["plugway_results_total", "tools/call", "crm", "crm__find", "ok"] == 1
    assert not [key for key in found if "duration" in key[0]]


async def test_names_beyond_the_bound_are_counted_together() -> None:
    stats = make(max_names=2)
    for name in ("a", "b", "c", "d", "a"):
        stats.tool_pre_invoke(ToolCall(name), context(name))
    found = await figures(stats)
    requests = {key[3]: value for key, value in found.items() if key[0].endswith("requests_total")}
    assert requests == {"a": 2, "b": 1, "other": 2}


async def test_two_plugins_count_apart() -> None:
    one, two = make(), make()
    one.tool_pre_invoke(ToolCall("a"), context("a"))
    assert await figures(one)
    assert not await figures(two)


async def test_labels_survive_whatever_is_in_a_name() -> None:
    stats = make()
    name = 'a"b\\c\nd'
    stats.tool_pre_invoke(ToolCall(name), context(name))
    assert (await figures(stats))["plugway_requests_total", "tools/call", "crm", name] == 1
