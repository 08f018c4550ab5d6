"""Prometheus' own parser reads what a running gateway serves."""

from typing import Any

import anyio
import httpx2
from mcp import Client
from prometheus_client.parser import text_string_to_metric_families


async def test_a_scrape_of_a_running_gateway_has_the_calls_that_were_made(
    serve_http: Any, stdio_features: Any
) -> None:
    config: dict[str, Any] = {
        "mcpServers": {"up": stdio_features},
        "plugins": [
            {"name": "stats", "kind": "stats", "priority": 0, "mode": "audit"},
            {"name": "no", "kind": "deny_list", "config": {"tools": ["up__add"]}},
        ],
    }
    with anyio.fail_after(30):
        async with serve_http(config) as (_, url), httpx2.AsyncClient() as http:
            async with Client(url, cache=None) as client:
                for _ in range(3):
                    await client.call_tool("up__echo", {"text": "hi"})
                assert (await client.call_tool("up__add", {"a": 1, "b": 1})).is_error
            answer = await http.get(url.removesuffix("/mcp") + "/plugins/stats/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    figures = {
        (sample.name, sample.labels["name"], sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert figures["plugway_requests_total", "up__echo", None] == 3
    assert figures["plugway_results_total", "up__echo", "ok"] == 3
    assert figures["plugway_request_duration_seconds_count", "up__echo", None] == 3
    assert figures["plugway_requests_total", "up__add", None] == 1
    assert not [key for key in figures if key[0] == "plugway_results_total" and "up__add" in key]
