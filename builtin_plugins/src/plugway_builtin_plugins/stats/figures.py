"""The figures: what is counted, under a bounded number of labels."""

from collections.abc import Iterator
from typing import NamedTuple

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
except ImportError as error:
    message = "prometheus-client is missing: pip install 'plugway-builtin-plugins[stats]'"
    raise ImportError(message, name="prometheus_client") from error

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER = "other"
"""The name under which what exceeds the bound is counted together."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Labels(NamedTuple):
    """What figures are told apart by."""

    method: str
    """The MCP method, such as `tools/call`."""
    server: str
    name: str
    """The tool or prompt, as clients see it; empty for resources, whose URIs have no bound."""


class Registry(CollectorRegistry):
    """A registry without the `_created` samples, which only OpenMetrics has a use for."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        for metric in super().collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


class Figures:
    """The figures of one plugin, in a registry of their own."""

    def __init__(self, max_names: int) -> None:
        """Tell `max_names` names apart, and count the rest together."""
        self._registry = Registry()
        self._max_names = max_names
        self._names: set[Labels] = set()
        labels = Labels._fields
        self._requests = Counter(
            "plugway_requests", "Requests that clients made", labels, registry=self._registry
        )
        self._results = Counter(
            "plugway_results",
            "Results that clients got; outcome is ok, tool_error or error",
            (*labels, "outcome"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "plugway_request_duration_seconds",
            "Time from request to result",
            labels,
            buckets=_SECONDS,
            registry=self._registry,
        )

    def bounded(self, labels: Labels) -> Labels:
        """Return the labels to count under."""
        if labels not in self._names:
            if len(self._names) >= self._max_names:
                return labels._replace(name=OTHER)
            self._names.add(labels)
        return labels

    def request(self, labels: Labels) -> None:
        """Count a request."""
        self._requests.labels(*labels).inc()

    def result(self, labels: Labels, outcome: str, seconds: float | None) -> None:
        """Count a result, and how long it took if that is known."""
        self._results.labels(*labels, outcome).inc()
        if seconds is not None:
            self._seconds.labels(*labels).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)
