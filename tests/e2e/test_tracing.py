"""Spans of a whole gateway, in a process with a tracer provider."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
