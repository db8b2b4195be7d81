"""docs/metrics.md: what the operator measures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics import MetricWrapperBase

from mageflow.controller import metrics
from mageflow.controller.caches import Caches
from mageflow.controller.instrumentation import ResourceCollector

_HEADER = """# Metrics

`mageflow-operator --metrics-port 8081` serves them at `/metrics`, in the format of Prometheus; so does each replica of
the chart, which has a PodMonitor, alerts and a dashboard for them as well ([install.md](install.md#monitoring),
[runbooks.md](runbooks.md)). Times are in seconds. No label has a resource's name, so the number of series doesn't grow
with the number of resources. Each replica tells of all resources, whether it leads or not: take the maximum, no sum.
With them come the usual `process_…` of the Prometheus client: CPU, memory, open files, when it was started.

| name | type | labels | meaning |
|---|---|---|---|"""


def build_metrics() -> str:
    """Return the page as Markdown."""
    return "\n".join((_HEADER, *sorted(_rows()), ""))


def _rows() -> Iterator[str]:
    for measured in vars(metrics).values():
        if isinstance(measured, MetricWrapperBase):
            for metric in measured.describe():
                yield _row(metric.name, metric.type, measured._labelnames, metric.documentation)
    for metric in ResourceCollector(Caches()).describe():
        yield _row(metric.name, metric.type, metrics.RESOURCES_LABELS, metric.documentation)


def _row(name: str, type_: str, labels: Iterable[str], meaning: str) -> str:
    shown = f"{name}_total" if type_ == "counter" else name
    return f"| `{shown}` | {type_} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"
