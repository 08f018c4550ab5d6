"""Spans of a whole gateway, in a process with a tracer provider."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from raw_clients import ACCEPT, answer_in, message

PROVIDER = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(out=sys.stderr, formatter=lambda s: s.to_json(indent=None) + "\\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
from plugway.cli import main
main()
"""


def test_a_process_with_a_tracer_provider_gets_the_spans_of_its_gateway(
    tmp_path: Path, stdio_features: dict[str, Any]
) -> None:
    path = tmp_path / "plugway.yaml"
    rules = {"name": "rules", "kind": "deny_list", "config": {"words": ["forbidden"]}}
    path.write_text(json.dumps({"mcpServers": {"up": stdio_features}, "plugins": [rules]}))
    command = [sys.executable, "-c", PROVIDER, "-c", str(path), "call", "up__echo"]
    done = subprocess.run(
        [*command, "-a", "text=forbidden"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    spans = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"name')]
    (turn,) = (span for span in spans if span["name"] == "plugway.plugin")
    (hook,) = (span for span in spans if span["name"] == "plugway.hook")
    assert turn["attributes"]["plugway.verdict.applied"] == "deny"
    assert turn["parent_id"] == hook["context"]["span_id"]
    assert hook["attributes"]["gen_ai.tool.name"] == "up__echo"


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_request_over_http_is_in_its_clients_trace_with_the_fast_lane_and_without(
    tmp_path: Path, shared_features: Any, fast_lane: bool
) -> None:
    rules = {"name": "rules", "kind": "deny_list", "config": {"words": ["forbidden"]}}
    config = {
        "mcpServers": {"up": {"url": shared_features.url}},
        "plugins": [rules],
        "gateway": {"port": 0, "fast_lane": fast_lane},
    }
    path = tmp_path / "plugway.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-c", PROVIDER, "-c", str(path), "serve", "--json"]
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = message(
        "tools/call",
        {
            "name": "up__echo",
            "arguments": {"text": "x"},
            "_meta": {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
        },
        version="2026-07-28",
        request_id=1,
    )
    headers = {
        **ACCEPT,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "up__echo",
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            text += process.stdout.readline()
        response = httpx2.post(json.loads(text)["url"], json=sent, headers=headers, timeout=30)
        assert answer_in(response)["result"]["content"] == [{"type": "text", "text": "x"}]
        process.terminate()
        _, log = process.communicate(timeout=30)
    spans = [json.loads(line) for line in log.splitlines() if line.startswith('{"name')]
    ours = [span for span in spans if span["context"]["trace_id"] == f"0x{trace_id}"]
    (served,) = (span for span in ours if span["kind"] == "SpanKind.SERVER")
    (asked,) = (span for span in ours if span["name"] == "MCP send tools/call echo")
    assert served["name"] == "tools/call up__echo"
    assert served["parent_id"] == "0x00f067aa0ba902b7"
    assert served["attributes"]["gen_ai.tool.name"] == "up__echo"
    assert asked["kind"] == "SpanKind.CLIENT"
    hooks = [span for span in ours if span["name"] == "plugway.hook"]
    assert hooks
    assert {span["parent_id"] for span in [asked, *hooks]} == {served["context"]["span_id"]}
